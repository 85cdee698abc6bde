//! What the operator chose for one upstream: the values of `[policy]`, closed enums and nothing else.

use serde::{Deserialize, Serialize, Serializer};

use super::personal::PersonalPatterns;
use super::placeholders::Placeholders;
use super::token::Trust;

/// `policy.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Judge and act.
    #[default]
    Enforce,
    /// Judge, count and report, but let pass.
    Observe,
}

/// `policy.missing`: a labelled call without a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// 400 `label_missing`.
    #[default]
    Refuse,
    /// Look for the ID where `derive` says.
    Derive,
}

/// `policy.invalid`: an ID that the service's grammar does not allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invalid {
    /// 400 `label_invalid`.
    #[default]
    Refuse,
    /// Send an alias in its place.
    Rewrite,
}

/// `policy.personal`: an ID that looks like personal data, which `personal_patterns` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Personal {
    /// Send it as it is.
    Allow,
    /// 400 `label_personal`.
    Refuse,
    /// Send an alias in its place.
    #[default]
    Rewrite,
}

/// `policy.several`: more than one customer ID in one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Several {
    /// Keep the first, take the others off the header.
    #[default]
    First,
    /// Judge, record and send all.
    All,
    /// 400 `label_several`.
    Refuse,
}

/// `policy.alias`: who gets an alias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AliasUse {
    /// Only IDs that are rewritten.
    #[default]
    Invalid,
    /// Every ID: no caller's ID ever leaves.
    Always,
}

/// `policy.opt_out`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptOut {
    /// Always `true`, whatever the caller sent.
    #[default]
    Force,
    /// `true` where the caller said nothing.
    Default,
    /// The caller's wish, or nothing.
    Off,
}

/// `policy.beta` and `policy.unknown`, said as their own types below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Beta {
    /// Forward, and count.
    #[default]
    Allow,
    /// 400 `beta_refused`.
    Refuse,
}

/// `policy.training`: calls that take training data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Training {
    /// Forward.
    #[default]
    Allow,
    /// Refuse personal data in them.
    Inspect,
}

/// `policy.unknown`: endpoints that the profile does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// Forward, and count.
    #[default]
    Forward,
    /// 400 `endpoint_unknown`.
    Refuse,
}

/// `policy.require`: what `check` demands of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// An instance whose data can be deleted by label.
    Gdpr,
    /// A Premium instance in Washington DC made from 1 April 2019 on.
    Hipaa,
}

/// One place of `policy.derive` from which the ID of an unlabelled request is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeriveFrom {
    /// A request header, by its lower-case name.
    Header(String),
    /// A query parameter, form-decoded; its name compared exactly.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// The user name of `Authorization: Basic`.
    #[serde(rename = "basic", serialize_with = "username")]
    BasicUsername,
    /// A claim of the bearer token, by name. The token's signature is **not** verified.
    Jwt(String),
    /// A JSON pointer into the body.
    Json(String),
    /// A claim of the bearer token, which is verified first.
    #[serde(untagged)]
    VerifiedJwt {
        /// The claim.
        #[serde(rename = "jwt")]
        claim: String,
        /// Whose tokens count.
        #[serde(flatten)]
        by: Box<Trust>,
    },
    /// A JSON pointer into one part of a multipart body; the whole part's text if the pointer is `None`.
    #[serde(untagged)]
    Multipart {
        /// The part's name.
        #[serde(rename = "multipart")]
        part: String,
        /// Where in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        json: Option<String>,
    },
}

/// The only part of `Authorization: Basic` that a policy can name.
fn username<S: Serializer>(to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str("username")
}

impl DeriveFrom {
    /// Whether the body must be peeked at for this.
    #[must_use]
    pub const fn needs_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Multipart { .. })
    }

    /// The key that the file has for it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Header(_) => "header",
            Self::Query(_) => "query",
            Self::Cookie(_) => "cookie",
            Self::BasicUsername => "basic",
            Self::Jwt(_) => "jwt without jwks",
            Self::VerifiedJwt { .. } => "jwt",
            Self::Json(_) => "json",
            Self::Multipart { .. } => "multipart",
        }
    }

    /// What verifies it; `None` where it is the caller's word alone.
    #[must_use]
    pub fn trust(&self) -> Option<&Trust> {
        if let Self::VerifiedJwt { by, .. } = self { Some(by) } else { None }
    }
}

/// The effective policy of one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Enforce or observe.
    pub mode: Mode,
    /// No label.
    pub missing: Missing,
    /// An illegal ID.
    pub invalid: Invalid,
    /// A personal-looking ID.
    pub personal: Personal,
    /// Several IDs.
    pub several: Several,
    /// IDs that are mistakes, and refused.
    #[serde(skip)]
    pub placeholders: Placeholders,
    /// What counts as personal.
    #[serde(skip)]
    pub personal_patterns: PersonalPatterns,
    /// Whose IDs are aliased.
    pub alias: AliasUse,
    /// Opting out.
    pub opt_out: OptOut,
    /// Beta endpoints.
    pub beta: Beta,
    /// Training data.
    pub training: Training,
    /// Endpoints not in the profile.
    pub unknown: Unknown,
    /// What `check` demands.
    pub require: Vec<Require>,
    /// Where an unlabelled request's ID is looked for, in this order; the first hit wins.
    pub derive: Vec<DeriveFrom>,
    /// `override`: whether what is derived and verified replaces the label that the caller wrote.
    #[serde(rename = "override")]
    pub overrides: bool,
}
