//! A file of the keys that tokens are verified with.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::domain::token::{BYTES_MAX, KeySet, KeySetFault};

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileFault {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is read, and is no set of keys.
    #[error("the file cannot be used")]
    Content(#[from] KeySetFault),
}

/// Reads a JSON Web Key Set.
///
/// # Errors
/// [`KeyFileFault`].
pub fn key_set_in(path: &Path) -> Result<KeySet, KeyFileFault> {
    let mut text = Vec::new();
    File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    Ok(KeySet::read(&text)?)
}
