//! Counters of the exports that the gate takes by itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::UnixSeconds;

/// What became of snapshots. One set for all: they are few.
#[derive(Debug, Default)]
pub struct SnapshotCounters {
    taken: AtomicU64,
    failed: AtomicU64,
    /// Seconds since 1970; 0: there is none.
    newest: AtomicU64,
}

impl SnapshotCounters {
    /// One was taken.
    pub fn taken(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    /// One could not be taken.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// When the newest that is there was taken, also by a run before this one.
    pub fn newest_is_of(&self, time: UnixSeconds) {
        self.newest.store(time.0, Relaxed);
    }

    /// How many ended how, by the word for it.
    pub(super) fn results(&self) -> [(&'static str, u64); 2] {
        [("taken", self.taken.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }
}
