//! A test as its own child: it runs this binary again with only itself in it and a variable that says where to work.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIRECTORY: &str = "FORGETGATE_STORE_CHILD";

/// Is this process such a child?
pub(crate) fn is_child() -> bool {
    std::env::var_os(DIRECTORY).is_some()
}

/// Where the child works.
pub(crate) fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).unwrap().into()
}

/// The command that runs the named test, and nothing else, as a child.
pub(crate) fn command(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(DIRECTORY, directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// One line to the parent, at once.
pub(crate) fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Runs the child to its end. Panics unless it did its part.
pub(crate) fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "the child failed: {said}");
    assert!(said.contains("1 passed"), "the child ran no test: {said}");
    said
}

/// The variable that carries a number to the child.
pub(crate) const NUMBER: &str = "FORGETGATE_STORE_NUMBER";

/// The number that the parent gave.
pub(crate) fn number() -> u64 {
    std::env::var(NUMBER).unwrap().parse().unwrap()
}
