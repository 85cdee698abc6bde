//! The recorder (`recorder.c`), compiled when it is first needed: a linker's C compiler is where Rust is.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Where the record goes.
pub(crate) const TRACE: &str = "RECORDER_TRACE";
/// The file that says which fault there is.
pub(crate) const FAULT: &str = "RECORDER_FAULT";

/// The command with the recorder loaded into its process, for the files under `root`.
pub(crate) fn loaded(mut command: Command, root: &Path) -> Command {
    static LIBRARY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/recorder.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let mut compile = Command::new(compiler);
        compile
            .args(["-shared", "-fPIC", "-O2", "-pthread", "-o"])
            .arg(directory.path().join("recorder.so"))
            .arg(source);
        assert!(compile.status().expect("a C compiler").success(), "the recorder does not compile");
        directory
    });
    command.env("LD_PRELOAD", library.path().join("recorder.so")).env("RECORDER_ROOT", root);
    command
}
