//! The pieces of an export. First every table from its beginning to its end, a piece at a time between batches; then, again and
//! again, what has changed since it began; and when nothing of that is left, the end, which is the moment that the export shows.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::job_rows::{Head, read_list_key};
use super::{FORMAT, TableError, Tables};
use crate::store::JobWrite;
use crate::store::export::{self, ExportStep, Record};
use crate::store::sled::journal::{Done, Journal, Read};
use crate::telemetry::unix_now;

/// Entries of one piece, and bytes.
const PIECE_ENTRIES: usize = 512;
const PIECE_BYTES: usize = 128 * 1024;
/// Changes of one piece: more than a batch makes, so that there is an end.
const PIECE_CHANGES: usize = 4096;
/// Changes that are remembered; an export that is taken so slowly is given up.
const CHANGES_MAX: usize = 1_000_000;
/// Exports whose ends are remembered.
const ENDS_MAX: usize = 16;

/// What was written or removed since the export began that is being taken.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The latest export.
    export: u64,
    /// Where exports of this run ended that are not known to be complete.
    ends: Vec<u64>,
    changed: Option<BTreeSet<(u8, Vec<u8>)>>,
}

impl Changes {
    pub(super) fn add(&mut self, table: u8, key: &[u8]) {
        if let Some(changed) = &mut self.changed {
            changed.insert((table, key.to_vec()));
            if changed.len() > CHANGES_MAX {
                self.changed = None;
            }
        }
    }
}

impl Tables {
    /// The next piece, and what comes after it.
    pub(in super::super) fn export(
        &mut self,
        step: ExportStep,
        key_check: [u8; 16],
    ) -> Result<(Vec<u8>, Option<ExportStep>), TableError> {
        let left = TableError::Unreadable("an export: it took too long, or another one was begun");
        match step {
            ExportStep::Begin => {
                let export = self.changes.export + 1;
                if self.journal.is_none() {
                    let (instance, number) = (self.tip.instance, self.tip.number);
                    self.journal = Some(Journal::begin(&self.files.journal(), instance, number)?);
                }
                (self.changes.export, self.changes.changed) = (export, Some(BTreeSet::new()));
                let head = export::Head { format: FORMAT, key_check, begun: unix_now() };
                Ok((head.to_bytes(), Some(ExportStep::Entries { export, table: 0, after: Vec::new() })))
            }
            ExportStep::Entries { export, .. } | ExportStep::Changes { export }
                if export != self.changes.export || self.changes.changed.is_none() =>
            {
                Err(left)
            }
            ExportStep::Entries { export, table, after } => self.export_entries(export, table, after),
            ExportStep::Changes { export } => self.export_changes(export),
            ExportStep::Leave { export } => {
                if export == self.changes.export {
                    self.changes.changed = None;
                }
                Ok((Vec::new(), None))
            }
            ExportStep::Done { number } => {
                self.exported(number)?;
                Ok((Vec::new(), None))
            }
        }
    }

    /// An export that ended here is complete where it was taken to. Nothing else drops anything from the journal.
    fn exported(&mut self, number: u64) -> Result<(), TableError> {
        if !self.changes.ends.contains(&number) {
            return Err(TableError::Unreadable("an export that ended there, since the gate started"));
        }
        self.changes.ends.retain(|end| *end > number);
        if let Some(journal) = &mut self.journal {
            journal.exported(number)?;
        }
        Ok(())
    }

    /// Notes in the journal what was done.
    pub(in super::super) fn note_done(&mut self, done: impl FnOnce() -> Done) {
        if let Some(journal) = &mut self.journal {
            journal.add(self.tip.number, done());
        }
    }

    /// Begins the journal of a store that was made from an export which ended here; before it there may have been another.
    pub(in super::super) fn begin_journal(&mut self, end: u64, before: Option<&Read>) -> Result<(), TableError> {
        self.journal = Some(Journal::go_on(&self.files.journal(), self.tip.instance, end, before)?);
        Ok(())
    }

