//! The instances that were ever recorded with a row: without a customer, so that it is known how many an upstream has.

use super::upstreams::number;
use super::{TableError, Tables};
use crate::domain::{InstanceHash, UnixSeconds, UpstreamNumber};
use crate::store::INSTANCES_MAX;

const LAYOUT: u8 = 1;

/// An entry, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct StoredInstance {
    pub(in super::super) key: [u8; 10],
    pub(in super::super) upstream: UpstreamNumber,
    pub(in super::super) first_seen: UnixSeconds,
    pub(in super::super) last_seen: UnixSeconds,
    /// `None` where the entry does not read.
    pub(in super::super) sealed: Option<Vec<u8>>,
}

/// The key of an entry.
pub(in super::super) fn instance_key(upstream: UpstreamNumber, hash: InstanceHash) -> [u8; 10] {
    let mut key = [0; 10];
    for (to, from) in key.iter_mut().zip(upstream.0.to_be_bytes().into_iter().chain(hash.0)) {
        *to = from;
    }
    key
}

impl Tables {
    /// Notes that this instance was seen. Beyond the bound nothing is noted: the list is full then, and says so.
    pub(in super::super) fn note_instance(
        &mut self,
        key: [u8; 10],
        sealed: &[u8],
        seen: UnixSeconds,
    ) -> Result<(), TableError> {
        let instances = self.instances.clone();
        let known = instances.get(key)?;
        let [high, low, ..] = key;
        if known.is_none() && instances.scan_prefix([high, low]).take(INSTANCES_MAX).count() == INSTANCES_MAX {
            return Ok(());
        }
        let first = known.as_deref().and_then(times).map_or(seen, |(first, ..)| first);
        let value = [&[LAYOUT], first.0.to_be_bytes().as_slice(), &seen.0.to_be_bytes(), sealed].concat();
        self.put(&instances, &key, &value)?;
        Ok(())
    }

    /// All of them.
    pub(in super::super) fn instances(&mut self) -> Result<Vec<StoredInstance>, TableError> {
        let mut found = Vec::new();
        for entry in &self.instances.clone() {
            let (raw, value) = entry?;
            let (Ok(key), Some(upstream)) = (raw.as_ref().try_into(), raw.get(..2).and_then(number)) else {
                self.leave_unread("instances", &raw);
                continue;
            };
            let read = times(&value);
            if read.is_none() {
                self.leave_unread("instances", &raw);
            }
            let (first_seen, last_seen, sealed) = read.unwrap_or_default();
            let sealed = Some(sealed.to_vec()).filter(|sealed| !sealed.is_empty());
            found.push(StoredInstance { key, upstream, first_seen, last_seen, sealed });
        }
        Ok(found)
    }
}

fn times(value: &[u8]) -> Option<(UnixSeconds, UnixSeconds, &[u8])> {
    let (&[LAYOUT], rest) = value.split_first_chunk::<1>()? else { return None };
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (last, sealed) = rest.split_first_chunk::<8>()?;
    Some((UnixSeconds(u64::from_be_bytes(*first)), UnixSeconds(u64::from_be_bytes(*last)), sealed))
}
