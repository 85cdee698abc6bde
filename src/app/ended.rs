//! Did the run before this one end by itself? After a crash, requests that were on their way may still arrive at their
//! upstreams for a while, and an erasure must reckon with them.

use std::fs;
use std::path::PathBuf;

use crate::config::{Engine, Store};

/// The name of the file that a run leaves when it ends by itself.
const NAME: &str = "ended";

/// A file beside the store's own, there only between two runs.
#[derive(Clone, Debug)]
pub(super) struct EndedMark(Option<PathBuf>);

impl EndedMark {
    pub(super) fn of(store: &Store) -> Self {
        Self((store.engine == Engine::Sled).then(|| store.path.join(NAME)))
    }

    /// Takes the mark of the run before. `true` if that run was cut.
    ///
    /// Where the mark cannot be removed the run counts as cut, which only makes erasures more careful. A mark that comes
    /// back after a power cut is the one case in which it would say too much: so its removal is made durable.
    pub(super) fn take(&self) -> bool {
        let Some(path) = &self.0 else { return false };
        let removed = fs::remove_file(path);
        let synced = path.parent().map(|folder| fs::File::open(folder).and_then(|folder| folder.sync_all()));
        removed.is_err() || !matches!(synced, Some(Ok(())))
    }

    /// Leaves the mark: everything has ended. If it cannot be left, the next run is more careful than it need be.
    pub(super) fn set(&self) {
        if let Some(path) = &self.0 {
            fs::File::create(path).and_then(|file| file.sync_all()).ok();
        }
    }
}
