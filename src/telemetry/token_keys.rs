//! Counters of the fetches of keys that tokens are verified with.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of the fetches. One set for all issuers: they are few.
#[derive(Debug, Default)]
pub struct TokenKeyCounters {
    fetched: AtomicU64,
    failed: AtomicU64,
    failing: AtomicU64,
}

impl TokenKeyCounters {
    /// A set was fetched.
    pub fn fetched(&self) {
        self.fetched.fetch_add(1, Relaxed);
    }

    /// One could not be fetched.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// From now on one more set fails, or one less.
    pub fn fails(&self, failing: bool) {
        if failing {
            self.failing.fetch_add(1, Relaxed);
        } else {
            self.failing.fetch_sub(1, Relaxed);
        }
    }

    /// How many ended how, by the word for it.
    pub(super) fn results(&self) -> [(&'static str, u64); 2] {
        [("fetched", self.fetched.load(Relaxed)), ("failed", self.failed.load(Relaxed))]
    }

    pub(super) fn failing(&self) -> u64 {
        self.failing.load(Relaxed)
    }
}
