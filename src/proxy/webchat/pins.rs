//! Hashes by which pages ask for scripts (`integrity`): a script that one of them is of would be refused if it were changed.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

use crate::domain::webchat::{hashes, hashes_of};

/// How many hashes are kept; the oldest goes first.
const PINS_MAX: usize = 1024;

/// The hashes that pages have named since the start, of all workers.
#[derive(Debug, Default)]
pub(in super::super) struct Pins(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    in_order: VecDeque<Box<[u8]>>,
    all: HashSet<Box<[u8]>>,
}

impl Pins {
    /// A page names these.
    pub(super) fn learn(&self, said: &[u8]) {
        let mut hashes = hashes(said).peekable();
        if hashes.peek().is_none() {
            return;
        }
        let mut known = self.0.lock();
        for hash in hashes {
            if !known.all.insert(hash.clone()) {
                continue;
            }
            known.in_order.push_back(hash);
            if known.in_order.len() > PINS_MAX
                && let Some(oldest) = known.in_order.pop_front()
            {
                known.all.remove(&oldest);
            }
        }
    }

    /// Whether a page has named the hash of this text.
    pub(super) fn have(&self, text: &[u8]) -> bool {
        let own = hashes_of(text);
        let known = self.0.lock();
        own.iter().any(|hash| known.all.contains(hash.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{PINS_MAX, Pins};
    use crate::domain::webchat::hashes_of;

    #[test]
    fn p12_only_so_many_pins_are_kept() {
        let pins = Pins::default();
        let text = |number: usize| format!("script {number}");
        for number in 0..PINS_MAX + 2 {
            let [hash, ..] = hashes_of(text(number).as_bytes());
            pins.learn(format!("sha256-{hash}= sha256-{hash}\tmd5-a sha512-{}", "a".repeat(200)).as_bytes());
        }
        let kept = |number| pins.have(text(number).as_bytes());
        assert!(!kept(0) && !kept(1) && (2..PINS_MAX + 2).all(kept));
        assert_eq!(pins.0.lock().all.len(), PINS_MAX);
    }
}
