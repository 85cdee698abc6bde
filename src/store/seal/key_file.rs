//! `store.key`: 32 random bytes as 64 hexadecimal digits and a newline, readable by its owner alone.
//!
//! Made once, at the first start, and durable before anything is sealed with it. Losing it is losing the ability to
//! erase, so an old store without its key is refused and never given a new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// A key is 65 bytes; whatever is much longer is something else and is not read in.
const LENGTH_MAX: u64 = 1024;

/// The bytes of a key, wiped when dropped.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store is there, its key is not.
    #[error(
        "{path} is missing, and the store cannot be opened without the key that it was made with; restore the file from its backup"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error("{path} can be read by others than its owner (mode {mode:04o}); set it to 0600")]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a pipe, a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// Which file.
        path: PathBuf,
    },
    /// Not 64 hexadecimal digits.
    #[error("{path} does not hold a key: 64 hexadecimal digits and a newline are expected")]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
    /// Where a backup was to go there is something else.
    #[error("{path} is there already and is not this key; name another file")]
    Taken {
        /// Which file.
        path: PathBuf,
    },
    /// It could not be read or written.
    #[error("{path} cannot be read or made")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads the key. `None` when there is no such file.
///
/// # Errors
///
/// [`Failure`], except `Missing`.
pub fn read(path: &Path) -> Result<Option<KeyBytes>, Failure> {
    let io_error = |source| Failure::Io { path: path.into(), source };
    let meta = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(io_error)?,
    };
    if !meta.is_file() {
        return Err(Failure::NotAFile { path: path.into() });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Failure::Exposed { path: path.into(), mode });
    }
    if meta.len() > LENGTH_MAX {
        return Err(Failure::NotAKey { path: path.into() });
    }
    let text = Zeroizing::new(fs::read(path).map_err(io_error)?);
    parse(&text).map(Some).ok_or_else(|| Failure::NotAKey { path: path.into() })
}

/// Reads the key, or makes a new one if there is no file yet. When this returns, the file is durable.
///
/// # Errors
///
/// [`Failure`], except `Missing`.
pub fn read_or_make(path: &Path) -> Result<KeyBytes, Failure> {
    if let Some(key) = read(path)? {
        return Ok(key);
    }
    make(path).map_err(|source| Failure::Io { path: path.into(), source })?;
    read(path)?.ok_or_else(|| Failure::Missing { path: path.into() })
}

/// Writes the key of `from` to a new file of its owner's, and reads it back. A file that holds this key already is left
/// as it is. The copy need not be on a file system that knows links or owners.
///
/// # Errors
///
/// [`Failure`]; what was at `to` before is still there.
pub fn back_up(from: &Path, to: &Path) -> Result<(), Failure> {
    let key = read(from)?.ok_or_else(|| Failure::Missing { path: from.into() })?;
    let io_error = |source| Failure::Io { path: to.into(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(to) {
        Ok(mut file) => {
            let written = file.write_all(text_of(&*key).as_bytes()).and_then(|()| file.sync_all());
            written.and_then(|()| File::open(directory_of(to))?.sync_all()).map_err(io_error)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error(error)),
    }
    let copy = File::open(to).and_then(|file| {
        let mut text = Zeroizing::new(Vec::new());
        file.take(LENGTH_MAX).read_to_end(&mut text).map(|_| text)
    });
    let is_it = parse(&copy.map_err(io_error)?).is_some_and(|copy| *copy == *key);
    if is_it { Ok(()) } else { Err(Failure::Taken { path: to.into() }) }
}

fn text_of(key: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(HEXLOWER.encode(key));
    text.push('\n');
    text
}

fn parse(text: &[u8]) -> Option<KeyBytes> {
    let digits = text.trim_ascii_end();
    let mut key = Zeroizing::new([0; 32]);
    let fits = HEXLOWER_PERMISSIVE.decode_len(digits.len()).is_ok_and(|length| length == key.len());
    (fits && HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *key).is_ok()).then_some(key)
}

/// Writes a new key aside, makes it durable, and only then gives it its name. The link fails if somebody else was
/// quicker, in which case theirs counts; so a name never stands for half a key or for two.
fn make(path: &Path) -> io::Result<()> {
    let parent = directory_of(path);
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let mut random = Zeroizing::new([0u8; 40]);
    getrandom::fill(&mut *random).map_err(io::Error::other)?;
    let (key, name) = random.split_at(32);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", HEXLOWER.encode(name)));
    let aside = PathBuf::from(aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let written = file.write_all(text_of(key).as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&aside, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&aside)?;
    linked?;
    File::open(parent)?.sync_all()
}

/// The directory that a path's name stands in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_ever_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/store.key");
        let made = read_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*read_or_make(&path).unwrap(), *made);
        assert_ne!(*made, [0; 32]);
        assert_eq!(fs::read(&path).unwrap().len(), 65);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o777] {
            let (_dir, path) = written(&format!("{}\n", "ab".repeat(32)), mode);
            assert!(matches!(read(&path), Err(Failure::Exposed { mode: found, .. }) if found == mode));
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_and_not_replaced() {
        for text in ["", "\n", &"ab".repeat(31), &"ab".repeat(33), &"xy".repeat(32), &"ab".repeat(4000)] {
            let (_dir, path) = written(text, 0o600);
            assert!(matches!(read_or_make(&path), Err(Failure::NotAKey { .. })));
            assert_eq!(fs::read_to_string(&path).unwrap(), *text);
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(Failure::NotAFile { .. })));
    }

    #[test]
    fn a_backup_is_the_same_key_for_its_owner_alone_and_replaces_nothing() {
        let (dir, path) = written(&format!("{}\n", "ab".repeat(32)), 0o600);
        let to = dir.path().join("copy");
        for _ in 0..2 {
            back_up(&path, &to).unwrap();
            assert_eq!(*read(&to).unwrap().unwrap(), [0xab; 32], "readable by its owner alone, or it would be refused");
        }
        for other in ["", "cd", &format!("{}\n", "cd".repeat(32)), &"ab".repeat(4000)] {
            fs::write(&to, other).unwrap();
            assert!(matches!(back_up(&path, &to), Err(Failure::Taken { .. })));
            assert_eq!(fs::read_to_string(&to).unwrap(), *other);
        }
        assert!(matches!(back_up(&path, &dir.path().join("no/where")), Err(Failure::Io { .. })));
        assert!(matches!(back_up(&dir.path().join("none"), &to), Err(Failure::Missing { .. })));
    }

    #[test]
    fn two_first_starts_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.key");
        let keys = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(|| *read_or_make(&path).unwrap())).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