    /// Writes have higher numbers than this one from now on: so what a store of before had come to is never ahead of what is
    /// done in this one, and an export of either says by its end what it lacks of the journal.
    pub(in super::super) fn go_on_behind(&mut self, number: u64) {
        self.tip.number = self.tip.number.max(number);
    }

    /// Does again what a journal says, and notes it in this one's. No row is marked as erased by it: facts are in no journal, so
    /// that nobody knows whether the customer has come back since. Such rows are there for the next erasure.
    pub(in super::super) fn do_again(&mut self, done: &Done) -> Result<(), TableError> {
        self.do_once_more(done)?;
        self.note_done(|| done.clone());
        Ok(())
    }

    /// What was recorded since the export is in no journal: nobody knows any more whether a customer has come back since an
    /// erasure was accepted that is not over.
    pub(in super::super) fn forget_when_accepted(&mut self) -> Result<(), TableError> {
        let (jobs, unfinished) = (self.jobs.clone(), self.unfinished.clone());
        for key in unfinished.iter().keys() {
            let Some((_, id)) = read_list_key(&key?) else { continue };
            match self.head(id) {
                Ok(Some(head)) => drop(self.put(&jobs, id.as_bytes(), &Head { accepted: 0, ..head }.to_bytes())?),
                Ok(None) | Err(TableError::Unreadable(_)) => {}
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }

    fn do_once_more(&mut self, done: &Done) -> Result<(), TableError> {
        match done {
            Done::Step(write) => drop(self.commit(&JobWrite { erased: Vec::new(), ..write.clone() })?),
            Done::Hold(hold) => self.hold(hold)?,
            Done::Unhold(id) => drop(self.unhold(*id)?),
            Done::Upstream { number, name, identity } => self.give_number(*number, name, identity)?,
        }
        Ok(())
    }

    fn export_entries(
        &mut self,
        export: u64,
        nth: usize,
        after: Vec<u8>,
    ) -> Result<(Vec<u8>, Option<ExportStep>), TableError> {
        let mut bytes = Vec::new();
        let tables = self.all();
        let Some(table) = tables.get(nth) else { return Ok((bytes, Some(ExportStep::Changes { export }))) };
        let mut last = None;
        let start = if after.is_empty() { Unbounded } else { Excluded(after) };
        for entry in table.raw((start, Unbounded)).take(PIECE_ENTRIES) {
            let (key, value) = entry?;
            Record::Entry { table: table.id(), key: key.to_vec(), value: value.to_vec() }.append_to(&mut bytes);
            last = Some(key.to_vec());
            if bytes.len() > PIECE_BYTES {
                break;
            }
        }
        let (table, after) = last.map_or_else(|| (nth + 1, Vec::new()), |last| (nth, last));
        Ok((bytes, Some(ExportStep::Entries { export, table, after })))
    }

    fn export_changes(&mut self, export: u64) -> Result<(Vec<u8>, Option<ExportStep>), TableError> {
        let (tables, mut bytes) = (self.all(), Vec::new());
        for _ in 0..PIECE_CHANGES {
            let Some((id, key)) = self.changes.changed.as_mut().and_then(BTreeSet::pop_first) else {
                Record::End { number: self.tip.number, sum: self.tip.sum }.append_to(&mut bytes);
                self.changes.changed = None;
                self.changes.ends.push(self.tip.number);
                let first = self.changes.ends.len().saturating_sub(ENDS_MAX);
                self.changes.ends.drain(..first);
                return Ok((bytes, Some(ExportStep::Done { number: self.tip.number })));
            };
            let Some(table) = tables.iter().find(|table| table.id() == id) else { continue };
            let record = match table.get_raw(&key)? {
                Some(value) => Record::Entry { table: id, key, value: value.to_vec() },
                None => Record::Gone { table: id, key },
            };
            record.append_to(&mut bytes);
        }
        Ok((bytes, Some(ExportStep::Changes { export })))
    }
}
