//! Which instances are in the list already: each is written with its first row, and once a day after that.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::seal::Keys;
use super::{Placement, StoreError};
use crate::domain::{Instance, InstanceHash, UnixSeconds, UpstreamNumber};

/// How often an instance's entry is written anew, in seconds.
const AGAIN: u64 = 86_400;

/// What was written of late. Instances beyond the bound are never in it, and cost a look at the list with each row.
#[derive(Debug, Default)]
pub(super) struct SeenLately(Mutex<HashMap<(UpstreamNumber, Instance), UnixSeconds>>);

/// An entry of the list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which instance of which upstream it is.
    pub(super) place: (UpstreamNumber, Instance),
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
        let place = (upstream, placement.instance.clone());
        let last = self.0.lock().get(&place).copied();
        let due = last.is_none_or(|last| seen.since(last) >= AGAIN);
        due.then(|| Entry { hash: keys.instance_entry(upstream, &place.1), seen, place })
    }

    /// It is durable.
    pub(super) fn written(&self, entry: &Entry) {
        let mut all = self.0.lock();
        if all.len() < super::INSTANCES_MAX * 64 {
            all.insert(entry.place.clone(), entry.seen);
        }
    }
}

impl Entry {
    /// Sealed for its place.
    pub(super) fn sealed(&self, keys: &Keys, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        keys.seal_instance(key, &self.place.1.to_bytes()).map_err(|_| StoreError::Broken)
    }
}
