//! Rows: written by traffic, read and marked by erasures, swept when no cache can believe in them any more.

use std::collections::BTreeMap;

use sled::IVec;

use super::table::{Table, Trailer};
use super::{Count, TableError, Tables, UNREADABLE_MAX};
use crate::domain::{PairKey, Tag, UnixSeconds, UpstreamNumber};
use crate::store::row::StoredRow;

/// How many rows one step of a sweep removes, so that traffic never waits long for it.
const SWEEP_STEP: usize = 256;

impl Tables {
    /// Writes a row over an older one, as [`StoredRow::after`] says.
    pub(in super::super) fn record(&mut self, key: PairKey, row: StoredRow) -> Result<(), TableError> {
        let placements = self.placements.clone();
        let key_bytes = key.to_bytes();
        // Looked up once: nearly every row is new.
        let Some((old, share)) = placements.old(&key_bytes)? else {
            self.put_over(&placements, (&key_bytes, &row.to_bytes()), None)?;
            self.count_of(key.upstream).rows += 1;
            return Ok(());
        };
        let Some(old) = StoredRow::from_bytes(&old) else {
            // What was there is not to be read any more; what is now is.
            self.put_over(&placements, (&key_bytes, &row.to_bytes()), Some(share))?;
            return Ok(());
        };
        // The row before the list of marks: a crash in between leaves a mark that the sweep finds to be stale.
        self.put_over(&placements, (&key_bytes, &row.after(&old).to_bytes()), Some(share))?;
        if let Some(at) = old.erased_at {
            self.remove(&self.marked.clone(), &mark(at, &key_bytes))?;
            self.count_of(key.upstream).erased -= 1;
        }
        Ok(())
    }

    /// Writes an entry over one that was looked up already: `share` is that one's part of the sum.
    fn put_over(&mut self, table: &Table, (key, value): (&[u8], &[u8]), share: Option<u64>) -> Result<(), TableError> {
        self.make_room(key.len() + value.len())?;
        self.write_over(table, (key, value), share)
    }

    pub(super) fn write_over(
        &mut self,
        table: &Table,
        (key, value): (&[u8], &[u8]),
        share: Option<u64>,
    ) -> Result<(), TableError> {
        self.changes_soon(table);
        let (number, others) = (self.tip.number + 1, self.tip.sum.wrapping_sub(share.unwrap_or(0)));
        table.insert(key, value, Trailer { number, others })?;
        self.changes.add(table.id(), key);
        (self.tip.number, self.tip.sum) = (number, others.wrapping_add(table.share(key, value, number)));
        Ok(())
    }

    /// All rows under these tags, not opened, each with the number of its latest write; `None` for one that does not read.
    pub(in super::super) fn rows(
        &mut self,
        tags: &[Tag],
    ) -> Result<Vec<(PairKey, Option<StoredRow>, u64)>, TableError> {
        let mut found = Vec::new();
        for entry in tags.iter().flat_map(|tag| self.placements.numbered(tag.0)).collect::<Vec<_>>() {
            let (key, row, number) = entry?;
            // No row has such a key, so nothing was ever sent under it.
            let Some(pair) = PairKey::from_bytes(&key) else {
                self.leave_unread("placements", &key);
                continue;
            };
            let row = StoredRow::from_bytes(&row);
            if row.is_none() {
                self.leave_unread("placements", &key);
            }
            found.push((pair, row, number));
        }
        Ok(found)
    }

