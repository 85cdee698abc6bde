//! The project's files as the tidy tests see them: every text file of the tree, whether or not it is committed yet.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what is made or downloaded, and nothing of ours.
const NOT_OURS: [&str; 6] = [".git", "target", "var", ".cache", "node_modules", "__pycache__"];

/// One file of the project.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Relative to the project's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A made-up file, to show that a check can fail.
    pub(crate) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "md")
    }

    /// A source of the product or of its demonstration, and none of their tests.
    pub(crate) fn is_source(&self) -> bool {
        let in_src = self.path.starts_with("src/") || (self.path.starts_with("demo/") && self.path.contains("/src/"));
        in_src && self.is_rust()
    }

    /// The top module of a file under `src/`: `store` for `src/store/sled/mod.rs`, `main` for `src/main.rs`.
    pub(crate) fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the project, sorted by path.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    gather(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn gather(root: &Path, folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read") {
        let entry = entry.expect("an entry of the project can be read");
        let (path, kind) = (entry.path(), entry.file_type().expect("an entry has a type"));
        if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            gather(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            // What is not UTF-8 is no text of ours: seeds of the fuzzers, recorded bodies.
            let inside = path.strip_prefix(root).expect("a file under the root");
            found.push(File { path: inside.to_string_lossy().replace('\\', "/"), text });
        }
    }
}
