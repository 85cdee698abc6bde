//! A disk that keeps only what was synced, and of everything later whatever it pleases.
//!
//! Contents: a file's bytes are sure up to its last fsync or fdatasync; each later page may have reached the disk or not, in
//! any order. Names: sure once their directory was synced; of the later changes any first few, since file systems
//! journal them in order. `sync_file_range` counts for nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Event;

#[derive(Default)]
struct Content {
    /// As the process sees it.
    written: Vec<u8>,
    synced: Vec<u8>,
    /// Since the last sync.
    later: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Entry {
    File(usize),
    Directory,
}

type Names = BTreeMap<PathBuf, Entry>;

enum NameChange {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Default)]
pub(super) struct Disk {
    contents: Vec<Content>,
    names: Names,
    synced_names: Names,
    later_names: Vec<NameChange>,
}

impl Disk {
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(path) => {
                self.contents.push(Content::default());
                self.change_name(NameChange::Add(path.clone(), Entry::File(self.contents.len() - 1)));
            }
            Event::Directory(path) => self.change_name(NameChange::Add(path.clone(), Entry::Directory)),
            Event::Remove(path) => self.change_name(NameChange::Remove(path.clone())),
            Event::Rename(from, to) => self.change_name(NameChange::Rename(from.clone(), to.clone())),
            Event::Link(from, to) => self.change_name(NameChange::Add(to.clone(), self.names[from])),
            Event::Write { path, offset, bytes } => {
                let change = Change::Write { offset: usize::try_from(*offset).unwrap(), bytes: bytes.clone() };
                self.change_content(path, change);
            }
            Event::Truncate { path, length } => {
                self.change_content(path, Change::Truncate(usize::try_from(*length).unwrap()));
            }
            Event::Sync(path) => {
                let content = self.content(path);
                content.synced.clone_from(&content.written);
                content.later.clear();
            }
            Event::SyncNames(directory) => self.sync_names(directory),
        }
    }

    /// A file as the process that wrote it sees it; empty if there is none.
    pub(super) fn written(&self, path: &str) -> Vec<u8> {
        match self.names.get(Path::new(path)) {
            Some(Entry::File(content)) => self.contents[*content].written.clone(),
            Some(Entry::Directory) | None => Vec::new(),
        }
    }

    /// Writes into `directory` what could be found after a power cut at this moment.
    pub(super) fn build(&self, directory: &Path, random: &mut fastrand::Rng) {
        let mut names = self.synced_names.clone();
        for change in &self.later_names[..random.usize(0..=self.later_names.len())] {
            change.apply(&mut names);
        }
        let chance = random.choice([0.0, 0.1, 0.5, 0.9, 1.0]).unwrap();
        let page = random.choice([512, 4096]).unwrap();
        for (name, entry) in names {
            let path = directory.join(name);
            match entry {
                Entry::Directory => fs::create_dir_all(path).unwrap(),
                Entry::File(content) => {
                    // A file whose directory did not make it is not to be found either.
                    if path.parent().unwrap().is_dir() {
                        fs::write(&path, self.contents[content].survived(chance, page, random)).unwrap();
                        set_private(&path);
                    }
                }
            }
        }
    }

    fn content(&mut self, path: &Path) -> &mut Content {
        let Entry::File(content) = self.names[path] else { panic!("{} is a directory", path.display()) };
        &mut self.contents[content]
    }

    fn change_content(&mut self, path: &Path, change: Change) {
        let content = self.content(path);
        change.apply(&mut content.written);
        content.later.push(change);
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.later_names.push(change);
    }

    fn sync_names(&mut self, directory: &Path) {
        let later = std::mem::take(&mut self.later_names);
        for change in later {
            if change.path().parent() == Some(directory) {
                change.apply(&mut self.synced_names);
            } else {
                self.later_names.push(change);
            }
        }
    }
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            Self::Add(path, _) | Self::Remove(path) | Self::Rename(path, _) => path,
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, entry) => drop(names.insert(path.clone(), *entry)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: new } => {
                let end = offset + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(new);
            }
            Self::Truncate(length) => bytes.resize(*length, 0),
        }
    }
}

impl Content {
    /// The synced bytes, and each later page with this chance.
    fn survived(&self, chance: f64, page: usize, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.later {
            match change {
                Change::Write { offset, bytes: new } => {
                    let mut at = 0;
                    while at < new.len() {
                        let length = (page - (offset + at) % page).min(new.len() - at);
                        if random.f64() < chance {
                            let piece = Change::Write { offset: offset + at, bytes: new[at..at + length].to_vec() };
                            piece.apply(&mut bytes);
                        }
                        at += length;
                    }
                }
                Change::Truncate(_) if random.f64() < chance => change.apply(&mut bytes),
                Change::Truncate(_) => {}
            }
        }
        // The length may be on the disk before what fills it.
        if random.bool() && bytes.len() < self.written.len() {
            bytes.resize(self.written.len(), 0);
        }
        bytes
    }
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
