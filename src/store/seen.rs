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
