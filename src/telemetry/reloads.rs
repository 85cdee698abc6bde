//! Counters of reloads: how many, how they ended, and whether what stands in the file is what is in force.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::clock;

/// What became of reloads of the configuration. One set for all: they are few.
#[derive(Debug, Default)]
pub struct ReloadCounters {
    applied: AtomicU64,
    refused: AtomicU64,
    /// Seconds since 1970; 0 before the first.
    last_applied: AtomicU64,
    differs: AtomicBool,
}

impl ReloadCounters {
    /// A configuration came into force by a reload.
    pub fn applied(&self) {
        self.applied.fetch_add(1, Relaxed);
        self.began();
    }

    /// A configuration came into force.
    pub fn began(&self) {
        self.last_applied.store(clock::unix_now().0, Relaxed);
    }

    /// One was refused.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Whether the file differs from the configuration in force.
    pub fn file_differs(&self, differs: bool) {
        self.differs.store(differs, Relaxed);
    }

    /// How many ended how, by the word for it.
    pub(super) fn results(&self) -> [(&'static str, u64); 2] {
        [("applied", self.applied.load(Relaxed)), ("refused", self.refused.load(Relaxed))]
    }

    pub(super) fn last_applied(&self) -> u64 {
        self.last_applied.load(Relaxed)
    }

    pub(super) fn differs(&self) -> bool {
        self.differs.load(Relaxed)
    }
}
