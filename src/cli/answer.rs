//! What a command gives back: text for standard output, words for standard error, and the exit code.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::config::Fault;
use crate::telemetry::chain;

/// Not done.
pub(super) const FAILED: u8 = 1;
/// What was typed cannot be done.
pub(super) const USAGE: u8 = 2;
/// The configuration was refused.
pub(super) const CONFIG_REFUSED: u8 = 3;

/// What a command gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// For standard error: why it failed.
    pub complaint: String,
    /// 0 done, 1 failed, 2 usage, 3 configuration refused.
    pub code: u8,
}

impl Answer {
    /// Done.
    pub(super) fn done(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// Writes both texts and gives the exit code.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        // Whoever closed these has read enough.
        io::stdout().write_all(self.text.as_bytes()).ok();
        io::stderr().write_all(self.complaint.as_bytes()).ok();
        ExitCode::from(self.code)
    }
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: u8,
    words: String,
}

impl Failure {
    pub(super) const fn failed(words: String) -> Self {
        Self { code: FAILED, words }
    }

    pub(super) const fn usage(words: String) -> Self {
        Self { code: USAGE, words }
    }

    /// The gate answered with a problem; its words hold nothing of the request.
    pub(super) fn refused(problem: &Value) -> Self {
        let detail = text(problem, "detail");
        let hint = if text(problem, "code") == "unauthorised" { " (--token-file names another)" } else { "" };
        Self::failed(format!("{detail}{hint}"))
    }

    /// Why, without the program's name.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    pub(super) fn config(path: &Path, faults: &[Fault]) -> Self {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}:{fault}", path.display())).collect();
        Self { code: CONFIG_REFUSED, words: faults.join("\n") }
    }
}

impl From<Result<Self, Failure>> for Answer {
    fn from(result: Result<Self, Failure>) -> Self {
        result.unwrap_or_else(|Failure { code, words }| Self {
            text: String::new(),
            complaint: format!("forgetgate: {words}\n"),
            code,
        })
    }
}

/// Runs what has to wait for a socket.
pub(super) fn wait_for(work: impl Future<Output = Result<Answer, Failure>>) -> Answer {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work).into(),
        Err(error) => Err(Failure::failed(chain(&error))).into(),
    }
}

/// A member of an answer that is a text; empty if there is none.
pub(super) fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A member of an answer that is a list; empty if there is none.
pub(super) fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// JSON as it is printed.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// An upstream's name, and which of its instances is meant.
pub(super) fn place(value: &Value) -> String {
    let path = Some(text(value, "path")).filter(|path| !path.is_empty()).map(|path| format!(" {path}"));
    let instance = Some(text(value, "instance")).filter(|name| !name.is_empty()).map(|name| format!(" ({name})"));
    [text(value, "upstream").to_owned(), path.unwrap_or_default(), instance.unwrap_or_default()].concat()
}
