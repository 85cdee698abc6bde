//! A service, described as data: which calls are labelled, how its IDs are written, how its data is erased.
//!
//! The built-in profiles and an operator's own `[[profile]]` are the same form, read by the same code.

use std::time::Duration;

/// Which customer-ID grammar a service has; see [`crate::domain::grammar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarName {
    /// Printable ASCII but `;` and `=`.
    Watson,
    /// The same, bounded.
    WatsonDiscovery,
    /// Letters, digits and `_`, percent-encoded on the wire.
    WatsonVr,
}

/// Shape of a refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// What all of Watson's clients read.
    Watson,
    /// The same with `code_description`, for Speech to Text and Text to Speech.
    WatsonSpeech,
    /// The same with `description`, for Discovery.
    WatsonDiscovery,
}

/// How a service's data is labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// Header name, lower case.
    pub header: String,
    /// Header name as the gate writes it.
    pub header_written: String,
    /// Field of the header that holds the ID.
    pub field: String,
    /// Query parameter of a WebSocket handshake.
    pub query: Option<String>,
    /// Grammar of the ID.
    pub grammar: GrammarName,
    /// Does the grammar know several IDs in one label? Where it does not, several are always refused.
    pub several: bool,
}

/// How a caller opts out of the service's learning from its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutRule {
    /// Header name, lower case.
    pub header: String,
    /// Header name as the gate writes it.
    pub header_written: String,
    /// Query parameter of a WebSocket handshake.
    pub query: Option<String>,
    /// The value that opts out.
    pub value: String,
    /// Further headers that mean the same to this service, as the gate writes them.
    pub also: Vec<String>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name.
    pub name: String,
    /// Where the facts come from.
    pub source: String,
    /// What an operator must know that cannot be enforced.
    pub notes: Vec<String>,
    /// Shape of refusals.
    pub error: ErrorShape,
    /// Labelling.
    pub label: LabelRule,
    /// Opting out, if the service honours it.
    pub opt_out: Option<OptOutRule>,
    /// How long the service takes to delete after it said so.
    pub settle: Duration,
    /// How many deletes a minute it takes, if it documents that.
    pub deletes_per_minute: Option<u32>,
}
