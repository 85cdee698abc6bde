//! The tables as they lie in sled, owned by the writer thread.
//!
//! No sled transaction is used: its batches hold a reservation open across buffers, and an I/O error in that state leaves
//! `flush` waiting for ever. Order does the work instead. sled's log comes back as a prefix of what was written, so a step
//! of several rows is first noted in one row, and what a crash left undone is done again at opening (`recover.rs`).

mod check;
mod error;
mod export;
mod holds;
mod instances;
mod job_rows;
mod jobs;
mod listing;
mod placements;
mod purge;
mod read_ahead;
mod recover;
mod table;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::{Db, IVec};

use self::check::{read_tip, sled_config};
pub(super) use self::error::TableError;
use self::export::Changes;
use self::job_rows::JobCounts;
use self::read_ahead::ReadAhead;
use self::table::Table;
use super::files::Files;
use super::journal::Journal;
use super::tip::{Tip, TipFile};
use super::{Tuning, report};
use crate::domain::UpstreamNumber;
use crate::store::{Figures, KnownUpstream};

/// Rows in one batch: well below sled's segment of 512 KiB, because sled reuses segments on the word of a
/// `sync_file_range` that promises nothing.
pub(super) const BATCH_ROWS: usize = 512;
/// Bytes of rows in one batch, for the same reason; sled writes about four times as much.
pub(super) const BATCH_BYTES: usize = 64 * 1024;

/// sled counts what its cache holds as it lies in the file; in memory it is about twice as large (measured on opening 100,000
/// jobs).
const CACHE_IN_MEMORY: u64 = 2;

const FORMAT: u32 = 3;
/// Says in `meta` what the latest removal takes from the sum.
const REMOVING: &[u8] = b"removing";
/// Unreadable entries that are remembered.
const UNREADABLE_MAX: usize = 1000;

/// Rows of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    rows: u64,
    erased: u64,
}

/// All tables, and what is counted about them.
pub(super) struct Tables {
    db: Db,
    data: File,
    files: Files,
    sync_data: bool,
    syncs: Arc<AtomicU64>,
    /// Pair key → row.
    placements: Table,
    /// Time of the mark ‖ pair key → nothing: what a sweep looks through.
    marked: Table,
    /// Job ID → head of the job, with its body if that is small.
    jobs: Table,
    /// Job ID ‖ generation ‖ kind ‖ number → a piece of a job's body, or of the marks that belong to its step.
    parts: Table,
    /// The note of the latest step, which may be half done; job ID → note of one that does not read.
    steps: Table,
    /// Tag ‖ job ID → summary.
    unfinished: Table,
    /// Time of the last step ‖ job ID → nothing: the finished ones, what a purge looks through.
    ended: Table,
    /// Job ID ‖ ID of another name of it → nothing.
    names: Table,
    /// ID → legal hold.
    holds: Table,
    /// Upstream ‖ keyed hash of an instance → when it was seen, and what it is, sealed.
    instances: instances::List,
    /// Number → name and identity.
    upstreams: Table,
    meta: Table,
    /// Number and sum of the latest write.
    tip: Tip,
    /// What the tip's file says.
    written_tip: Tip,
    /// There from the moment at which the store is complete.
    tip_file: Option<TipFile>,
    /// Whether the run before this one ended in good order. A new store has had none that did not.
    ended_well: bool,
    known_upstreams: BTreeMap<UpstreamNumber, KnownUpstream>,
    count: BTreeMap<UpstreamNumber, Count>,
    job_counts: JobCounts,
    /// The list of unfinished jobs, until it has been read once or changes.
    read_ahead: Option<ReadAhead>,
    /// Table and key of what was met and does not read.
    unreadable: BTreeSet<(&'static str, Vec<u8>)>,
    changes: Changes,
    /// There from the first export on.
    journal: Option<Journal>,
    dirty_rows: usize,
    dirty_bytes: usize,
    /// Bytes of rows that this run has written.
    written: u64,
}

impl Tables {
    /// Which format this version reads and writes.
    pub(super) const FORMAT: u32 = FORMAT;

