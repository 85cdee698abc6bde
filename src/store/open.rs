//! Opening the store at start: the key first, then the engine that the configuration names. Blocking.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::memory::MemoryStore;
use super::seal::Keys;
use super::seal::key_file::{self, Failure as KeyFailure, KeyBytes};
use super::sled::{self, Check, Compacted, Found, RestoreError, Restored, Restoring, RewriteStep, SledStore, Tuning};
use super::{ConnectError, Index, Jobs, MigrateError, ServerFault, postgres};
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
    /// How the run before this one ended, and how this one does.
    pub ending: Ending,
}

/// Whether a run ended in good order. It is in the store itself, written by its last write when it is closed.
///
/// After a run that was cut, requests that were on their way may still arrive at their upstreams for a while, and an erasure must
/// reckon with them.
#[derive(Clone, Debug)]
pub struct Ending {
    before: bool,
    now: Arc<AtomicBool>,
}

impl Ending {
    pub(super) fn new(before: bool) -> Self {
        Self { before, now: Arc::new(AtomicBool::new(before)) }
    }

    /// Whether the run before this one ended in good order.
    #[must_use]
    pub const fn was_orderly(&self) -> bool {
        self.before
    }

    /// What the store will say of this run when it is closed: at first what it said of the one before.
    pub fn set_orderly(&self, orderly: bool) {
        self.now.store(orderly, Ordering::Relaxed);
    }

