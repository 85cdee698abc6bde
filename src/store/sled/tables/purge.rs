//! Retention: finished jobs go with all that belongs to them, in steps that traffic does not wait long for.
//!
//! A removal is noted like a step (`jobs.rs`), and finished at opening. A job's other names go before it does.

use sled::IVec;
use uuid::Uuid;

use super::job_rows::{Head, Noted, Place, job_id, read_ended_key};
use super::{TableError, Tables};
use crate::domain::UnixSeconds;

/// Rows that one step removes, about.
const PURGE_STEP: usize = 256;

/// Where `meta` says to which time the gate has counted.
const TIME: &[u8] = b"time";

/// Where the next step goes on.
pub(in super::super) struct PurgedUntil(IVec);

impl Tables {
    /// Removes some finished jobs whose last step was before `before`: how many, their names not counted, and where to go
    /// on if there may be more.
    pub(in super::super) fn purge_step(
        &mut self,
        before: UnixSeconds,
        from: Option<&PurgedUntil>,
    ) -> Result<(u64, Option<PurgedUntil>), TableError> {
        let ended = self.ended.clone();
        let end = before.0.to_be_bytes();
        let start = from.map_or(&[][..], |from| &from.0);
        if start >= end.as_slice() {
            return Ok((0, None));
        }
        let (mut removed, mut room) = (0, PURGE_STEP);
        for entry in ended.range(start..end.as_slice()).keys() {
            let entry = entry?;
            if room == 0 {
                return Ok((removed, Some(PurgedUntil(entry))));
            }
            room -= 1;
            match self.purge_entry(&entry, &mut room) {
                Ok(Purged::Removed) => removed += 1,
                Ok(Purged::Stays) => {}
                Ok(Purged::NotYet) => return Ok((removed, Some(PurgedUntil(entry)))),
                // It stays with its entry, for whoever can make something of it.
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", entry.get(8..).unwrap_or_default()),
                Err(broken) => return Err(broken),
            }
        }
        Ok((removed, None))
    }

    /// Notes a time that is later than the one that is noted, and gives that or the last in the list.
    pub(in super::super) fn keep_time(&mut self, at: Option<UnixSeconds>) -> Result<Option<UnixSeconds>, TableError> {
        let meta = self.meta.clone();
        let noted = meta.get(TIME)?.and_then(|time| time.as_ref().try_into().ok());
        let noted = noted.map(|time| UnixSeconds(u64::from_be_bytes(time)));
        if let Some(at) = at.filter(|at| noted.is_none_or(|noted| noted < *at)) {
            self.put(&meta, TIME, &at.0.to_be_bytes())?;
        }
        match (noted, self.ended.iter().keys().next_back()) {
            (None, Some(last)) => Ok(Some(read_ended_key(&last?)?.0)),
            (noted, _) => Ok(noted),
        }
    }

    fn purge_entry(&mut self, entry: &[u8], room: &mut usize) -> Result<Purged, TableError> {
        let (at, id) = read_ended_key(entry)?;
        let head = self.head(id)?.filter(|head| head.finished && head.at == at);
        let Some(head) = head else {
            self.remove(&self.ended.clone(), entry)?;
            return Ok(Purged::Stays);
        };
        // Another name of a job that is there goes with that job; its list entry finds it then.
        if let Some(of) = head.of.filter(|of| *of != id)
            && self.jobs.contains_key(of.as_bytes())?
        {
            self.remove(&self.ended.clone(), entry)?;
            return Ok(Purged::Stays);
        }
        let names = self.names.clone();
        for key in names.scan_prefix(id.as_bytes()).keys() {
            if *room == 0 {
                return Ok(Purged::NotYet);
            }
            let key = key?;
            match self.purge_name(id, &key, room) {
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", key.get(16..).unwrap_or_default()),
                done => done?,
            }
        }
        self.remove_job(id, &head, room)?;
        Ok(Purged::Removed)
    }

    fn purge_name(&mut self, of: Uuid, key: &[u8], room: &mut usize) -> Result<(), TableError> {
        let name = job_id(key.get(16..).unwrap_or_default())?;
        match self.head(name)?.filter(|head| head.of == Some(of) && name != of) {
            Some(head) => self.remove_job(name, &head, room),
            None => self.remove(&self.names.clone(), key).map(drop),
        }
    }

    fn remove_job(&mut self, id: Uuid, head: &Head, room: &mut usize) -> Result<(), TableError> {
        let (place, mut counts) = (Place::of(head), self.job_counts);
        counts.subtract(head.finished);
        self.note(counts, Noted::Removal { id, place })?;
        let before = self.dirty_rows;
        self.finish_removal(id, place)?;
        *room = room.saturating_sub(self.dirty_rows.saturating_sub(before));
        Ok(())
    }

    /// After the note: can be done again from the start at any point.
    pub(super) fn finish_removal(&mut self, id: Uuid, place: Place) -> Result<(), TableError> {
        self.remove(&self.jobs.clone(), id.as_bytes())?;
        self.remove_from_lists(id, place, None)?;
        self.remove_pieces(id.as_bytes())?;
        Ok(())
    }
}

enum Purged {
    Removed,
    Stays,
    /// It has more names than one step removes.
    NotYet,
}
