//! Hashes by which pages ask for scripts (`integrity`): a script that one of them is of would be refused if it were changed.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// How many hashes are kept; the oldest goes first.
const PINS_MAX: usize = 1024;
/// Longest hash as it is written.
const PIN_BYTES_MAX: usize = 128;

/// The hashes that pages have named since the start, of all workers.
#[derive(Debug, Default)]
pub(in super::super) struct Pins(Mutex<VecDeque<Box<[u8]>>>);

impl Pins {
    /// A page names these, divided by blanks.
    pub(super) fn learn(&self, said: &[u8]) {
        if said.is_empty() {
            return;
        }
        let mut pins = self.0.lock();
        for pin in said.split(u8::is_ascii_whitespace) {
            let is_hash = pin.starts_with(b"sha") && pin.len() <= PIN_BYTES_MAX;
            if is_hash && !pins.iter().any(|known| **known == *pin) {
                if pins.len() == PINS_MAX {
                    pins.pop_front();
                }
                pins.push_back(pin.into());
            }
        }
    }

    /// All of them, divided by blanks.
    pub(super) fn said(&self) -> Vec<u8> {
        self.0.lock().iter().flat_map(|pin| pin.iter().copied().chain([b' '])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{PINS_MAX, Pins};

    #[test]
    fn p12_only_so_many_pins_are_kept() {
        let pins = Pins::default();
        for number in 0..PINS_MAX + 2 {
            pins.learn(format!("sha256-{number} sha256-{number}\tmd5-a sha512-{}", "a".repeat(200)).as_bytes());
        }
        let said = String::from_utf8(pins.said()).unwrap();
        assert_eq!(said.split_whitespace().count(), PINS_MAX);
        assert!(said.starts_with("sha256-2 sha256-3 "), "{said}");
    }
}
