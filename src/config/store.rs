//! `[store]`: where the index and the jobs are, and how they are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Secret, UpstreamTls, describe, format_duration, format_size};

/// `store.engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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

impl Serialize for Store {
    /// Each engine has keys of its own, and the file takes no other's.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut keys = vec![
            ("engine", json!(self.engine)),
            ("key", json!({ "file": self.key_file.to_string_lossy() })),
            ("lease", json!(format_duration(self.lease))),
            ("cache_entries", json!(self.cache_entries)),
        ];
        match &self.postgres {
            Some(postgres) => keys.extend([
                ("url", json!(postgres.url)),
                ("schema", json!(postgres.schema)),
                ("ttl", json!(format_duration(postgres.ttl))),
                ("notify_url", json!(postgres.notify_url)),
                ("tls", json!(postgres.tls)),
            ]),
            None => keys.extend([
                ("path", json!(self.path.to_string_lossy())),
                ("cache_bytes", json!(format_size(self.cache_bytes))),
                ("snapshot", json!(self.snapshot)),
            ]),
        }
        to.collect_map(keys)
    }
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
