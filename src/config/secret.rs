//! A secret by reference: `{ file = "…" }` or `{ env = "…" }`, read when it is needed and never printed.
//!
//! A file is read again when it has changed, so that a rotated secret needs no reload: each read looks at the file's
//! identity, size and times, and only a difference costs more than that look.

#![allow(clippy::module_name_repetitions, reason = "used as config::SecretText and the like")]

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// Where a secret is to be found. Clones share what was last read.
#[derive(Clone)]
pub struct Secret {
    source: SecretSource,
    last: Arc<Mutex<Option<(Stamp, SecretText)>>>,
}

/// The two places where a secret may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// The whole file, less white space at its end.
    File(#[serde(serialize_with = "super::describe::path")] PathBuf),
    /// An environment variable.
    Env(String),
}

/// A secret's text. It is wiped when the last holder drops it, and its `Debug` prints a placeholder.
#[derive(Clone)]
pub struct SecretText(Arc<Zeroizing<String>>);

/// Why a secret could not be read. None of the texts holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret's file {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The environment variable is not set, or is not UTF-8.
    #[error("the environment variable {name} is not set")]
    Unset {
        /// Its name.
        name: String,
    },
    /// Nothing but white space.
    #[error("the secret in {place} is empty")]
    Empty {
        /// Where it was looked for.
        place: String,
    },
    /// Longer than [`Secret::BYTES_MAX`], or not UTF-8.
    #[error("the secret in {place} is not a text of at most {} bytes", Secret::BYTES_MAX)]
    NoText {
        /// Where it was looked for.
        place: String,
    },
}

impl Secret {
    /// The longest secret that is read, in bytes.
    pub const BYTES_MAX: u64 = 64 * 1024;

    /// A secret in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::from(SecretSource::File(path.into()))
    }

    /// A secret in an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self::from(SecretSource::Env(name.into()))
    }

    /// Where it is to be found.
    #[must_use]
    pub const fn source(&self) -> &SecretSource {
        &self.source
    }

    /// The secret as it is now, less white space at its end. Does at most one stat and one read of a small file.
    ///
    /// # Errors
    ///
    /// [`SecretError`], if there is none or it is empty.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        match &self.source {
            SecretSource::File(path) => self.read_file(path),
            SecretSource::Env(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::Unset { name: name.clone() })?;
                SecretText::trimmed(Zeroizing::new(text), || self.source.to_string())
            }
        }
    }

    fn read_file(&self, path: &Path) -> Result<SecretText, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
        let mut last = self.last.lock();
        let stamp = Stamp::of(&std::fs::metadata(path).map_err(unreadable)?);
        if let Some((_, text)) = last.as_ref().filter(|(seen, _)| *seen == stamp) {
            return Ok(text.clone());
        }
        *last = None;
        let file = File::open(path).map_err(unreadable)?;
        // The stamp is the opened file's, taken before it is read: a later change can only make it look stale.
        let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(Self::BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let place = || self.source.to_string();
        let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() as u64 <= Self::BYTES_MAX);
        let text = Zeroizing::new(text.ok_or_else(|| SecretError::NoText { place: place() })?.to_owned());
        let text = SecretText::trimmed(text, place)?;
        *last = Some((stamp, text.clone()));
        Ok(text)
    }
}

impl From<SecretSource> for Secret {
    fn from(source: SecretSource) -> Self {
        Self { source, last: Arc::default() }
    }
}

/// Two references are equal if they point to the same place.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.source).finish()
    }
}

impl Serialize for Secret {
    /// The place. What was read there has no `Serialize`.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(to)
    }
}

impl fmt::Display for SecretSource {
    /// The place as a person would say it: it is no secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl SecretText {
    /// The text itself. Whoever calls this is responsible for where it goes: the wire or a hash, never a sink.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn trimmed(mut text: Zeroizing<String>, place: impl FnOnce() -> String) -> Result<Self, SecretError> {
        let kept = text.trim_end().len();
        text.truncate(kept);
        if text.is_empty() {
            return Err(SecretError::Empty { place: place() });
        }
        Ok(Self(Arc::new(text)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// What changes when a file is replaced, written to or pointed elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            file: (file.dev(), file.ino()),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-7f3a";

    #[test]
    fn a_file_is_read_without_the_white_space_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, format!("  {CANARY}\r\n\n")).unwrap();

        assert_eq!(Secret::file(&path).read().unwrap().expose(), format!("  {CANARY}"));
    }

    #[test]
    fn a_replaced_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("token"), folder.path().join("next"));
        std::fs::write(&path, "old").unwrap();
        let secret = Secret::file(&path);
        assert_eq!(secret.read().unwrap().expose(), "old");

        std::fs::write(&next, "new").unwrap();
        std::fs::rename(&next, &path).unwrap();

        assert_eq!(secret.read().unwrap().expose(), "new");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(secret.read(), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, " \n").unwrap();

        assert!(matches!(Secret::file(&path).read(), Err(SecretError::Empty { .. })));
    }

    #[test]
    fn an_oversized_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, vec![b'x'; 64 * 1024 + 1]).unwrap();

        assert!(matches!(Secret::file(&path).read(), Err(SecretError::NoText { .. })));
    }

    #[test]
    fn an_environment_variable_is_read_and_its_absence_said() {
        assert!(!Secret::env("PATH").read().unwrap().expose().is_empty());
        assert!(matches!(Secret::env("FORGETGATE_NO_SUCH_VARIABLE").read(), Err(SecretError::Unset { .. })));
    }

    /// P7: neither the reference nor the text prints the secret.
    #[test]
    fn nothing_prints_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, CANARY).unwrap();
        let secret = Secret::file(&path);
        let text = secret.read().unwrap();

        assert!(!format!("{secret:?} {text:?}").contains(CANARY));
        assert_eq!(serde_json::json!(secret), serde_json::json!({ "file": path }));
        assert_eq!(format!("{text:?}"), "SecretText(…)");
    }
}
