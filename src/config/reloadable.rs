//! Whether files have changed since they were last looked at. Asked again and again, not told by the kernel: a
//! `ConfigMap` is swapped by a symlink two folders up, and network file systems tell nobody.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Files that are looked at together.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<(PathBuf, Seen)>,
}

/// What a file was when it was last looked at. One that cannot be read is all `None`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    identity: Option<Identity>,
    digest: Option<[u8; 32]>,
}

/// Device, inode, size, and when it was written and changed, in seconds and nanoseconds. Behind a symlink that was swapped
/// it is another.
type Identity = [i128; 5];

impl Files {
    /// Looks at them for the first time.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let seen = |path: PathBuf| {
            let seen = Seen { identity: identity(&path), digest: digest(&path) };
            (path, seen)
        };
        Self { files: paths.into_iter().map(seen).collect() }
    }

    /// Which they are.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// A digest of what they were when they were last looked at, names included.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for (path, seen) in &self.files {
            all.update(path.as_os_str().as_encoded_bytes());
            all.update([0, u8::from(seen.digest.is_some())]);
            all.update(seen.digest.unwrap_or_default());
        }
        all.finalize().into()
    }

    /// Whether the content of any has changed since this was last asked. Blocks for as long as the file system does.
    pub fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.files {
            let identity = identity(path);
            if identity == seen.identity {
                continue;
            }
            let digest = digest(path);
            changed |= digest != seen.digest;
            *seen = Seen { identity, digest };
        }
        changed
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let of = |found: Metadata| {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        [
            i128::from(found.dev()),
            i128::from(found.ino()),
            i128::from(found.size()),
            nanoseconds(found.mtime(), found.mtime_nsec()),
            nanoseconds(found.ctime(), found.ctime_nsec()),
        ]
    };
    fs::metadata(path).ok().map(of)
}

fn digest(path: &Path) -> Option<[u8; 32]> {
    fs::read(path).ok().map(|content| Sha256::digest(content).into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Files;

    #[test]
    fn p11_a_change_is_seen_once_and_the_same_content_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("config.toml"), folder.path().join("new"));
        fs::write(&file, "a").unwrap();
        let mut files = Files::new([file.clone()]);
        assert!(!files.have_changed());
        fs::write(&file, "b").unwrap();
        assert!(files.have_changed());
        assert!(!files.have_changed());
        fs::write(&other, "b").unwrap();
        fs::rename(&other, &file).unwrap();
        assert!(!files.have_changed(), "another file, the same content");
        fs::remove_file(&file).unwrap();
        assert!(files.have_changed());
    }

    /// Kubernetes: `config.toml -> ..data/config.toml`, `..data -> ..2026_01`, and only the second link is swapped.
    #[test]
    fn p11_a_config_map_whose_inner_link_is_swapped_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, content) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.toml"), content).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/config.toml", at("config.toml")).unwrap();
        let mut files = Files::new([at("config.toml")]);
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(files.have_changed());
    }
}
