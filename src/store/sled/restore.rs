//! Makes a store again from an export: beside the place where it belongs, whole and closed, and then into that place by renaming.
//! A crash at any point leaves the store that was there, or a place that no gate starts with; and the restore can be repeated, since
//! the journal that it needs stays until the new store has one of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::journal;
use super::rewrite::{self, Step, named};
use super::tables::{TableError, Tables};
use super::tip::{Tip, TipFile};
use super::writer::{Opener, guarded};
use super::{Check, Tuning, compact, refusal};
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
    /// What the journal lacks of it: when that was done.
    pub lacks: Vec<String>,
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
    /// The journal lacks something.
    #[error(
        "{path} lacks what was done about erasures {when}, and a store without that would forget erasures that were accepted: \
         put the file back as it was, take a later export, or restore without that (`--incomplete`) and repeat the erasures \
         that were asked for then"
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// When what is missing was done.
        when: String,
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
    how: Restoring<'_>,
) -> Result<Restored, RestoreError> {
    let path = &config.path;
    let io_error = |source| RestoreError::Io { path: path.clone(), source };
    let unreadable = |source| RestoreError::Export { path: from.into(), source };
    // To its end, before anything is made.
    let (head, end) = export::look_to_end(from).map_err(unreadable)?;
    fits(&head, config, keys, from)?;
    let (place, new) = (Files::new(path), Files::new(&named(path, ".restoring")));
    compact::finish(path)?;
    let held = rewrite::hold(&place)?;
    let is_taken = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken && !how.replace {
        return Err(RestoreError::Taken { path: path.clone() });
    }
    let since = Since::read(&place, end, how.incomplete).map_err(io_error)??;
    (how.at)(Step::Fill);
    fill(&new, from).map_err(|error| refusal(error, config))?;
    (how.at)(Step::Check);
    let mut tables = tables(&new, config, keys).map_err(|error| refusal(error, config))?;
    let finished = guarded(std::panic::AssertUnwindSafe(|| {
        tables.begin_journal(end, since.journal.as_ref())?;
        tables.go_on_behind(since.number);
        since.do_again(&mut tables, end)?;
        tables.forget_when_accepted()?;
        let figures = tables.figures()?;
        tables.close(false).map(|_| figures)
    }));
    let figures = finished.map_err(|error| refusal(error, config))?;
    opener(&new, config, keys).wait_until_released();
    let held_new = rewrite::hold(&new)?;
    let replaced = swap(&new, &place, is_taken, how.at).map_err(io_error)?;
    drop((held, held_new));
    let (rows, jobs, exported) = (figures.rows, figures.jobs, head.begun);
    Ok(Restored { rows, jobs, exported, done_again: since.count(end), lacks: since.lacks, replaced })
}

/// How to restore.
#[derive(Clone, Copy)]
pub(crate) struct Restoring<'a> {
    /// Rename a store that is there.
    pub(crate) replace: bool,
    /// Even though the journal lacks something.
    pub(crate) incomplete: bool,
    /// Told before each step; tests kill it there.
    pub(crate) at: &'a dyn Fn(Step),
}

/// What is known of the time since the export.
struct Since {
    journal: Option<journal::Read>,
    lacks: Vec<String>,
    /// The highest number that was given to an upstream.
    upstreams: u16,
    /// The number of the latest write.
    number: u64,
}

impl Since {
    /// From the journal and the tip of the store that is there, or was.
    fn read(place: &Files, end: u64, incomplete: bool) -> io::Result<Result<Self, RestoreError>> {
        let tip = match TipFile::open(&place.tip()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => read?.map(|(_, tip): (_, Tip)| tip),
        };
        let upstreams = tip.map_or(0, |tip| tip.upstreams);
        let journal = journal::read(&place.journal())?;
        let written = tip.into_iter().map(|tip| tip.number.max(tip.journal));
        let number = written.chain(journal.iter().flat_map(journal::Read::numbers)).max().unwrap_or(0);
        let journal = journal.filter(|read| read.head.since <= end);
        // Whatever another store's tip says is not about this journal.
        let last = tip.filter(|tip| journal.as_ref().is_none_or(|read| tip.instance == read.head.instance));
        let last = last.map(|tip| tip.journal);
        let lacks = match &journal {
            Some(read) => read.gaps(end, last),
            None if last.is_some_and(|last| last > end) => vec!["since that export".to_owned()],
            None => Vec::new(),
        };
        if !(lacks.is_empty() || incomplete) {
            return Ok(Err(RestoreError::Journal { path: place.journal(), when: lacks.join(" and ") }));
        }
        Ok(Ok(Self { journal, lacks, upstreams, number }))
    }

    fn do_again(&self, tables: &mut Tables, end: u64) -> Result<(), TableError> {
        tables.leave_numbers(self.upstreams);
        let records = self.journal.iter().flat_map(|journal| &journal.records);
        records.filter(|record| record.number > end).try_for_each(|record| tables.do_again(&record.done))
    }

    fn count(&self, end: u64) -> Option<u64> {
        let records = &self.journal.as_ref()?.records;
        Some(records.iter().filter(|record| record.number > end).count() as u64)
    }
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
    for leftover in [new.tip(), new.journal()] {
        rewrite::if_there(fs::remove_file(leftover))?;
    }
    let mut tables = opener.open(&Arc::default())?;
    tables.name_anew()?;
    Ok(tables)
}

/// The old store away, with copies of what stands beside it; the new store; its journal, and its tip last. Until then what stands at
/// the place is no store, or one that lacks its tip, and the old journal is there for a restore that is repeated.
fn swap(new: &Files, place: &Files, is_taken: bool, at: &dyn Fn(Step)) -> io::Result<Option<PathBuf>> {
    // One of the same second may be there already.
    let names = (unix_now().0..).map(|second| Files::new(&named(place.directory(), &format!(".replaced-{second}"))));
    let mut names = names.filter(|name| !name.directory().exists());
    let replaced = names.next().filter(|_| is_taken);
    if let Some(replaced) = &replaced {
        at(Step::Away);
        for (from, to) in [(place.tip(), replaced.tip()), (place.journal(), replaced.journal())] {
            if from.try_exists()? {
                fs::copy(from, &to)?;
                fs::File::open(to)?.sync_all()?;
            }
        }
        fs::rename(place.directory(), replaced.directory())?;
        place.sync_parent()?;
    }
    at(Step::Place);
    if place.directory().try_exists()? {
        // It is empty, or it would have been taken away.
        fs::remove_dir(place.directory())?;
    }
    fs::rename(new.directory(), place.directory())?;
    place.sync_names()?;
    at(Step::Journal);
    fs::rename(new.journal(), place.journal())?;
    place.sync_parent()?;
    at(Step::Tip);
    fs::rename(new.tip(), place.tip())?;
    place.sync_parent()?;
    at(Step::End);
    Ok(replaced.map(|replaced| replaced.directory().to_owned()))
}
