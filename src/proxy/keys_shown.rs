//! The keys that callers of one worker showed last, with their fingerprints.
//!
//! Most callers show the same key with every request, and to decode and hash it each time costs twenty times what it costs
//! to compare it. Keys are wiped when they are forgotten, after a minute at the latest, and never printed.

use std::cell::RefCell;
use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::Fingerprint;

/// Services are used with one key or two.
const KEPT: usize = 8;
/// What is longer is hashed each time.
const BYTES_MAX: usize = 256;

/// What `Authorization` said, as it was written, and whose key that is.
struct Shown {
    value: Zeroizing<Vec<u8>>,
    fingerprint: Fingerprint,
}

/// The last keys of a worker, the oldest first.
#[derive(Default)]
pub(super) struct KeysShown(RefCell<Vec<Shown>>);

impl fmt::Debug for KeysShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeysShown(…)")
    }
}

impl KeysShown {
    /// Forgets them all.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Whose key this is: known, or worked out by `hashed`.
    pub(super) fn fingerprint(
        &self,
        value: &[u8],
        hashed: impl FnOnce(&[u8]) -> Option<Fingerprint>,
    ) -> Option<Fingerprint> {
        let known = self.0.borrow().iter().find(|shown| is_same(&shown.value, value)).map(|shown| shown.fingerprint);
        if known.is_some() {
            return known;
        }
        let fingerprint = hashed(value)?;
        if value.len() <= BYTES_MAX {
            let mut kept = self.0.borrow_mut();
            if kept.len() == KEPT {
                kept.remove(0);
            }
            kept.push(Shown { value: Zeroizing::new(value.to_vec()), fingerprint });
        }
        Some(fingerprint)
    }
}

/// Compared to the end: how long it takes does not say where two keys differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // Eight bytes at a time: byte by byte it costs as much as a hash.
    let ((these, rest), (those, other_rest)) = (one.as_chunks(), other.as_chunks());
    let words = these.iter().zip(those).map(|(one, other)| u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other)));
    words.fold(rest.ct_eq(other_rest), |same, word| same & word).into()
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, KEPT, KeysShown, is_same};
    use crate::domain::instance::FingerprintKey;

    #[test]
    fn p10_a_key_that_was_shown_before_is_its_own_and_no_other() {
        let (key, shown) = (FingerprintKey::new(&[7; 32]), KeysShown::default());
        let long = format!("Basic {}", "x".repeat(BYTES_MAX));
        let values: Vec<String> = (0..KEPT + 3).map(|nth| format!("Basic {nth}")).collect();
        for value in values.iter().chain(&values).map(String::as_str).chain([&*long, "Bearer a", "Basic"]) {
            for _ in 0..2 {
                let found = shown.fingerprint(value.as_bytes(), |value| key.of_authorization(value));
                assert_eq!(found, key.of_authorization(value.as_bytes()), "{value}");
            }
            assert!(shown.0.borrow().len() <= KEPT);
        }
        let last = values.last().unwrap().as_bytes();
        assert!(shown.fingerprint(last, |_| panic!("it is known")).is_some());
        shown.forget();
        assert_eq!(shown.fingerprint(last, |_| None), None, "nothing is kept");
    }

    #[test]
    fn p10_a_key_that_differs_in_one_byte_or_in_its_length_is_another() {
        for length in 0..=40 {
            let key: Vec<u8> = (0..length).map(|at| b'a' + at % 26).collect();
            assert!(is_same(&key, &key.clone()), "{length}");
            for at in 0..key.len() {
                for bit in 0..8 {
                    let mut other = key.clone();
                    other[at] ^= 1 << bit;
                    assert!(!is_same(&key, &other) && !is_same(&other, &key), "{length} {at}");
                }
                assert!(!is_same(&key, &key[..at]) && !is_same(&key[..at], &key), "{length} {at}");
            }
        }
    }
}
