//! The tables as they lie in sled, owned by the writer thread.
//!
//! No sled transaction is used: its batches hold a reservation open across buffers, and an I/O error in that state leaves
//! `flush` waiting for ever. Order does the work instead. sled's log comes back as a prefix of what was written, so a step
//! of several rows is first noted in one row, and what a crash left undone is done again at opening (`recover.rs`).

mod holds;
mod job_rows;
mod jobs;
mod listing;
mod placements;
mod purge;
mod recover;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::{Db, IVec, Tree};

use self::job_rows::JobCounts;
use super::files::Files;
use super::{Tuning, report};
use crate::domain::UpstreamNumber;
use crate::store::{Figures, KnownUpstream};

/// Rows in one batch: well below sled's segment of 512 KiB, because sled reuses segments on the word of a
/// `sync_file_range` that promises nothing.
pub(super) const BATCH_ROWS: usize = 512;
/// Bytes of rows in one batch, for the same reason; sled writes about four times as much.
pub(super) const BATCH_BYTES: usize = 64 * 1024;

const FORMAT: u32 = 2;
/// Unreadable entries that are remembered.
const UNREADABLE_MAX: usize = 1000;

/// What went wrong with the tables. All but `Unreadable` and `TooLarge`, which are one asker's, break the engine: it is
/// opened again from its files.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    /// sled said so.
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    /// Making it durable failed.
    #[error("the data file could not be made durable")]
    Sync(#[from] io::Error),
    /// sled panicked. Its message is made of what it was given, and is not kept.
    #[error("sled panicked, and the log says where")]
    Panic,
    /// Something in the files does not read.
    #[error("the store holds something that cannot be read: {0}")]
    Unreadable(&'static str),
    /// Something is larger than the tables take.
    #[error("{0} is larger than the store takes")]
    TooLarge(&'static str),
    /// Made by another version.
    #[error("the store has format {found}, this version reads format {FORMAT}")]
    Format {
        /// Which.
        found: u32,
    },
    /// Made with another key.
    #[error("the store was made with another key")]
    WrongKey,
}

/// Rows of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    rows: u64,
    erased: u64,
}

impl Count {
    fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.rows) << 64) | u128::from(self.erased)).to_be_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rows, erased) = bytes.split_first_chunk::<8>()?;
        Some(Self { rows: u64::from_be_bytes(*rows), erased: u64::from_be_bytes(erased.try_into().ok()?) })
    }
}

/// All tables, and what is counted about them.
pub(super) struct Tables {
    db: Db,
    data: File,
    files: Files,
    sync_data: bool,
    syncs: Arc<AtomicU64>,
    /// Pair key → row.
    placements: Tree,
    /// Time of the mark ‖ pair key → nothing: what a sweep looks through.
    marked: Tree,
    /// Job ID → head of the job, with its body if that is small.
    jobs: Tree,
    /// Job ID ‖ generation ‖ kind ‖ number → a piece of a job's body, or of the marks that belong to its step.
    parts: Tree,
    /// The note of the latest step, which may be half done; job ID → note of one that does not read.
    steps: Tree,
    /// Tag ‖ job ID → summary.
    unfinished: Tree,
    /// Time of the last step ‖ job ID → nothing: the finished ones, what a purge looks through.
    ended: Tree,
    /// Job ID ‖ ID of another name of it → nothing.
    names: Tree,
    /// ID → legal hold.
    holds: Tree,
    /// Number → name and identity.
    upstreams: Tree,
    /// Number → count, as it was when the store was last closed in good order.
    counts: Tree,
    meta: Tree,
    known_upstreams: BTreeMap<UpstreamNumber, KnownUpstream>,
    count: BTreeMap<UpstreamNumber, Count>,
    job_counts: JobCounts,
    /// Table and key of what was met and does not read.
    unreadable: BTreeSet<(&'static str, Vec<u8>)>,
    dirty_rows: usize,
    dirty_bytes: usize,
}

impl Tables {
    /// Opens sled in `files` and everything in it; blocking.
    pub(super) fn open(
        files: &Files,
        cache_bytes: u64,
        key_check: [u8; 16],
        tuning: &Tuning,
        syncs: &Arc<AtomicU64>,
    ) -> Result<Self, TableError> {
        let is_new = !files.store_exists()?;
        if is_new {
            files.begin_creation()?;
        } else {
            files.mend_before_opening()?;
        }
        let config = sled::Config::new().path(files.directory()).cache_capacity(cache_bytes);
        // No thread of sled's own: its periodic flush would put writes beyond our batches on the disk.
        let db = config.flush_every_ms(None).open()?;
        let mut tables = Self {
            data: files.open_data()?,
            files: files.clone(),
            sync_data: tuning.sync_data,
            syncs: Arc::clone(syncs),
            placements: db.open_tree("placements")?,
            marked: db.open_tree("marked")?,
            jobs: db.open_tree("jobs")?,
            parts: db.open_tree("parts")?,
            steps: db.open_tree("steps")?,
            unfinished: db.open_tree("unfinished")?,
            ended: db.open_tree("ended")?,
            names: db.open_tree("names")?,
            holds: db.open_tree("holds")?,
            upstreams: db.open_tree("upstreams")?,
            counts: db.open_tree("counts")?,
            meta: db.open_tree("meta")?,
            db,
            known_upstreams: BTreeMap::new(),
            count: BTreeMap::new(),
            job_counts: JobCounts::default(),
            unreadable: BTreeSet::new(),
            dirty_rows: 0,
            dirty_bytes: 0,
        };
        tables.check_meta(is_new, key_check)?;
        if is_new {
            files.created()?;
        } else {
            files.sync_names()?;
        }
        tables.read_counts()?;
        tables.finish_steps()?;
        tables.sync()?;
        Ok(tables)
    }

