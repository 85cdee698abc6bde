//! Rewrites a store beside itself, entry by entry, and puts what came of it into its place: deletes give no space back, and a log
//! that was written over and over takes long to read.
//!
//! The entries are the same to the last byte, so that tip and journal stay as they are. A crash between the two renamings leaves a
//! place without a store and two that are whole; whoever opens it next finishes what was begun.

use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use super::files::Files;
use super::rewrite::{Step, hold, if_there, named};
use super::tables::{TableError, Tables};
use super::tip::{Tip, TipFile};
use super::writer::{Opener, guarded};
use super::{Tuning, refusal};
use crate::config;
use crate::store::OpenError;
use crate::store::seal::Keys;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk now.
    pub after: u64,
    /// Rows that it holds.
    pub rows: u64,
    /// Erasures.
    pub jobs: u64,
}

/// What is at the place, what is being made, and what was there before.
fn three(path: &Path) -> (Files, Files, Files) {
    let beside = |ending| Files::new(&named(path, ending));
    (Files::new(path), beside(".compacting"), beside(".before-compaction"))
}

/// Compacts the store that the configuration names. `at` is told before each step.
pub(crate) fn compact(config: &config::Store, keys: &Keys, at: &dyn Fn(Step)) -> Result<Compacted, OpenError> {
    let refused = |error| refusal(error, config);
    let (place, new, old) = three(&config.path);
    // Who else has it open is found by its lock.
    drop(hold(&place)?);
    let opener = Opener {
        path: config.path.clone(),
        cache_bytes: config.cache_bytes,
        key_check: keys.check_value(),
        tuning: Tuning::default(),
    };
    // What a crash left half done is finished first, and everything must be there.
    let tables = opener.open(&Arc::default()).map_err(refused)?;
    let closed = guarded(AssertUnwindSafe(|| {
        let (figures, well) = (tables.figures()?, tables.ended_well());
        tables.close(well).map(|_| figures)
    }));
    opener.wait_until_released();
    let figures = closed.map_err(refused)?;
    let tip = tip_of(&place).map_err(refused)?;
    at(Step::Fill);
    fill(&place, &new).map_err(refused)?;
    opener.wait_until_released();
    let beside = Opener { path: new.directory().to_owned(), ..opener };
    beside.wait_until_released();
    at(Step::Check);
    let found = guarded(|| Tables::latest(&new)).map_err(refused)?;
    beside.wait_until_released();
    // Whatever sled has written on closing it is on the disk before the old one goes.
    new.open_data()
        .and_then(|data| data.sync_all())
        .and_then(|()| new.sync_names())
        .map_err(|error| refused(error.into()))?;
    // From here on nobody opens either; and nobody has, since this began.
    let held = (hold(&place)?, hold(&new)?);
    if tip_of(&place).map_err(refused)? != tip {
        return Err(OpenError::InUse { path: config.path.clone() });
    }
    if found != (tip.number, tip.sum) {
        return Err(refused(TableError::Unreadable("a compacted store that is not the same as the store")));
    }
    let io_error = |source| OpenError::Io { path: config.path.clone(), source };
    let (before, after) = (place.bytes().map_err(io_error)?, new.bytes().map_err(io_error)?);
    swap(&place, &new, &old, at).map_err(io_error)?;
    drop(held);
    Ok(Compacted { before, after, rows: figures.rows, jobs: figures.jobs })
}

fn tip_of(files: &Files) -> Result<Tip, TableError> {
    TipFile::open(&files.tip())?.map(|(_, tip)| tip).ok_or(TableError::NoTip("does not read"))
}

fn fill(place: &Files, new: &Files) -> Result<(), TableError> {
    if_there(fs::remove_dir_all(new.directory()))?;
    new.begin_creation()?;
    guarded(|| Tables::copy(place, new))?;
    new.open_data()?.sync_all()?;
    Ok(new.created()?)
}

fn swap(place: &Files, new: &Files, old: &Files, at: &dyn Fn(Step)) -> io::Result<()> {
    if_there(fs::remove_dir_all(old.directory()))?;
    at(Step::Away);
    fs::rename(place.directory(), old.directory())?;
    place.sync_parent()?;
    at(Step::Place);
    fs::rename(new.directory(), place.directory())?;
    place.sync_parent()?;
    at(Step::Remove);
    fs::remove_dir_all(old.directory())?;
    at(Step::End);
    Ok(())
}

/// Finishes a compaction that was cut short between its two renamings.
pub(in crate::store) fn finish(path: &Path) -> Result<(), OpenError> {
    let (place, new, old) = three(path);
    let io_error = |source| OpenError::Io { path: path.into(), source };
    let is_between = || Ok(!place.directory().try_exists()? && old.store_exists()?);
    if !is_between().map_err(io_error)? {
        return Ok(());
    }
    // Whoever compacts holds both.
    let held = (hold(&old)?, hold(&new)?);
    let whole = if new.store_exists().map_err(io_error)? { &new } else { &old };
    fs::rename(whole.directory(), place.directory()).and_then(|()| place.sync_parent()).map_err(io_error)?;
    drop(held);
    Ok(())
}

/// What a compaction has left goes when the store that came of it has shown that everything is there.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    let (_, new, old) = three(path);
    for leftover in [new, old] {
        if_there(fs::remove_dir_all(leftover.directory()))?;
    }
    Ok(())
}
