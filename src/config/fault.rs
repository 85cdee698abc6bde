//! What is wrong with a config.toml, and where: one sentence for the fault and one for what would be right.
//!
//! Neither sentence repeats a value that could be a secret: they name keys, forms and the values that are allowed.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// A reason to refuse the file. All of a file's faults are reported at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Fault {
    /// Line in the file, from 1. A key that is missing stands at the head of the table that lacks it.
    #[schema(minimum = 1)]
    pub line: usize,
    /// Character in the line, from 1.
    #[schema(minimum = 1)]
    pub column: usize,
    /// Dotted key, such as `upstream[2].policy.missing`; entries of a list are counted from 1, as lines are. Empty for
    /// what concerns the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// Something that is allowed, but that an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Warning {
    /// Line in the file, from 1.
    #[schema(minimum = 1)]
    pub line: usize,
    /// Character in the line, from 1.
    #[schema(minimum = 1)]
    pub column: usize,
    /// Dotted key, as a fault has it.
    pub key: String,
    /// What was seen.
    pub what: String,
    /// What would be better.
    pub right: String,
}

impl fmt::Display for Fault {
    /// `12:3: upstream[1].url: … — …`; whoever prints it puts the file's name and a colon before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sentence(f, (self.line, self.column), &self.key, &self.what, &self.right)
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Warning {
    /// The same form as a [`Fault`]'s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sentence(f, (self.line, self.column), &self.key, &self.what, &self.right)
    }
}

fn sentence(
    f: &mut fmt::Formatter<'_>,
    (line, column): (usize, usize),
    key: &str,
    what: &str,
    right: &str,
) -> fmt::Result {
    write!(f, "{line}:{column}: ")?;
    if !key.is_empty() {
        write!(f, "{key}: ")?;
    }
    write!(f, "{what} — {right}")
}
