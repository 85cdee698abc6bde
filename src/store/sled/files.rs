//! What sled leaves undone about its own files: names that are not made durable, half-written leftovers, and pages whose
//! write-back failed. Read in sled 0.34.7 (`config.rs`, `pagecache/snapshot.rs`) and seen in replayed power cuts.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::store::seal::key_file::directory_of;

/// The paths that matter in a store's directory.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.into() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn data(&self) -> PathBuf {
        self.directory.join("db")
    }

    fn conf(&self) -> PathBuf {
        self.directory.join("conf")
    }

    /// Stands for as long as the first creation is under way.
    fn creating(&self) -> PathBuf {
        self.directory.join("creating")
    }

    /// Beside the folder: `store.tip`.
    pub(super) fn tip(&self) -> PathBuf {
        self.beside(".tip")
    }

    /// Beside the folder: `store.journal`.
    pub(super) fn journal(&self) -> PathBuf {
        self.beside(".journal")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.directory.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        self.directory.with_file_name(name)
    }

    /// Whether there is a store that was once completed, or what is left of one. It is never taken for an empty place.
    pub(super) fn store_exists(&self) -> io::Result<bool> {
        let something = self.data().try_exists()? || self.conf().try_exists()?;
        Ok(something && !self.is_begun()?)
    }

    /// Whether a first creation began that was not completed.
    pub(super) fn is_begun(&self) -> io::Result<bool> {
        self.creating().try_exists()
    }

    /// Whether another process is using the store at this moment.
    pub(super) fn in_use(&self) -> io::Result<bool> {
        match File::open(self.data()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(data) => match data.try_lock() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(error),
            },
        }
    }

    /// Begins a first creation: from here until [`Self::created`] a crash leaves something that is thrown away at the
    /// next start. Nothing has been acknowledged by then; without this, half a `conf` would never open again.
    pub(super) fn begin_creation(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        File::create(self.creating())?.sync_all()?;
        self.sync_names()
    }

    /// Throws away what a creation left that did not come to its end.
    pub(super) fn clear(&self) -> io::Result<()> {
        for leftover in self.entries("")? {
            let name = leftover.file_name().unwrap_or_default();
            if leftover.is_dir() && name == "blobs" {
                fs::remove_dir_all(&leftover)?;
            } else if ["db", "conf"].iter().any(|own| name == *own) || name.as_encoded_bytes().starts_with(b"snap.") {
                fs::remove_file(&leftover)?;
            }
        }
        Ok(())
    }

    /// The first creation is complete and durable.
    pub(super) fn created(&self) -> io::Result<()> {
        File::open(self.conf())?.sync_all()?;
        self.sync_names()?;
        fs::remove_file(self.creating())?;
        self.sync_names()
    }

    /// Makes the names in the store's directory, and its own name, durable.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()?;
        self.sync_parent()
    }

    /// Makes its own name durable, and those that stand beside it.
    pub(super) fn sync_parent(&self) -> io::Result<()> {
        File::open(directory_of(&self.directory))?.sync_all()
    }

    /// Before sled opens an old store: a snapshot that was being generated is thrown away, since sled would take it for a
    /// whole one and refuse; and the data that a killed process left in the page cache is made durable, since sled will
    /// write a durable snapshot that points into it.
    pub(super) fn mend_before_opening(&self) -> io::Result<()> {
        for leftover in self.entries("snap.")? {
            if leftover.as_os_str().as_encoded_bytes().ends_with(b".generating") {
                fs::remove_file(&leftover)?;
            }
        }
        self.open_data()?.sync_all()
    }

    /// A second descriptor of sled's data file: for syncs that sled does not make. It must be older than the writes whose
    /// failure it should report.
    pub(super) fn open_data(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.data())
    }

    /// After a failed write or sync the kernel may hold pages that are not on the disk and yet count as clean, so that no
    /// later sync would write them. Every page is written again, which makes it dirty again, and then synced: not the
    /// failed sync repeated, but a new one of new writes. Refused while anybody still has the store open.
    pub(super) fn rewrite_data(&self) -> io::Result<()> {
        let data = self.open_data()?;
        data.try_lock()?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        loop {
            let read = data.read_at(&mut buffer, offset)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            data.write_all_at(bytes, offset)?;
            offset += bytes.len() as u64;
        }
        data.sync_all()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        self.entries("")?.iter().map(|path| Ok(fs::symlink_metadata(path)?.len())).sum()
    }

    fn entries(&self, beginning: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(beginning.as_bytes()) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}
