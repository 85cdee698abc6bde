//! What a server said, or what happened on the way to it, in words that may be logged.
//!
//! A server's details and hints can hold values of rows, and what a statement was given can stand in its message; neither is
//! kept.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Why a statement or a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFault {
    code: Option<SqlState>,
    text: String,
}

impl ServerFault {
    /// What may be said of an error of the client's.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        if let Some(said) = error.as_db_error() {
            let code = said.code().code();
            // Class 22 and 23: a value that does not fit, or breaks a rule. Their messages can repeat it.
            let text = if code.starts_with("22") || code.starts_with("23") {
                format!("the server refused a value (SQLSTATE {code})")
            } else {
                format!("{} (SQLSTATE {code})", said.message())
            };
            return Self { code: Some(said.code().clone()), text };
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self { code: None, text }
    }

    /// Of something that has no error of the client's.
    pub(super) fn other(text: impl Into<String>) -> Self {
        Self { code: None, text: text.into() }
    }

    #[cfg(test)]
    pub(super) fn with_code(code: &str) -> Self {
        Self { code: Some(SqlState::from_code(code)), text: code.to_owned() }
    }

    /// What the server calls it; `None` if it was not the server that said something.
    #[must_use]
    pub const fn code(&self) -> Option<&SqlState> {
        self.code.as_ref()
    }

    /// Whether the server, or a pooler before it, does not take a parameter that came with the connection.
    pub(super) fn is_about_startup(&self) -> bool {
        let codes = [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED, SqlState::UNDEFINED_OBJECT];
        self.code.as_ref().is_some_and(|code| codes.contains(code))
    }
}

impl From<&Error> for ServerFault {
    fn from(error: &Error) -> Self {
        Self::of(error)
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ServerFault {}
