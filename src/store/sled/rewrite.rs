//! What restoring and compacting share: a store is made beside its place and put there by renaming, while nobody can open either.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::files::Files;
use crate::store::OpenError;

/// What comes next. A crash may come between any two, and a test lets it come.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The new store is filled, beside its place.
    Fill,
    /// It is opened, and everything must be there.
    Check,
    /// The old one leaves its place.
    Away,
    /// The new one takes it.
    Place,
    /// The new one's journal takes the old one's place.
    Journal,
    /// Its tip does.
    Tip,
    /// What is left of the old one goes.
    Remove,
    /// All is done.
    End,
}

impl Step {
    /// Those of a restore over a store that is there.
    pub const OF_RESTORE: [Self; 7] =
        [Self::Fill, Self::Check, Self::Away, Self::Place, Self::Journal, Self::Tip, Self::End];
    /// Those of a compaction.
    pub const OF_COMPACTION: [Self; 6] = [Self::Fill, Self::Check, Self::Away, Self::Place, Self::Remove, Self::End];
}

/// Keeps everybody from opening what is there until the file is dropped.
pub(super) fn hold(files: &Files) -> Result<Option<File>, OpenError> {
    let path = files.directory();
    let io_error = |source| OpenError::Io { path: path.into(), source };
    let Some(data) = if_there(files.open_data()).map_err(io_error)? else { return Ok(None) };
    match data.try_lock() {
        Ok(()) => Ok(Some(data)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(io_error(error)),
    }
}

/// `None` where it is not there.
pub(super) fn if_there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// The path with this behind its last name.
pub(super) fn named(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}
