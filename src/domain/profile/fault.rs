//! What can be wrong with a profile as it was written: where, what, and what would be right.

use std::fmt;

/// One fault of a profile. A reader reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct ProfileFault {
    /// The key, and for an endpoint its number and call: `label.grammar`, ``endpoint 3 (`POST /v1/x`): resource``.
    pub at: String,
    /// What is wrong with it.
    pub what: FaultKind,
}

impl ProfileFault {
    pub(super) fn new(at: impl Into<String>, what: FaultKind) -> Self {
        Self { at: at.into(), what }
    }
}

/// The ways in which a profile can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text is no TOML of this form; the message is the TOML reader's own.
    #[error("{0}")]
    Form(String),
    /// A key that must be there is not.
    #[error("is missing")]
    Missing,
    /// A value is not one of a closed list.
    #[error("\"{found}\" is not known; it is one of {known}")]
    Unknown {
        /// What was written.
        found: String,
        /// What could be.
        known: Known,
    },
    /// A value does not have the form that is asked for.
    #[error("\"{found}\" is not {expected}")]
    Malformed {
        /// What was written, or its beginning.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// More of something than the gate takes.
    #[error("is larger than the bound of {bound} {unit}")]
    TooLarge {
        /// How many.
        bound: usize,
        /// Of what.
        unit: &'static str,
    },
    /// A `{variable}` that nothing gives a value to.
    #[error("{{{name}}} stands for nothing here; known is {known}")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// What would be known.
        known: Known,
    },
    /// The same `{variable}` twice in one call.
    #[error("{{{0}}} is there twice")]
    RepeatedVariable(String),
    /// Two endpoints would match the same requests.
    #[error("matches the same requests as endpoint {0}")]
    SameCall(usize),
    /// Two keys that do not go together, or one that needs another.
    #[error("{0}")]
    Conflict(&'static str),
    /// A call of the gate's own that no endpoint of the profile stands for.
    #[error("no endpoint of class {class} is `{call}`")]
    NoEndpoint {
        /// Which class it would have.
        class: &'static str,
        /// The call.
        call: String,
    },
}

/// A list for a reader: `"a", "b"`, or `nothing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(Vec<String>);

impl<T: Into<String>> FromIterator<T> for Known {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}\"{name}\"")?;
        }
        Ok(())
    }
}
