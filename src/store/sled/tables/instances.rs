//! The instances that were ever recorded with a row: without a customer, so that it is known how many an upstream has.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use super::table::Table;
use super::upstreams::number;
use super::{TableError, Tables};
use crate::domain::UnixSeconds;
use crate::store::INSTANCES_MAX;
use crate::store::instances::StoredInstance;

/// An entry's first byte where the service has taken something there. Entries of before that was noted have it, too.
const ANSWERED: u8 = 1;
/// And where nothing is known to have been taken.
const UNANSWERED: u8 = 2;

/// Every instance, and how many each upstream has.
#[derive(Debug)]
pub(super) struct List {
    pub(super) table: Table,
    /// Of an upstream, once it was counted: those without an answer, those with one.
    counts: BTreeMap<[u8; 2], [usize; 2]>,
}

impl List {
    pub(super) const fn of(table: Table) -> Self {
        Self { table, counts: BTreeMap::new() }
    }

    /// What is not known as unanswered counts as answered.
    fn counted(&mut self, upstream: [u8; 2]) -> Result<&mut [usize; 2], TableError> {
        match self.counts.entry(upstream) {
            Occupied(counted) => Ok(counted.into_mut()),
            Vacant(place) => {
                let mut counts = [0; 2];
                for entry in self.table.scan_prefix(upstream) {
                    let [unanswered, answered] = &mut counts;
                    *(if is_answered(&entry?.1) { answered } else { unanswered }) += 1;
                }
                Ok(place.insert(counts))
            }
        }
    }
}

impl Tables {
    /// Notes that this instance was seen, or that it was answered. Beyond the bound nothing is noted: the list is full then,
    /// and says so. Those that were never answered take no place of the others.
    pub(in super::super) fn note_instance(
        &mut self,
        key: [u8; 10],
        sealed: &[u8],
        seen: UnixSeconds,
        answered: bool,
    ) -> Result<(), TableError> {
        let known = self.instances.table.get(key)?;
        let was = known.as_deref().map(is_answered);
        if answered && was == Some(true) {
            return Ok(());
        }
        let (is, [high, low, ..]) = (answered || was == Some(true), key);
        let [without, with] = self.instances.counted([high, low])?;
        let count = if is { &mut *with } else { &mut *without };
        if was != Some(is) {
            if *count >= INSTANCES_MAX {
                return Ok(());
            }
            *count += 1;
            *without -= usize::from(was == Some(false));
        }
        let first = known.as_deref().and_then(times).map_or(seen, |(first, ..)| first);
        let layout = if is { ANSWERED } else { UNANSWERED };
        let value = [&[layout], first.0.to_be_bytes().as_slice(), &seen.0.to_be_bytes(), sealed].concat();
        self.put(&self.instances.table.clone(), &key, &value)?;
        Ok(())
    }

    /// All of them.
    pub(in super::super) fn instances(&mut self) -> Result<Vec<StoredInstance>, TableError> {
        let mut found = Vec::new();
        for entry in &self.instances.table.clone() {
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
            let answered = is_answered(&value);
            found.push(StoredInstance { key, upstream, first_seen, last_seen, answered, sealed });
        }
        Ok(found)
    }
}

fn is_answered(value: &[u8]) -> bool {
    value.first() != Some(&UNANSWERED)
}

fn times(value: &[u8]) -> Option<(UnixSeconds, UnixSeconds, &[u8])> {
    let (&[ANSWERED | UNANSWERED], rest) = value.split_first_chunk::<1>()? else { return None };
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (last, sealed) = rest.split_first_chunk::<8>()?;
    Some((UnixSeconds(u64::from_be_bytes(*first)), UnixSeconds(u64::from_be_bytes(*last)), sealed))
}