    /// Marks a row as erased. A row that is gone needs no mark.
    pub(super) fn mark_erased(&mut self, key: PairKey, at: UnixSeconds) -> Result<(), TableError> {
        // 0 stands for "not marked" in the row.
        let at = at.max(UnixSeconds(1));
        let (placements, marked) = (self.placements.clone(), self.marked.clone());
        let key_bytes = key.to_bytes();
        let Some((row, number)) = placements.get_numbered(key_bytes)? else { return Ok(()) };
        // One that does not read has done what it was for: from now on it says only that it was erased, and goes in time.
        let row = StoredRow::from_bytes(&row).unwrap_or_else(|| StoredRow::unknown(at));
        // The list before the row: the other way round a crash could leave a marked row that no sweep finds.
        self.put(&marked, &mark(at, &key_bytes), &[])?;
        self.put(&placements, &key_bytes, &row.clone().marked(at, number).to_bytes())?;
        match row.erased_at {
            None => self.count_of(key.upstream).erased += 1,
            Some(before) if before != at => {
                self.remove(&marked, &mark(before, &key_bytes))?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Removes some rows that were marked before `before`: how many, and whether there may be more.
    pub(in super::super) fn sweep_step(&mut self, before: UnixSeconds) -> Result<(u64, bool), TableError> {
        let marked = self.marked.clone();
        let end = before.0.to_be_bytes();
        let old = marked.range(..end.as_slice()).keys().take(SWEEP_STEP).collect::<Result<Vec<_>, _>>()?;
        let mut removed = 0;
        for entry in &old {
            let (at, key) = entry.split_first_chunk::<8>().ok_or(TableError::Unreadable("a mark"))?;
            match self.sweep_row(key, UnixSeconds(u64::from_be_bytes(*at))) {
                // The row stays; its mark goes, or no sweep would ever come past it.
                Err(TableError::Unreadable(_)) => self.leave_unread("placements", key),
                swept => removed += u64::from(swept?),
            }
            self.remove(&marked, entry)?;
        }
        Ok((removed, old.len() == SWEEP_STEP))
    }

    /// Removes a row if it is still marked at this time.
    fn sweep_row(&mut self, key: &[u8], at: UnixSeconds) -> Result<bool, TableError> {
        let placements = self.placements.clone();
        let upstream = pair_key(key)?.upstream;
        let row = placements.get(key)?.map(|row| read(&row)).transpose()?;
        if row.is_none_or(|row| row.erased_at != Some(at)) {
            return Ok(false);
        }
        self.remove(&placements, key)?;
        let count = self.count_of(upstream);
        count.rows -= 1;
        count.erased -= 1;
        Ok(true)
    }

    pub(super) fn count_of(&mut self, upstream: UpstreamNumber) -> &mut Count {
        self.count.entry(upstream).or_default()
    }
}

/// The rows that are found at opening.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) count: BTreeMap<UpstreamNumber, Count>,
    pub(super) unreadable: Vec<IVec>,
}

impl Rows {
    /// One that does not read is a row all the same: data is where its key says.
    pub(super) fn count(&mut self, key: &IVec, row: &[u8]) {
        let Some(pair) = PairKey::from_bytes(key) else { return self.leave_unread(key) };
        let row = StoredRow::from_bytes(row);
        if row.is_none() {
            self.leave_unread(key);
        }
        let count = self.count.entry(pair.upstream).or_default();
        count.rows += 1;
        count.erased += u64::from(row.is_some_and(|row| row.erased_at.is_some()));
    }

    fn leave_unread(&mut self, key: &IVec) {
        if self.unreadable.len() < UNREADABLE_MAX {
            self.unreadable.push(key.clone());
        }
    }

    pub(super) fn with(mut self, other: Self) -> Self {
        for (upstream, count) in other.count {
            let all = self.count.entry(upstream).or_default();
            (all.rows, all.erased) = (all.rows + count.rows, all.erased + count.erased);
        }
        self.unreadable.extend(other.unreadable);
        self
    }
}

fn mark(at: UnixSeconds, key: &[u8]) -> Vec<u8> {
    [at.0.to_be_bytes().as_slice(), key].concat()
}

fn pair_key(bytes: &[u8]) -> Result<PairKey, TableError> {
    PairKey::from_bytes(bytes).ok_or(TableError::Unreadable("a row's key"))
}

fn read(bytes: &[u8]) -> Result<StoredRow, TableError> {
    StoredRow::from_bytes(bytes).ok_or(TableError::Unreadable("a row"))
}
