//! What only tests set otherwise: how a store is opened and when it counts as broken.

use std::time::Duration;

/// What only tests set otherwise; no configuration reaches it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Sync the data file after each flush. Without it a power cut loses what was acknowledged: a test shows that.
    pub sync_data: bool,
    /// How long a batch may take before the store counts as broken.
    pub stall: Duration,
    /// How many works may wait for the writer.
    pub queue_bound: usize,
    /// How long the store may be in trouble before it counts as dead.
    pub dead_after: Duration,
    /// What an old store has to show. With less, damage is silent: a test shows that.
    pub check: Check,
    /// Whether to make a new store beside a key that was there before.
    pub new_store: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            sync_data: true,
            stall: Duration::from_secs(30),
            queue_bound: 16_384,
            dead_after: Duration::from_secs(180),
            check: Check::Whole,
            new_store: false,
        }
    }
}

/// What an old store has to show before it is used.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All its entries, and its tip.
    Whole,
    /// All its entries; a tip that is missing or behind which it is does not matter.
    Entries,
    /// Nothing.
    Nothing,
}
