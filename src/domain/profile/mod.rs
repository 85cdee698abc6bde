//! A service, described as data: which calls are labelled, how its IDs are written, how its data is erased.
//!
//! The built-in profiles and an operator's own `[[profile]]` are the same form, read by the same code. A [`Profile`]
//! cannot be wrong: its only maker checks everything and reports every fault at once.

mod built_in;
mod classes;
mod endpoint;
mod erase;
mod extends;
mod fault;
mod file;
mod matching;
mod read;
mod template;

use std::time::Duration;

pub use self::built_in::{built_in, built_in_names, built_in_text};
pub use self::classes::Classes;
pub use self::endpoint::{Endpoint, When};
pub use self::erase::{EraseRule, Success, VerifyRule};
pub use self::fault::{FaultKind, Known};
pub use self::file::{
    EndpointFile, EraseFile, LabelFile, OneOrMany, OptOutFile, RateFile, SuccessFile, VerifyFile, WhenFile,
};
pub use self::matching::{Ambiguous, Match, climbs_out};
pub use self::template::{PathTemplate, Segment};
#[expect(clippy::module_name_repetitions, reason = "elsewhere these stand among other files and faults")]
pub use self::{fault::ProfileFault, file::ProfileFile};

/// Which customer-ID grammar a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarName {
    /// Printable ASCII but `;` and `=`.
    Watson,
    /// The same, bounded.
    WatsonDiscovery,
    /// Letters, digits and `_`, percent-encoded on the wire.
    WatsonVr,
}

impl GrammarName {
    const NAMED: [(&'static str, Self); 3] =
        [("watson", Self::Watson), ("watson-discovery", Self::WatsonDiscovery), ("watson-vr", Self::WatsonVr)];

    /// Its name in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watson => "watson",
            Self::WatsonDiscovery => "watson-discovery",
            Self::WatsonVr => "watson-vr",
        }
    }
}

/// Shape of a refusal's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorShape {
    /// What all of Watson's clients read.
    #[default]
    Watson,
    /// The same with `code_description`, for Speech to Text and Text to Speech.
    WatsonSpeech,
    /// The same with `description`, for Discovery.
    WatsonDiscovery,
}

impl ErrorShape {
    const NAMED: [(&'static str, Self); 3] =
        [("watson", Self::Watson), ("watson-speech", Self::WatsonSpeech), ("watson-discovery", Self::WatsonDiscovery)];

    /// Its name in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watson => "watson",
            Self::WatsonSpeech => "watson-speech",
            Self::WatsonDiscovery => "watson-discovery",
        }
    }
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
    /// Whether the grammar knows several IDs in one label. Where it does not, several are always refused.
    pub several: bool,
}

impl LabelRule {
    /// Of a service that knows no label: it names no header, and no call.
    pub(super) const NONE: Self = Self {
        header: String::new(),
        header_written: String::new(),
        field: String::new(),
        query: None,
        grammar: GrammarName::Watson,
        several: false,
    };

    /// Whether the service knows no label.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.header.is_empty()
    }
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
    /// The delete by label, if it has one.
    pub erase: Option<EraseRule>,
    /// The probes after a delete, at most one for each kind of resource.
    pub verify: Vec<VerifyRule>,
    matcher: matching::Matcher,
}

impl Profile {
    /// Reads one profile file.
    ///
    /// # Errors
    /// Every fault: a single one when the text is no TOML of this form, else all that are in it.
    pub fn from_toml(text: &str) -> Result<Self, Vec<ProfileFault>> {
        read::from_toml(text)
    }

    /// Checks a profile as written, from whatever file it came.
    ///
    /// # Errors
    /// Every fault.
    pub fn from_file(file: &ProfileFile) -> Result<Self, Vec<ProfileFault>> {
        read::from_file(file)
    }

    /// Every endpoint, in the order in which the profile lists them.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        self.matcher.endpoints()
    }

    /// What a request is. `path` is the path below the route, byte for byte as the caller sent it; `query` is what
    /// follows its `?`; `websocket` says that the request asks for an upgrade to a WebSocket.
    ///
    /// # Errors
    /// [`Ambiguous`] when one reading of the request is a governed call and another is not.
    pub fn classify(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        websocket: bool,
    ) -> Result<Match<'_>, Ambiguous> {
        self.matcher.classify(method, path, query, websocket)
    }

    /// The method of this name, in whatever case, as [`Self::classify`] knows it. `None` if the profile has no call of it.
    #[must_use]
    pub fn method_like(&self, name: &str) -> Option<&str> {
        self.matcher.method_like(name)
    }
}
