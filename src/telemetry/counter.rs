//! The numbers of which the counters of the hot path are made.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn bump(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A row of counters with a fixed number of columns.
#[derive(Debug)]
pub(super) struct Row<const N: usize>([Counter; N]);

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> Row<N> {
    /// Columns are numbers of closed enums: one beyond the row does not exist.
    pub(super) fn bump(&self, column: usize) {
        if let Some(counter) = self.0.get(column) {
            counter.bump();
        }
    }

    pub(super) fn add_to(&self, sums: &mut [u64; N]) {
        for (sum, counter) in sums.iter_mut().zip(&self.0) {
            *sum += counter.read();
        }
    }
}