    /// Opens sled in `files` and everything in it, and reads all of it; blocking.
    pub(super) fn open(
        files: &Files,
        cache_bytes: u64,
        key_check: [u8; 16],
        tuning: &Tuning,
        syncs: &Arc<AtomicU64>,
    ) -> Result<Self, TableError> {
        let is_new = !files.store_exists()?;
        // Before sled touches anything.
        let tip = if is_new { None } else { read_tip(files, tuning.check)? };
        if is_new {
            files.begin_creation()?;
            files.clear()?;
        } else {
            files.mend_before_opening()?;
        }
        let config = sled_config(files).cache_capacity(cache_bytes / CACHE_IN_MEMORY);
        let mut tables = Self::of(config.open()?, files, tuning, syncs)?;
        if is_new {
            tables.make(key_check)?;
        } else {
            tables.check_meta(key_check)?;
            tables.add_up(tip.as_ref().map(|(_, tip)| *tip), tuning.check)?;
            match tip {
                Some((file, tip)) => {
                    (tables.tip_file, tables.written_tip) = (Some(file), tip);
                    (tables.tip.journal, tables.tip.upstreams) = (tip.journal, tip.upstreams);
                }
                None => tables.make_tip()?,
            }
            files.sync_names()?;
        }
        tables.journal = Journal::open(&files.journal(), tables.tip.instance, tables.tip.journal)?;
        tables.read_upstreams()?;
        tables.begin_run()?;
        tables.finish_steps()?;
        tables.sync()?;
        Ok(tables)
    }

    fn of(db: Db, files: &Files, tuning: &Tuning, syncs: &Arc<AtomicU64>) -> Result<Self, TableError> {
        Ok(Self {
            data: files.open_data()?,
            files: files.clone(),
            sync_data: tuning.sync_data,
            syncs: Arc::clone(syncs),
            meta: Table::open(&db, "meta")?,
            placements: Table::open(&db, "placements")?,
            marked: Table::open(&db, "marked")?,
            jobs: Table::open(&db, "jobs")?,
            parts: Table::open(&db, "parts")?,
            steps: Table::open(&db, "steps")?,
            unfinished: Table::open(&db, "unfinished")?,
            upstreams: Table::open(&db, "upstreams")?,
            ended: Table::open(&db, "ended")?,
            names: Table::open(&db, "names")?,
            holds: Table::open(&db, "holds")?,
            instances: instances::List::of(Table::open(&db, "instances")?),
            db,
            tip: Tip::default(),
            written_tip: Tip::default(),
            tip_file: None,
            ended_well: true,
            known_upstreams: BTreeMap::new(),
            count: BTreeMap::new(),
            job_counts: JobCounts::default(),
            read_ahead: None,
            unreadable: BTreeSet::new(),
            changes: Changes::default(),
            journal: None,
            dirty_rows: 0,
            dirty_bytes: 0,
            written: 0,
        })
    }

    /// Every table.
    fn all(&self) -> Vec<Table> {
        let [meta, placements, marked, jobs] = [&self.meta, &self.placements, &self.marked, &self.jobs];
        let [parts, steps, unfinished, upstreams] = [&self.parts, &self.steps, &self.unfinished, &self.upstreams];
        let others = [&self.ended, &self.names, &self.holds, &self.instances.table];
        let all = [meta, placements, marked, jobs, parts, steps, unfinished, upstreams];
        all.into_iter().chain(others).cloned().collect()
    }

    /// What a new store begins with.
    fn make(&mut self, key_check: [u8; 16]) -> Result<(), TableError> {
        let meta = self.meta.clone();
        getrandom::fill(&mut self.tip.instance).map_err(io::Error::other)?;
        let instance = self.tip.instance;
        self.put(&meta, b"format", &FORMAT.to_be_bytes())?;
        self.put(&meta, b"instance", &instance)?;
        self.put(&meta, b"key-check", &key_check)?;
        self.put(&meta, b"closed", &[1])?;
        self.sync()?;
        self.make_tip()?;
        Ok(self.files.created()?)
    }

    /// The first run notes that it is under way before it changes anything.
    fn begin_run(&mut self) -> Result<(), TableError> {
        let closed = self.remove(&self.meta.clone(), b"closed")?;
        self.ended_well = closed.is_some_and(|well| *well == [1]);
        self.sync()
    }

    /// Whether the run before this one ended in good order.
    pub(super) const fn ended_well(&self) -> bool {
        self.ended_well
    }

    /// An entry does not read. It stays as it is, for whoever can make something of it, and must not keep the store from
    /// serving all the others.
    pub(super) fn leave_unread(&mut self, table: &'static str, key: &[u8]) {
        if self.unreadable.len() == UNREADABLE_MAX {
            return;
        }
        if self.unreadable.iter().all(|(known, _)| *known != table) {
            report::unreadable(table);
        }
        self.unreadable.insert((table, key.to_vec()));
    }

