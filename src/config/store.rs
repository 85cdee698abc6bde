//! `[store]`: where the index and the jobs are, and how they are kept.

use std::path::PathBuf;
use std::time::Duration;

/// `store.engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// sled, in one directory.
    Sled,
    /// Nothing durable: tests only.
    Memory,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// Which engine.
    pub engine: Engine,
    /// sled's directory.
    pub path: PathBuf,
    /// The file of the key from which all others derive; made at first start.
    pub key_file: PathBuf,
    /// How long a cache entry may be believed after its row was last written.
    pub lease: Duration,
    /// Bound of the known-pair cache, in entries.
    pub cache_entries: usize,
    /// Bound of the engine's own page cache, in bytes.
    pub cache_bytes: u64,
    /// Exports that the gate takes by itself.
    pub snapshot: Option<Snapshot>,
}

/// `store.snapshot`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How often.
    pub every: Duration,
    /// How many are kept, the newest ones.
    pub keep: usize,
    /// The folder that they go to.
    pub folder: PathBuf,
}