    pub(super) fn is_orderly(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }
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
    /// It ends before what was acknowledged: damage that looks like an end, or an old copy.
    #[error(
        "the store in {path} is older than it was: its latest write has number {found}, and number {expected} was \
         acknowledged; put back the files as they were, or restore it from an export (`forgetgate index restore`)"
    )]
    Behind {
        /// The store.
        path: PathBuf,
        /// The number of its latest write.
        found: u64,
        /// The number that its tip says.
        expected: u64,
    },
    /// What says how far it had come is gone.
    #[error(
        "{tip} {reason}, so nobody knows whether the store in {path} is whole; put the file back, restore the store from an \
         export (`forgetgate index restore`), or take it as it is (`forgetgate index accept`)"
    )]
    NoTip {
        /// The store.
        path: PathBuf,
        /// The file.
        tip: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Where a store is expected there is none.
    #[error(
        "there is no store in {path}, and its {remains} is there: a volume that is not mounted, or a store that was removed; put \
         it back, restore it from an export (`forgetgate index restore`), or make a new, empty one \
         (`forgetgate run --new-store`), which knows of no data and of no erasure from before"
    )]
    Gone {
        /// Where it should be.
        path: PathBuf,
        /// What of it is there.
        remains: String,
    },
    /// Its files do not hold together.
    #[error(
        "the store in {path} is damaged: {reason}; put back the files as they were, or restore it from an export \
         (`forgetgate index restore`)"
    )]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// What was asked for works on files, and the engine has none.
    #[error(
        "store.engine is \"{engine}\", and this works on the files of engine = \"sled\" alone; a store on a server is backed up, \
         restored and compacted with the server's own tools"
    )]
    NoFiles {
        /// The engine.
        engine: &'static str,
    },
    /// Where its schema is expected there is none.
    #[error(
        "there is no schema {schema} in the database, and {key_file} is there: another database, or tables that were lost; \
         put them back from a backup of the database, or make a new, empty store (`forgetgate store migrate`, or \
         `forgetgate run --new-store`), which knows of no data and of no erasure from before"
    )]
    NoSchema {
        /// Which schema.
        schema: String,
        /// The key.
        key_file: PathBuf,
    },
    /// No server can be used.
    #[error("the store's server cannot be used")]
    Connect(#[from] ConnectError),
    /// Its tables are not as this version needs them.
    #[error("the store's tables cannot be used")]
    Schema(#[source] MigrateError),
    /// The server did not do what it was asked at start.
    #[error("the store in {place} does not open: {fault}")]
    Server {
        /// Where it is.
        place: PathBuf,
        /// What the server said.
        fault: ServerFault,
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

/// As [`open`], and a store that is missing is made even where its key is there: whoever asks for it knows that nothing of
/// before will be found.
///
/// # Errors
///
/// [`OpenError`].
pub fn open_or_make(config: &config::Store) -> Result<Opened, OpenError> {
    open_with(config, Tuning { new_store: true, ..Tuning::default() })
}

/// As [`open`], and nothing is ever made.
///
/// # Errors
///
/// [`OpenError`], also where there is no store.
pub fn open_old(config: &config::Store) -> Result<Opened, OpenError> {
    if config.engine == Engine::Postgres {
        // A gate may be at it, and no lock would say so.
        has_files(config)?;
    }
    sled::finish_compaction(&config.path)?;
    let found = sled::look(&config.path).map_err(|source| OpenError::Io { path: config.path.clone(), source })?;
    if config.engine == Engine::Sled && found != Found::Store {
        return Err(OpenError::Gone { path: config.path.clone(), remains: "configuration".to_owned() });
    }
    open(config)
}

/// Takes a store as it is that does not open because its tip is missing or, with `incomplete`, because it lacks something.
/// Gives it open, and what was wrong with it; `None`: nothing.
///
/// # Errors
///
/// [`OpenError`]: it does not open even so, or it lacks something.
pub fn accept(config: &config::Store, incomplete: bool) -> Result<(Opened, Option<OpenError>), OpenError> {
    if config.engine == Engine::Postgres {
        has_files(config)?;
    }
    let wrong = match open(config) {
        Ok(opened) => return Ok((opened, None)),
        Err(wrong) => wrong,
    };
    let check = match wrong {
        OpenError::Behind { .. } | OpenError::Damaged { .. } | OpenError::NoTip { .. } if incomplete => Check::Nothing,
        OpenError::NoTip { .. } => Check::Entries,
        _ => return Err(wrong),
    };
    let opened = open_with(config, Tuning { check, ..Tuning::default() })?;
    if incomplete {
        opened.ending.set_orderly(false);
    }
    Ok((opened, Some(wrong)))
}

/// Makes the store that the configuration names from an export. One that is there is refused or, with `replace`, renamed. With
/// `incomplete` it is made also if the journal of what was done since lacks something.
///
/// # Errors
///
/// [`RestoreError`]; what was there is still there.
pub fn restore(config: &config::Store, from: &Path, replace: bool, incomplete: bool) -> Result<Restored, RestoreError> {
    restore_with(config, from, (replace, incomplete), &|_| ())
}

/// As [`restore`], and a test is told before each step.
///
/// # Errors
///
/// [`RestoreError`].
#[doc(hidden)]
pub fn restore_with(
    config: &config::Store,
    from: &Path,
    (replace, incomplete): (bool, bool),
    at: &dyn Fn(RewriteStep),
) -> Result<Restored, RestoreError> {
    has_files(config)?;
    sled::restore(config, &Keys::derive(&*old_key(config)?), from, Restoring { replace, incomplete, at })
}

/// Rewrites the store that the configuration names, which nobody may have open, so that it takes no more space than it needs.
///
/// # Errors
///
/// [`OpenError`]; what was there is still there.
pub fn compact(config: &config::Store) -> Result<Compacted, OpenError> {
    compact_with(config, &|_| ())
}

/// As [`compact`], and a test is told before each step.
///
/// # Errors
///
/// [`OpenError`].
#[doc(hidden)]
pub fn compact_with(config: &config::Store, at: &dyn Fn(RewriteStep)) -> Result<Compacted, OpenError> {
    has_files(config)?;
    sled::finish_compaction(&config.path)?;
    let found = sled::look(&config.path).map_err(|source| OpenError::Io { path: config.path.clone(), source })?;
    if found != Found::Store {
        return Err(OpenError::Gone { path: config.path.clone(), remains: "configuration".to_owned() });
    }
    sled::compact(config, &Keys::derive(&*old_key(config)?), at)
}

const fn has_files(config: &config::Store) -> Result<(), OpenError> {
    match config.engine {
        Engine::Sled => Ok(()),
        Engine::Memory | Engine::Postgres => Err(OpenError::NoFiles { engine: config.engine.as_str() }),
    }
}

fn old_key(config: &config::Store) -> Result<KeyBytes, OpenError> {
    let key = key_file::read(&config.key_file)?;
    Ok(key.ok_or_else(|| KeyFailure::Missing { path: config.key_file.clone() })?)
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
            sled::finish_compaction(&config.path)?;
            let keys = Arc::new(Keys::derive(&*sled_key(config, tuning.new_store)?));
            let store = Arc::new(SledStore::open(config, Arc::clone(&keys), tuning)?);
            let ending = store.ending();
            Ok(Opened { keys, index: Arc::clone(&store) as Arc<dyn Index>, jobs: store, ending })
        }
        Engine::Memory => {
            let keys = Arc::new(Keys::derive(&*read_or_make_key(config)?));
            let store = Arc::new(MemoryStore::new(Arc::clone(&keys)));
            Ok(Opened { keys, index: Arc::clone(&store) as Arc<dyn Index>, jobs: store, ending: Ending::new(true) })
        }
        Engine::Postgres => postgres::open(config, tuning),
    }
}

/// The key of the store that is there, or of the one that is to be made. Where neither is, both are new.
fn sled_key(config: &config::Store, new_store: bool) -> Result<KeyBytes, OpenError> {
    let io_error = |source| OpenError::Io { path: config.path.clone(), source };
    let old = key_file::read(&config.key_file)?;
    match sled::look(&config.path).map_err(io_error)? {
        Found::Store => {
            return Ok(old.ok_or_else(|| KeyFailure::Missing { path: config.key_file.clone() })?);
        }
        Found::Begun => {}
        Found::Nothing { tip } => {
            let remains = match (&old, tip) {
                (Some(_), _) => Some(format!("key ({})", config.key_file.display())),
                (None, true) => Some("tip".to_owned()),
                (None, false) => None,
            };
            if let Some(remains) = remains.filter(|_| !new_store) {
                return Err(OpenError::Gone { path: config.path.clone(), remains });
            }
            sled::begin(&config.path).map_err(io_error)?;
        }
    }
    read_or_make_key(config)
}

/// A new key is said aloud: whoever loses it can erase nothing any more.
pub(super) fn read_or_make_key(config: &config::Store) -> Result<KeyBytes, OpenError> {
    if let Some(key) = key_file::read(&config.key_file)? {
        return Ok(key);
    }
    let key = key_file::read_or_make(&config.key_file)?;
    events::KeyMade { path: &config.key_file.display().to_string() }.emit();
    Ok(key)
}