    fn check_meta(&mut self, is_new: bool, key_check: [u8; 16]) -> Result<(), TableError> {
        if is_new {
            let mut instance = [0; 16];
            getrandom::fill(&mut instance).map_err(io::Error::other)?;
            self.put(&self.meta.clone(), b"format", &FORMAT.to_be_bytes())?;
            self.put(&self.meta.clone(), b"instance", &instance)?;
            self.put(&self.meta.clone(), b"key-check", &key_check)?;
            self.put(&self.meta.clone(), b"closed", &[])?;
            return self.sync();
        }
        let format = self.meta.get(b"format")?.and_then(|format| format.as_ref().try_into().ok());
        match format.map(u32::from_be_bytes) {
            None => return Err(TableError::Unreadable("its format")),
            Some(FORMAT) => {}
            Some(found) => return Err(TableError::Format { found }),
        }
        let ours = self.meta.get(b"key-check")?.is_some_and(|check| *check == key_check);
        if ours { Ok(()) } else { Err(TableError::WrongKey) }
    }

    /// Counts are kept in memory, written when the store closes in good order, and counted anew when it did not.
    fn read_counts(&mut self) -> Result<(), TableError> {
        self.read_upstreams()?;
        let closed_well = self.meta.remove(b"closed")?.is_some();
        self.dirty_rows += 1;
        // What the note said is true no longer from the first write on.
        self.sync()?;
        if !(closed_well && self.read_written_counts()?) {
            self.count_placements()?;
        }
        Ok(())
    }

    /// `false` if they do not read.
    fn read_written_counts(&mut self) -> Result<bool, TableError> {
        for entry in &self.counts {
            let (number, count) = entry?;
            let Some((number, count)) = upstreams::number(&number).zip(Count::from_bytes(&count)) else {
                return Ok(false);
            };
            self.count.insert(number, count);
        }
        Ok(true)
    }

    /// An entry does not read. It stays as it is, for whoever can make something of it, and must not keep the store from
    /// serving all the others.
    fn leave_unread(&mut self, table: &'static str, key: &[u8]) {
        if self.unreadable.len() == UNREADABLE_MAX {
            return;
        }
        if self.unreadable.iter().all(|(known, _)| *known != table) {
            report::unreadable(table);
        }
        self.unreadable.insert((table, key.to_vec()));
    }

    /// Makes everything durable and closes in good order.
    pub(super) fn close(mut self) -> Result<(), TableError> {
        let counts = self.counts.clone();
        for (number, count) in self.count.clone() {
            self.put(&counts, &number.0.to_be_bytes(), &count.to_bytes())?;
        }
        self.put(&self.meta.clone(), b"closed", &[])?;
        self.sync()
    }

    /// Is there something that is not durable yet?
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty_rows > 0
    }

    /// Makes every write so far durable: sled's flush, which only starts the write-back, and then the data file's own
    /// sync. Neither is ever tried again: after an error it is not known what is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), TableError> {
        self.db.flush()?;
        if self.sync_data {
            self.data.sync_data()?;
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        (self.dirty_rows, self.dirty_bytes) = (0, 0);
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

    fn put(&mut self, tree: &Tree, key: &[u8], value: &[u8]) -> Result<Option<IVec>, TableError> {
        self.make_room(key.len() + value.len())?;
        Ok(tree.insert(key, value)?)
    }

    fn remove(&mut self, tree: &Tree, key: &[u8]) -> Result<Option<IVec>, TableError> {
        self.make_room(key.len())?;
        Ok(tree.remove(key)?)
    }

    /// A step of very many rows is made durable in pieces.
    fn make_room(&mut self, bytes: usize) -> Result<(), TableError> {
        if self.dirty_rows >= 2 * BATCH_ROWS || self.dirty_bytes > 2 * BATCH_BYTES {
            self.sync()?;
        }
        self.dirty_rows += 1;
        self.dirty_bytes += bytes;
        Ok(())
    }
}
