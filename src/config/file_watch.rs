//! A value that is made from files and made again when they change. If it cannot be made again, the old one stays.
//! See docs/decisions/047-certificates.md.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{Files, PemFault};

/// After files were refused they are tried again with every so many looks, changed or not: a certificate that is not
/// valid yet becomes so by itself.
const TRY_AGAIN: u32 = 60;

/// What was made last.
pub struct Renewed<T> {
    current: ArcSwap<T>,
    make: Box<dyn Fn() -> Result<T, PemFault> + Send + Sync>,
    looks: Mutex<Looks>,
}

struct Looks {
    files: Files,
    /// How many there have been since the files were refused, if they are.
    refused: Option<u32>,
}

// What is made of keys is never shown.
impl<T> fmt::Debug for Renewed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("files", &self.looks.lock().files).finish_non_exhaustive()
    }
}

/// Can be looked at, whatever it is.
pub trait Renew: Send + Sync {
    /// Looks at the files. Says what became of it where they have changed: a new one is in force, or the one before it
    /// stays, for this reason. `None` where nothing is new. Blocks for as long as the file system does.
    fn look(&self) -> Option<Result<(), PemFault>>;
}

impl<T> Renewed<T> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn new(
        files: impl IntoIterator<Item = PathBuf>,
        make: impl Fn() -> Result<T, PemFault> + Send + Sync + 'static,
    ) -> Result<Self, PemFault> {
        // In this order, so that what changes meanwhile is seen with the first look.
        let files = Files::new(files);
        let current = ArcSwap::from_pointee(make()?);
        Ok(Self { current, make: Box::new(make), looks: Mutex::new(Looks { files, refused: None }) })
    }

    /// What is in force.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }
}

impl<T: Send + Sync> Renew for Renewed<T> {
    fn look(&self) -> Option<Result<(), PemFault>> {
        let mut looks = self.looks.lock();
        let changed = looks.files.have_changed();
        looks.refused = looks.refused.map(|since| since + 1);
        let again = looks.refused.is_some_and(|since| since % TRY_AGAIN == 0);
        if !changed && !again {
            return None;
        }
        match (self.make)() {
            Ok(made) => {
                self.current.store(Arc::new(made));
                looks.refused = None;
                Some(Ok(()))
            }
            // Said once for each change.
            Err(_) if !changed => None,
            Err(fault) => {
                looks.refused = Some(0);
                Some(Err(fault))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Renew as _, Renewed, TRY_AGAIN};
    use crate::config::PemFault;

    fn text_of(file: &Path) -> Result<String, PemFault> {
        let text = fs::read_to_string(file).map_err(|source| PemFault::Unreadable { file: file.to_owned(), source })?;
        if text.starts_with("bad") { Err(PemFault::NoKey { file: file.to_owned() }) } else { Ok(text) }
    }

    #[test]
    fn p11_what_cannot_be_made_again_stays_and_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let (file, latch) = (folder.path().join("file"), folder.path().join("latch"));
        fs::write(&file, "one").unwrap();
        let (of, held) = (file.clone(), latch.clone());
        let renewed =
            Renewed::new([file.clone()], move || if held.exists() { Ok("latched".into()) } else { text_of(&of) })
                .unwrap();
        assert!(renewed.look().is_none());
        fs::write(&file, "two").unwrap();
        assert!(matches!(renewed.look(), Some(Ok(()))));
        assert_eq!(*renewed.current(), "two");
        fs::write(&file, "bad").unwrap();
        assert!(matches!(renewed.look(), Some(Err(PemFault::NoKey { .. }))));
        assert!((0..3).all(|_| renewed.look().is_none()), "said once");
        assert_eq!(*renewed.current(), "two");
        fs::write(&latch, "").unwrap();
        let said: Vec<_> = (0..TRY_AGAIN).filter_map(|_| renewed.look()).collect();
        assert!(matches!(said[..], [Ok(())]), "it became good by itself: {said:?}");
        assert_eq!(*renewed.current(), "latched");
    }
}
