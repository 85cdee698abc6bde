//! A secret by reference: `{ file = "…" }` or `{ env = "…" }`, read when it is needed and never printed.

use std::path::PathBuf;

/// Where a secret is to be found. Its value is not held here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The whole file, less white space at its end. Read again when the file changes.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}
