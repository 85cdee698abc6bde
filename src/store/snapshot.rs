//! Snapshots: exports in a folder, each of which is whole or is not there. Files are written on threads of their own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::export::{Export, ExportFault, look_through};
use super::seal::key_file::directory_of;
use super::{Index, StoreError};
use crate::config;
use crate::domain::UnixSeconds;
use crate::telemetry::{from_rfc3339, rfc3339};

const BEGINNING: &str = "forgetgate-";
const ENDING: &str = ".export";
const HALF: &str = ".half";

/// Why none was taken.
#[allow(clippy::module_name_repetitions, reason = "it is used far from this module, where its name says whose it is")]
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The folder, or a file in it.
    #[error("{folder} cannot be written")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store.
    #[error("the store gives no export")]
    Store(#[from] StoreError),
    /// What was written does not read back.
    #[error("what was written to {folder} does not read back as it was")]
    Fault {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: ExportFault,
    },
}

/// Takes one, and removes those that are too many. It has its name once it is whole and durable.
///
/// # Errors
///
/// [`SnapshotError`]; those that were there are there.
pub async fn take(index: Arc<dyn Index>, to: &config::Snapshot, now: UnixSeconds) -> Result<PathBuf, SnapshotError> {
    let io_error = |source| SnapshotError::Io { folder: to.folder.clone(), source };
    let (folder, keep) = (to.folder.clone(), to.keep);
    let path = folder.join(format!("{BEGINNING}{}{ENDING}", rfc3339(now).replace(['-', ':'], "")));
    let half = path.with_added_extension(HALF.trim_start_matches('.'));
    let (begun, at) = (folder.clone(), half.clone());
    let mut file = aside(move || begin(&begun, &at)).await.map_err(io_error)?;
    let mut export = Export::of(index);
    while let Some(piece) = export.next().await? {
        file = aside(move || file.write_all(&piece).map(|()| file)).await.map_err(io_error)?;
    }
    aside(move || file.sync_all()).await.map_err(io_error)?;
    let written = half.clone();
    let whole = aside(move || Ok(look_through(&written))).await.map_err(io_error)?;
    whole.map_err(|source| SnapshotError::Fault { folder: folder.clone(), source })?;
    let named = path.clone();
    let finish = move || {
        fs::rename(half, named)?;
        File::open(&folder)?.sync_all()?;
        prune(&folder, keep)
    };
    aside(finish).await.map_err(io_error)?;
    export.is_safe().await?;
    Ok(path)
}

/// When the newest in this folder was taken.
#[must_use]
pub fn newest(folder: &Path) -> Option<UnixSeconds> {
    taken(folder).ok()?.last().map(|(time, _)| *time)
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes it panicked")))
}

/// Makes the folder, and throws away what was left half written.
fn begin(folder: &Path, half: &Path) -> io::Result<File> {
    if !folder.try_exists()? {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        File::open(directory_of(folder))?.sync_all()?;
    }
    for entry in fs::read_dir(folder)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if name.to_str().is_some_and(|name| name.starts_with(BEGINNING) && name.ends_with(HALF)) {
            fs::remove_file(path)?;
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(half)
}

/// Those that are there, in the order of their times.
fn taken(folder: &Path) -> io::Result<Vec<(UnixSeconds, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        found.extend(name.to_str().and_then(time_of).map(|time| (time, path)));
    }
    found.sort();
    Ok(found)
}

/// The time that a name says: `forgetgate-20180525T000000Z.export`.
fn time_of(name: &str) -> Option<UnixSeconds> {
    from_rfc3339(name.strip_prefix(BEGINNING)?.strip_suffix(ENDING)?)
}

fn prune(folder: &Path, keep: usize) -> io::Result<()> {
    let there = taken(folder)?;
    let too_many = there.len().saturating_sub(keep);
    there.iter().take(too_many).try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use super::{UnixSeconds, time_of};

    #[test]
    fn a_name_says_when_it_was_and_no_other_file_is_taken_for_a_snapshot() {
        assert_eq!(time_of("forgetgate-20180525T000000Z.export"), Some(UnixSeconds(1_527_206_400)));
        for other in ["forgetgate-20180525T000000Z.export.half", "forgetgate-mine.export", "20180525T000000Z.export"] {
            assert_eq!(time_of(other), None, "{other}");
        }
    }
}
