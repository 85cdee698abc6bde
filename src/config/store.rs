//! `[store]`: where the index and the jobs are, and how they are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::{Secret, UpstreamTls};

/// `store.engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// sled, in one directory.
    Sled,
    /// Nothing durable: tests only.
    Memory,
    /// A server that speaks PostgreSQL's protocol, which several gates share.
    Postgres,
}

impl Engine {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Memory => "memory",
            Self::Postgres => "postgres",
        }
    }
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
    /// The server, if the engine is `postgres`.
    pub postgres: Option<Postgres>,
}

/// What `store` says of a server that speaks PostgreSQL's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// Where it is and who the gate is there: it holds a password, so it is a secret as a whole.
    pub url: Secret,
    /// The schema that all tables are in: a plain identifier, which needs no quotes.
    pub schema: String,
    /// How long a gate may go without having renewed its membership before it takes no labelled request any more.
    pub ttl: Duration,
    /// Where to listen for notifications, if `url` leads to a pooler, which does not pass them on.
    pub notify_url: Option<Secret>,
    /// Whom the gate believes, and what it shows of itself.
    pub tls: UpstreamTls,
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
