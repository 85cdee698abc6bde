//! Which instances are in the list already: each is written with its first row, and once a day after that.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use super::seal::Keys;
use super::{Placement, StoreError};
use crate::domain::{InstanceHash, UnixSeconds, UpstreamNumber};

/// How often an instance's entry is written anew, in seconds.
const AGAIN: u64 = 86_400;

/// What was written of late. Instances beyond the bound are never in it, and cost a look at the list with each row.
#[derive(Debug, Default)]
pub(super) struct SeenLately {
    /// By a hash with a key of this run: as long as the one in the list and a fraction of its cost, and a path may be as long
    /// as its caller likes.
    last: Mutex<BTreeMap<(UpstreamNumber, u64), UnixSeconds>>,
    hasher: RandomState,
}

/// An entry of the list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) upstream: UpstreamNumber,
    pub(super) hash: InstanceHash,
    pub(super) seen: UnixSeconds,
    /// What the instance is.
    pub(super) plain: Vec<u8>,
    name: u64,
}

impl SeenLately {
    /// The entry that has to be written with this row, if there is one. The default instance has none.
    pub(super) fn due(&self, keys: &Keys, placement: &Placement) -> Option<Entry> {
        if placement.instance.is_default() {
            return None;
        }
        let (upstream, seen) = (placement.key.upstream, placement.seen);
        let instance = &placement.instance;
        let name = self.hasher.hash_one(instance.canonical());
        let last = self.last.lock().get(&(upstream, name)).copied();
        let due = last.is_none_or(|last| seen.since(last) >= AGAIN);
        due.then(|| {
            let hash = keys.instance_entry(upstream, instance);
            Entry { upstream, hash, seen, plain: instance.to_bytes(), name }
        })
    }

    /// It is durable.
    pub(super) fn written(&self, entry: &Entry) {
        let mut all = self.last.lock();
        if all.len() < super::INSTANCES_MAX * 64 {
            all.insert((entry.upstream, entry.name), entry.seen);
        }
    }
}

impl Entry {
    /// Sealed for its place.
    pub(super) fn sealed(&self, keys: &Keys, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        keys.seal_instance(key, &self.plain).map_err(|_| StoreError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CustomerId, Instance, LabelForm, PairKey, ResourceHash};

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
        assert_eq!(seen.last.lock().len(), 2);
    }
}
