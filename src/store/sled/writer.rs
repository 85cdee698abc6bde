//! The one thread that owns sled: it takes what waits, applies it, makes it durable once and answers all.
//!
//! Any error or panic breaks the engine: whoever waits is told so, traffic is refused, and the store is opened again
//! from its files, with back-off, until that succeeds. A failed sync is never repeated on the same writes. A store that does
//! not come out of its trouble counts as dead (`trouble`).

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Tuning;
use super::files::Files;
use super::tables::{BATCH_BYTES, BATCH_ROWS, TableError, Tables};
use super::trouble::Trouble;
use crate::domain::UnixSeconds;
use crate::store::queue::{Bound, Queue, Refusal, Work};
use crate::store::{Ending, report};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long closing waits for sled to let go of its lock: two seconds in all.
const RELEASE_PAUSE: Duration = Duration::from_millis(2);
const RELEASE_LOOKS: u32 = 1000;

/// Bytes of rows in one run, from which on the next start is spared their log.
const WORTH_NOTING: u64 = 4 << 20;

/// Tells the asker how it went; dropped without being called, it tells that the store is broken.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// Does something to the tables.
pub(super) type Apply = Box<dyn FnOnce(&mut Tables) -> Result<Answer, TableError> + Send>;

/// One thing to do with the tables, and how much it will write.
pub(super) struct TableWork {
    pub(super) bytes: usize,
    /// Does it. An error breaks the engine.
    pub(super) apply: Apply,
}

impl Work for TableWork {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What is needed to open the store, and to open it again.
pub(super) struct Opener {
    pub(super) path: PathBuf,
    pub(super) cache_bytes: u64,
    pub(super) key_check: [u8; 16],
    pub(super) tuning: Tuning,
}

impl Opener {
    pub(super) fn open(&self, syncs: &Arc<AtomicU64>) -> Result<Tables, TableError> {
        let files = Files::new(&self.path);
        guarded(|| Tables::open(&files, self.cache_bytes, self.key_check, &self.tuning, syncs))
    }

    /// sled's own threads hold the data file, and its lock, for a moment after the last handle is gone.
    pub(super) fn wait_until_released(&self) {
        let files = Files::new(&self.path);
        for _ in 0..RELEASE_LOOKS {
            if files.in_use().is_ok_and(|in_use| !in_use) {
                return;
            }
            thread::sleep(RELEASE_PAUSE);
        }
        report::warn("the store's lock is not released yet", None);
    }

