//! `[store]`: where the index and the jobs are, and how they are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::describe;

/// `store.engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// sled, in one directory.
    Sled,
    /// Nothing durable: tests only.
    Memory,
}

/// `[store]`
#[derive(Clone, Debug, Serialize)]
pub struct Store {
    /// Which engine.
    pub engine: Engine,
    /// sled's directory.
    #[serde(serialize_with = "describe::path")]
    pub path: PathBuf,
    /// The file of the key from which all others derive; made at first start.
    #[serde(rename = "key", serialize_with = "describe::in_file")]
    pub key_file: PathBuf,
    /// How long a cache entry may be believed after its row was last written.
    #[serde(serialize_with = "describe::duration")]
    pub lease: Duration,
    /// Bound of the known-pair cache, in entries.
    pub cache_entries: usize,
    /// Bound of the engine's own page cache, in bytes.
    #[serde(serialize_with = "describe::size")]
    pub cache_bytes: u64,
    /// Exports that the gate takes by itself.
    pub snapshot: Option<Snapshot>,
}

/// `store.snapshot`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// How often.
    #[serde(serialize_with = "describe::duration")]
    pub every: Duration,
    /// How many are kept, the newest ones.
    pub keep: usize,
    /// The folder that they go to.
    #[serde(rename = "path", serialize_with = "describe::path")]
    pub folder: PathBuf,
}