    /// Makes everything durable and closes. `well`: nothing of this run is under way any more, here or elsewhere. Gives the
    /// bytes of rows that the run wrote.
    pub(super) fn close(mut self, well: bool) -> Result<u64, TableError> {
        self.put(&self.meta.clone(), b"closed", &[u8::from(well)])?;
        self.sync()?;
        Ok(self.written)
    }

    /// Opens and closes sled alone, in a store that is closed: only then does it note where everything is, and the next
    /// opening need not read its whole log for that.
    pub(super) fn note_places(files: &Files) -> Result<(), TableError> {
        drop(sled_config(files).open()?);
        Ok(files.sync_names()?)
    }

    /// Whether something is not durable yet.
    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty_rows > 0
    }

    /// Makes every write so far durable: sled's flush, which only starts the write-back, then the data file's own sync, and
    /// then the tip. None is ever tried again: after an error it is not known what is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), TableError> {
        self.db.flush()?;
        if self.sync_data {
            self.data.sync_data()?;
        }
        if let Some(journal) = &mut self.journal {
            journal.sync(self.sync_data)?;
        }
        // Where it is missing its tip goes on saying how far it went.
        self.tip.journal = self.journal.as_ref().map_or(self.tip.journal, Journal::last);
        if let Some(file) = self.tip_file.as_mut().filter(|_| self.written_tip != self.tip) {
            file.write(self.tip, self.sync_data)?;
            self.written_tip = self.tip;
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        (self.dirty_rows, self.dirty_bytes) = (0, 0);
        Ok(())
    }

    /// Gives the store another name, in itself and in its tip.
    pub(super) fn name_anew(&mut self) -> Result<(), TableError> {
        getrandom::fill(&mut self.tip.instance).map_err(io::Error::other)?;
        let instance = self.tip.instance;
        self.put(&self.meta.clone(), b"instance", &instance)?;
        self.sync()
    }

    fn make_tip(&mut self) -> Result<(), TableError> {
        self.tip_file = Some(TipFile::make(&self.files.tip(), self.tip)?);
        self.written_tip = self.tip;
        Ok(())
    }

    pub(super) fn figures(&self) -> Result<Figures, TableError> {
        let total = self.count.values().fold(Count::default(), |sum, count| Count {
            rows: sum.rows + count.rows,
            erased: sum.erased + count.erased,
        });
        Ok(Figures {
            rows: total.rows,
            erased_rows: total.erased,
            unfinished_jobs: self.job_counts.unfinished,
            jobs: self.job_counts.jobs,
            bytes: self.files.bytes()?,
            syncs: self.syncs.load(Ordering::Relaxed),
            unreadable: self.unreadable.len() as u64,
        })
    }

    fn put(&mut self, table: &Table, key: &[u8], value: &[u8]) -> Result<Option<IVec>, TableError> {
        self.make_room(key.len() + value.len())?;
        self.write(table, key, value)
    }

    fn write(&mut self, table: &Table, key: &[u8], value: &[u8]) -> Result<Option<IVec>, TableError> {
        let (old, share) = table.old(key)?.unzip();
        self.write_over(table, (key, value), share)?;
        Ok(old)
    }

    /// What will be missing from the sum is written down first: nothing of an entry that is gone says when it went.
    fn remove(&mut self, table: &Table, key: &[u8]) -> Result<Option<IVec>, TableError> {
        self.make_room(key.len())?;
        let Some((old, share)) = table.old(key)? else { return Ok(None) };
        self.changes_soon(table);
        self.write(&self.meta.clone(), REMOVING, &share.to_be_bytes())?;
        table.remove(key)?;
        self.changes.add(table.id(), key);
        self.tip.sum = self.tip.sum.wrapping_sub(share);
        Ok(Some(old))
    }

    /// What was read ahead of a table is not true any more.
    fn changes_soon(&mut self, table: &Table) {
        if table.id() == self.unfinished.id() {
            self.read_ahead = None;
        }
    }

    /// A step of very many rows is made durable in pieces.
    fn make_room(&mut self, bytes: usize) -> Result<(), TableError> {
        if self.dirty_rows >= 2 * BATCH_ROWS || self.dirty_bytes > 2 * BATCH_BYTES {
            self.sync()?;
        }
        self.dirty_rows += 1;
        self.dirty_bytes += bytes;
        self.written += bytes as u64;
        Ok(())
    }
}
