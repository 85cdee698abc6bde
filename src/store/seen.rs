//! Which instances are in the list already: each is written with its first row, and once a day after that.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::seal::Keys;
use super::{Placement, StoreError};
use crate::domain::{Instance, InstanceHash, UnixSeconds, UpstreamNumber};

/// How often an instance's entry is written anew, in seconds.
const AGAIN: u64 = 86_400;

/// Bytes of a path before the profile's own: `/instances/GUID` has 47.
const PREFIX_MAX: usize = 128;

/// What was written of late, each in the one spelling. Instances beyond the bounds are never in it, and cost a look at the
/// list with each row.
#[derive(Debug, Default)]
pub(super) struct SeenLately(Mutex<HashMap<(UpstreamNumber, Instance), UnixSeconds>>);

/// An entry of the list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) upstream: UpstreamNumber,
    /// What the instance is, as its caller spelt it.
    instance: Instance,
    pub(super) hash: InstanceHash,
    pub(super) seen: UnixSeconds,
}

impl SeenLately {
    /// The entry that has to be written with this row, if there is one. The default instance has none.
    pub(super) fn due(&self, keys: &Keys, placement: &Placement) -> Option<Entry> {
        if placement.instance.is_default() {
            return None;
        }
        let (upstream, seen) = (placement.key.upstream, placement.seen);
        let last = place(upstream, &placement.instance).and_then(|place| self.0.lock().get(&place).copied());
        let due = last.is_none_or(|last| seen.since(last) >= AGAIN);
        let instance = &placement.instance;
        due.then(|| Entry { upstream, hash: keys.instance_entry(upstream, instance), seen, instance: instance.clone() })
    }

    /// It is durable.
    pub(super) fn written(&self, entry: &Entry) {
        let Some(place) = place(entry.upstream, &entry.instance) else { return };
        let mut all = self.0.lock();
        if all.len() < super::INSTANCES_MAX * 64 {
            all.insert(place, entry.seen);
        }
    }
}

/// Callers choose how they spell a path, and how long it is.
fn place(upstream: UpstreamNumber, instance: &Instance) -> Option<(UpstreamNumber, Instance)> {
    let (prefix, _) = instance.canonical();
    let caller = instance.caller;
    (prefix.len() <= PREFIX_MAX).then(|| (upstream, Instance { prefix: prefix.into(), caller }))
}

impl Entry {
    /// Sealed for its place.
    pub(super) fn sealed(&self, keys: &Keys, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        keys.seal_instance(key, &self.instance.to_bytes()).map_err(|_| StoreError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CustomerId, LabelForm, PairKey, ResourceHash};

    fn placement(keys: &Keys, prefix: &str) -> Placement {
        let instance = Instance { prefix: prefix.into(), caller: None };
        let upstream = UpstreamNumber(1);
        let id = CustomerId::new("x").unwrap();
        let (tag, resource) = (keys.tag(&id), ResourceHash([3; 8]));
        let key =
            PairKey { tag, upstream, form: LabelForm::RAW, resource, instance: keys.instance_hash(tag, &instance) };
        Placement { key, id, resource: "".into(), instance, wire: None, api: None, seen: UnixSeconds(1) }
    }

    fn is_due(seen: &SeenLately, keys: &Keys, prefix: &str) -> bool {
        let due = seen.due(keys, &placement(keys, prefix));
        due.iter().for_each(|entry| seen.written(entry));
        due.is_some()
    }

    #[test]
    fn p12_two_spellings_of_an_instance_have_one_place() {
        let (seen, keys) = (SeenLately::default(), Keys::derive(&[7; 32]));
        assert!(is_due(&seen, &keys, "/instances/a%2fb"));
        for spelling in ["/instances/a%2fb", "/instances/%61%2Fb", "/inst%61nces/a%2Fb"] {
            assert!(!is_due(&seen, &keys, spelling), "{spelling}");
        }
        assert!(is_due(&seen, &keys, "/instances/a/b"), "that is another");
        assert_eq!(seen.0.lock().len(), 2);
    }

    #[test]
    fn p12_what_a_caller_puts_before_the_path_is_kept_only_where_it_is_short() {
        let (seen, keys) = (SeenLately::default(), Keys::derive(&[7; 32]));
        for _ in 0..2 {
            assert!(is_due(&seen, &keys, &format!("/instances/{}", "x".repeat(60_000))));
        }
        assert!(seen.0.lock().is_empty());
    }
}
