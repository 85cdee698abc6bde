//! The configuration from its file: read, judged, and what it points to opened, so that a start or a reload that would
//! fail later fails here, with a place and a reason (P11).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::parse::{BYTES_MAX, parse_and_look};
use super::{Fault, Loaded};

/// Reads the file at `path`. Relative paths in it are relative to its folder.
///
/// Guarding secrets (`admin.token`, `erasure.token`) and certificate files must be readable; a secret of the gate's own
/// calls that is not is a warning, since those calls are retried.
///
/// # Errors
///
/// Every fault of the file, in its order.
pub fn load(path: &Path) -> Result<Loaded, Vec<Fault>> {
    let text = read(path)?;
    parse_and_look(&text, path.parent().unwrap_or_else(|| Path::new("")))
}

/// The same, and nothing that it names is opened but files of profiles: for a machine that has no secrets.
///
/// # Errors
///
/// Every fault of the file, in its order.
pub fn load_without_secrets(path: &Path) -> Result<Loaded, Vec<Fault>> {
    super::parse(&read(path)?, path.parent().unwrap_or_else(|| Path::new("")))
}

fn read(path: &Path) -> Result<String, Vec<Fault>> {
    let mut bytes = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = outcome {
        let right = match error.kind() {
            io::ErrorKind::NotFound => "the path of a config.toml (--config)",
            _ => "a file that can be read",
        };
        return Err(whole_file(1, format!("cannot be read: {error}"), right));
    }
    if bytes.len() as u64 > BYTES_MAX {
        return Err(whole_file(1, format!("is larger than {BYTES_MAX} bytes"), "a smaller file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        whole_file(line, "is not UTF-8".to_owned(), "a file in UTF-8, as TOML is")
    })
}

fn whole_file(line: usize, what: String, right: &str) -> Vec<Fault> {
    vec![Fault { line, column: 1, key: String::new(), what, right: right.to_owned() }]
}
