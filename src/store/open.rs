//! Opening the store at start: the key first, then the engine that the configuration names. Blocking.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::memory::MemoryStore;
use super::seal::Keys;
use super::seal::key_file::{self, Failure as KeyFailure, KeyBytes};
use super::sled::{self, SledStore, Tuning};
use super::{Index, Jobs};
use crate::config::{self, Engine};
use crate::telemetry::events;

/// An open store. It is closed, and its lock released, when both handles are gone.
pub struct Opened {
    /// The keys of this store.
    pub keys: Arc<Keys>,
    /// Which upstream holds whose data.
    pub index: Arc<dyn Index>,
    /// The erasures.
    pub jobs: Arc<dyn Jobs>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Why the store does not open. All of these refuse the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no usable key.
    #[error("the store's key cannot be used")]
    Key(#[from] KeyFailure),
    /// The key is not the one that the store was made with.
    #[error("{key_file} is not the key that the store in {path} was made with")]
    WrongKey {
        /// The store.
        path: PathBuf,
        /// The key.
        key_file: PathBuf,
    },
    /// Another process has it open.
    #[error("the store in {path} is in use by another process")]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// Made by another version.
    #[error("the store in {path} has format {found}, which this version does not read: use the version that made it")]
    Format {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its files do not hold together.
    #[error("the store in {path} is damaged: {reason}")]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The files cannot be read or written.
    #[error("the store in {path} cannot be read or written")]
    Io {
        /// The store.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the store that the configuration names, and makes it if there is none.
///
/// # Errors
///
/// [`OpenError`]; an old store is never given a new key.
pub fn open(config: &config::Store) -> Result<Opened, OpenError> {
    open_with(config, Tuning::default())
}

/// As [`open`], with what only tests set otherwise.
///
/// # Errors
///
/// [`OpenError`].
#[doc(hidden)]
pub fn open_with(config: &config::Store, tuning: Tuning) -> Result<Opened, OpenError> {
    match config.engine {
        Engine::Sled => {
            let key = if sled::exists(config)? {
                let missing = || KeyFailure::Missing { path: config.key_file.clone() };
                key_file::read(&config.key_file)?.ok_or_else(missing)?
            } else {
                read_or_make_key(config)?
            };
            let keys = Arc::new(Keys::derive(&key));
            let store = Arc::new(SledStore::open(config, Arc::clone(&keys), tuning)?);
            Ok(Opened { keys, index: Arc::clone(&store) as Arc<dyn Index>, jobs: store })
        }
        Engine::Memory => {
            let keys = Arc::new(Keys::derive(&*read_or_make_key(config)?));
            let store = Arc::new(MemoryStore::new(Arc::clone(&keys)));
            Ok(Opened { keys, index: Arc::clone(&store) as Arc<dyn Index>, jobs: store })
        }
    }
}

/// A new key is said aloud: whoever loses it can erase nothing any more.
fn read_or_make_key(config: &config::Store) -> Result<KeyBytes, OpenError> {
    if let Some(key) = key_file::read(&config.key_file)? {
        return Ok(key);
    }
    let key = key_file::read_or_make(&config.key_file)?;
    events::KeyMade { path: &config.key_file.display().to_string() }.emit();
    Ok(key)
}
