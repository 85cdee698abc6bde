//! Short names of resources and instances, for the known-pair cache of this run.
//!
//! The store's hashes are cryptographic ones, since whoever has the store must learn nothing from them. In memory a name need
//! only tell one customer's resources apart, whatever callers choose them to be: SipHash with a secret key does, in as many
//! bits, at a fiftieth of the cost.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::domain::{Fingerprint, Instance};

/// Makes them, with a key that is drawn at the start.
#[derive(Clone, Default)]
pub struct ShortNames(RandomState);

impl fmt::Debug for ShortNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortNames(…)")
    }
}

impl ShortNames {
    /// The name of this, the same as long as the gate runs.
    #[must_use]
    pub fn of(&self, named: impl Hash) -> [u8; 8] {
        self.0.hash_one(named).to_le_bytes()
    }

    /// The name of an instance.
    #[must_use]
    pub fn of_instance(&self, instance: &Instance) -> [u8; 8] {
        match &instance.caller {
            // Most are a key alone, and its fingerprint is a keyed hash already.
            Some(Fingerprint([name @ .., _, _, _, _, _, _, _, _])) if instance.prefix.is_empty() => *name,
            _ => self.of(instance.canonical()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ShortNames;
    use crate::domain::{Fingerprint, Instance};

    #[test]
    fn p3_each_instance_and_resource_has_a_name_of_its_own_and_two_spellings_of_one_have_the_same() {
        let names = ShortNames::default();
        let at = |prefix: &str, caller| Instance { prefix: prefix.into(), caller };
        let of = |prefix: &str, caller| names.of_instance(&at(prefix, caller));
        let mut all = HashSet::new();
        for prefix in ["", "/instances/a", "/instances/b", "/instances/a/b"] {
            for caller in [None, Some(Fingerprint([0; 16])), Some(Fingerprint([1; 16]))] {
                assert!(all.insert(of(prefix, caller)));
                assert!(!all.insert(of(prefix, caller)), "and it is the same again");
            }
        }
        assert_eq!(of("/instances/%61", None), of("/instances/a", None));
        assert_ne!(names.of("assistants/a1"), names.of("assistants/a"));
        assert_ne!(names.of("a"), ShortNames::default().of("a"), "of this run only");
    }
}