    /// After a failure. `rewrite`: what the page cache holds is written again first; it is `false` again when that is done.
    fn reopen(&self, syncs: &Arc<AtomicU64>, rewrite: &mut bool) -> Result<Tables, TableError> {
        if std::mem::replace(rewrite, true) {
            Files::new(&self.path).rewrite_data()?;
        }
        let tables = self.open(syncs);
        *rewrite = tables.as_ref().is_err_and(may_leave_clean_pages);
        tables
    }
}

/// Whether there may be pages now that are not on the disk and count as clean.
const fn may_leave_clean_pages(error: &TableError) -> bool {
    matches!(error, TableError::Sync(_) | TableError::Sled(sled::Error::Io(_)))
}

/// What the writer shares with its askers and with the watchdog.
pub(super) struct Shared {
    pub(super) queue: Queue<TableWork>,
    pub(super) syncs: Arc<AtomicU64>,
    trouble: Trouble,
    /// Who waits for the sync that is under way. Dropping them tells them that the store is broken.
    waiting: Mutex<Vec<Answer>>,
    /// Odd while a batch is under way; every change is a new number.
    progress: AtomicU64,
}

impl Shared {
    pub(super) fn new(tuning: &Tuning, syncs: Arc<AtomicU64>) -> Self {
        Self {
            queue: Queue::new(Bound { works: tuning.queue_bound, bytes: usize::MAX }),
            syncs,
            trouble: Trouble::new(tuning.dead_after),
            waiting: Mutex::default(),
            progress: AtomicU64::new(0),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.trouble.is_bearable(self.queue.is_open(), Instant::now())
    }
}

/// Serves until the queue is closed and empty.
pub(super) fn run(shared: &Shared, opener: &Opener, first: Tables, ending: &Ending) {
    let mut tables = first;
    loop {
        match serve(shared, &mut tables) {
            Ok(()) => {
                if let Err(error) = close(tables, opener, ending) {
                    report::warn("the store did not close in good order", Some(&error));
                }
                return;
            }
            Err(error) => {
                shared.queue.refuse(Refusal::Broken);
                shared.waiting.lock().clear();
                let since = report::broken(&error);
                let times = shared.trouble.again(Instant::now());
                bury(tables);
                // Once for each trouble, and whenever a write has failed.
                let rewrite = times == 0 || may_leave_clean_pages(&error);
                let Some(again) = open_again(shared, opener, (times, rewrite)) else { return };
                tables = again;
                shared.trouble.over(Instant::now());
                shared.queue.accept(Refusal::Broken);
                report::recovered(since);
            }
        }
    }
}

fn close(tables: Tables, opener: &Opener, ending: &Ending) -> Result<(), TableError> {
    let written = guarded(AssertUnwindSafe(|| tables.close(ending.is_orderly())));
    opener.wait_until_released();
    if written? >= WORTH_NOTING {
        let files = Files::new(&opener.path);
        let noted = guarded(|| Tables::note_places(&files));
        opener.wait_until_released();
        noted?;
    }
    Ok(())
}

fn serve(shared: &Shared, tables: &mut Tables) -> Result<(), TableError> {
    while let Some(batch) = shared.queue.take(BATCH_ROWS, BATCH_BYTES) {
        shared.progress.fetch_add(1, Ordering::Relaxed);
        let done = guarded(AssertUnwindSafe(|| apply(shared, tables, batch)));
        shared.progress.fetch_add(1, Ordering::Relaxed);
        done?;
        for answer in std::mem::take(&mut *shared.waiting.lock()) {
            answer();
        }
    }
    Ok(())
}

/// Applies a batch in order and makes it durable. Readers get their answers with the writers before them, so nobody is
/// told what could still be lost.
fn apply(shared: &Shared, tables: &mut Tables, batch: Vec<TableWork>) -> Result<(), TableError> {
    let mut answers = Vec::with_capacity(batch.len());
    for work in batch {
        answers.push((work.apply)(tables)?);
    }
    *shared.waiting.lock() = answers;
    if tables.is_dirty() { tables.sync() } else { Ok(()) }
}

/// Lets a broken sled go on a thread of its own, since it may hang in its own closing. Until it has let go of its
/// lock, opening again fails.
fn bury(tables: Tables) {
    let buried = thread::Builder::new().name("store-burial".into()).spawn(move || {
        guarded(AssertUnwindSafe(|| {
            drop(tables);
            Ok(())
        }))
    });
    if buried.is_err() {
        report::warn("no thread could be started to close the broken store", None);
    }
}

/// Opens the store again, however long it takes; the more often it broke lately, the later. `None` when the queue was closed
/// meanwhile.
fn open_again(shared: &Shared, opener: &Opener, (times, mut rewrite): (u32, bool)) -> Option<Tables> {
    let mut pause = PAUSE_MIN.saturating_mul(1 << times.min(16)).min(PAUSE_MAX);
    while !shared.queue.closed_within(pause) {
        match opener.reopen(&shared.syncs, &mut rewrite) {
            Ok(tables) => return Some(tables),
            Err(error) => report::warn("the store does not open yet", Some(&error)),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    None
}

/// Looks after the writer: a panic in one of sled's own threads leaves its `flush` waiting for ever. When one batch has not moved
/// for the whole of `stall`, its askers and all in line are told that the store is broken, until it moves again.
pub(super) fn watch(shared: &Shared, stall: Duration) {
    const LOOKS: u32 = 8;
    let (mut last, mut unmoved, mut since) = (0, 0, UnixSeconds(0));
    loop {
        if shared.queue.closed_within(stall / LOOKS) {
            return;
        }
        let progress = shared.progress.load(Ordering::Relaxed);
        let stuck = progress % 2 == 1 && progress == last;
        if !stuck && unmoved >= LOOKS {
            shared.trouble.over(Instant::now());
            shared.queue.accept(Refusal::Stalled);
            report::recovered(since);
        }
        unmoved = if stuck { unmoved + 1 } else { 0 };
        last = progress;
        if unmoved == LOOKS {
            shared.queue.refuse(Refusal::Stalled);
            shared.waiting.lock().clear();
            shared.trouble.again(Instant::now());
            since = report::stalled(stall);
        }
    }
}

pub(super) fn guarded<T>(body: impl FnOnce() -> Result<T, TableError> + panic::UnwindSafe) -> Result<T, TableError> {
    panic::catch_unwind(body).unwrap_or(Err(TableError::Panic))
}
