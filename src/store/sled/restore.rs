//! Makes a store again from an export: beside the place where it belongs, whole and closed, and then into that place by renaming.
//! A crash at any point leaves the store that was there, or a place without one, which no gate takes for an empty store.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::journal;
use super::tables::{TableError, Tables};
use super::writer::{Opener, guarded};
use super::{Check, Tuning, refusal};
use crate::config;
use crate::domain::UnixSeconds;
use crate::store::OpenError;
use crate::store::export::{self, ExportFault, Head, Record};
use crate::store::seal::Keys;
use crate::telemetry::unix_now;

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Rows that it holds.
    pub rows: u64,
    /// Erasures.
    pub jobs: u64,
    /// When the export was begun.
    pub exported: UnixSeconds,
    /// How many steps of erasures and legal holds the journal of the store that was there knew since, all of which were done
    /// again. `None`: there was no journal that goes back so far.
    pub done_again: Option<u64>,
    /// Where the store is now that was there before.
    pub replaced: Option<PathBuf>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The export.
    #[error("{path} cannot be restored from")]
    Export {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ExportFault,
    },
    /// It is another store's.
    #[error("{path} is an export of a store with another key than {key_file}: restore that key from its backup first")]
    OtherKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key_file: PathBuf,
    },
    /// It is of another version.
    #[error("{path} is an export of a store of format {found}: restore it with the version that made it")]
    OtherFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is something already.
    #[error("there is something in {path} already; with --replace it is renamed, and kept")]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Key, lock, or what was made does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Writing failed.
    #[error("the store beside {path} cannot be written")]
    Io {
        /// The store.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Restores the store that the configuration names.
pub(crate) fn restore(
    config: &config::Store,
    keys: &Keys,
    from: &Path,
    replace: bool,
) -> Result<Restored, RestoreError> {
    let path = &config.path;
    let io_error = |source| RestoreError::Io { path: path.clone(), source };
    let unreadable = |source| RestoreError::Export { path: from.into(), source };
    // To its end, before anything is made.
    let mut end = 0;
    let note_end = |_: &Head, record| {
        if let Record::End { number, .. } = record {
            end = number;
        }
        Ok(())
    };
    let head = export::read(from, note_end).map_err(unreadable)?;
    fits(&head, config, keys, from)?;
    if Files::new(path).in_use().map_err(io_error)? {
        return Err(OpenError::InUse { path: path.clone() }.into());
    }
    let is_taken = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken && !replace {
        return Err(RestoreError::Taken { path: path.clone() });
    }
    let new = Files::new(&named(path, ".restoring"));
    fill(&new, from).map_err(|error| refusal(error, config))?;
    let mut tables = tables(&new, config, keys).map_err(|error| refusal(error, config))?;
    let journal = Files::new(path).journal();
    let finished = guarded(std::panic::AssertUnwindSafe(|| {
        let done_again = do_again(&mut tables, &journal, end)?;
        let figures = tables.figures()?;
        tables.close(false).map(|_| (figures, done_again))
    }));
    let (figures, done_again) = finished.map_err(|error| refusal(error, config))?;
    opener(&new, config, keys).wait_until_released();
    let replaced = swap(&new, &Files::new(path), is_taken).map_err(io_error)?;
    Ok(Restored { rows: figures.rows, jobs: figures.jobs, exported: head.begun, done_again, replaced })
}

fn fits(head: &Head, config: &config::Store, keys: &Keys, from: &Path) -> Result<(), RestoreError> {
    if head.format != Tables::FORMAT {
        return Err(RestoreError::OtherFormat { path: from.into(), found: head.format });
    }
    if head.key_check != keys.check_value() {
        return Err(RestoreError::OtherKey { path: from.into(), key_file: config.key_file.clone() });
    }
    Ok(())
}

/// Writes every entry as it was.
fn fill(new: &Files, from: &Path) -> Result<(), TableError> {
    if new.directory().try_exists()? {
        fs::remove_dir_all(new.directory())?;
    }
    new.begin_creation()?;
    guarded(std::panic::AssertUnwindSafe(|| {
        let db = sled::Config::new().path(new.directory()).flush_every_ms(None).open()?;
        let put = |record| match record {
            Record::Entry { table, key, value } => Tables::put_verbatim(&db, table, &key, Some(&value)),
            Record::Gone { table, key } => Tables::put_verbatim(&db, table, &key, None),
            Record::End { .. } => Ok(()),
        };
        let mut failed = None;
        let read = export::read(from, |_, record| {
            put(record).map_err(|error| {
                failed = Some(error);
                io::Error::other("the store beside it cannot be written")
            })
        });
        failed.map_or(Ok(()), Err)?;
        read.map_err(|_| TableError::Unreadable("the export, which has changed since it was looked through"))?;
        db.flush()?;
        Ok(())
    }))?;
    Ok(new.created()?)
}

fn opener(new: &Files, config: &config::Store, keys: &Keys) -> Opener {
    let tuning = Tuning { check: Check::Entries, ..Tuning::default() };
    let path = new.directory().to_owned();
    Opener { path, cache_bytes: config.cache_bytes, key_check: keys.check_value(), tuning }
}

/// Opens what was made, which looks whether everything is there, and gives it a name of its own: whatever the old store's
/// tip says is not about this one.
fn tables(new: &Files, config: &config::Store, keys: &Keys) -> Result<Tables, TableError> {
    let opener = opener(new, config, keys);
    opener.wait_until_released();
    fs::remove_file(new.tip()).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut tables = opener.open(&Arc::default())?;
    tables.name_anew()?;
    Ok(tables)
}

/// Does again what was done about erasures since the write of this number.
fn do_again(tables: &mut Tables, journal: &Path, since: u64) -> Result<Option<u64>, TableError> {
    let Some((_, all, _)) = journal::read(journal)?.filter(|(head, ..)| head.since <= since) else { return Ok(None) };
    let mut count = 0;
    for (_, done) in all.iter().filter(|(number, _)| *number > since) {
        tables.do_again(done)?;
        count += 1;
    }
    Ok(Some(count))
}

/// The old store away, the new tip, the new store: from the first to the last of these there is no store at the place.
fn swap(new: &Files, place: &Files, is_taken: bool) -> io::Result<Option<PathBuf>> {
    let replaced = is_taken.then(|| Files::new(&named(place.directory(), &format!(".replaced-{}", unix_now().0))));
    if let Some(replaced) = &replaced {
        fs::rename(place.directory(), replaced.directory())?;
        if place.tip().try_exists()? {
            fs::rename(place.tip(), replaced.tip())?;
        }
    }
    fs::rename(new.tip(), place.tip())?;
    fs::rename(new.directory(), place.directory())?;
    // The new store has a name of its own, and this journal is not about it. It goes last: a restore that
    // is cut short and repeated needs it.
    if place.journal().try_exists()? {
        let kept = replaced.as_ref().map_or_else(|| new.journal(), Files::journal);
        fs::rename(place.journal(), kept)?;
    }
    place.sync_names()?;
    Ok(replaced.map(|replaced| replaced.directory().to_owned()))
}

fn named(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}
