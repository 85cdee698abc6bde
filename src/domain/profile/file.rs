//! A profile as it was written: the shape of one file, and of a `[[profile]]` in config.toml.
//!
//! Values that are checked later are plain text here, so that one reading can report every fault and not only the first.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One profile as written. [`super::Profile::from_file`] checks it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// Its name.
    pub name: String,
    /// The built-in profile that it is, but for what it says itself.
    pub extends: Option<String>,
    /// Where its facts come from.
    #[serde(default)]
    pub source: String,
    /// What an operator must know that cannot be enforced.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Shape of a refusal; `watson` if it is not said.
    pub error: Option<String>,
    /// How data is labelled; left out for a service that knows no label.
    pub label: Option<LabelFile>,
    /// How data is opted out.
    pub opt_out: Option<OptOutFile>,
    /// How long a delete takes after it was accepted.
    pub settle: Option<String>,
    /// Rates that the service asks for.
    #[serde(default)]
    pub rate: RateFile,
    /// The delete call.
    pub erase: Option<EraseFile>,
    /// The probe after a delete: one, or a list of them.
    #[serde(default)]
    pub verify: OneOrMany,
    /// The calls.
    #[serde(default)]
    pub endpoint: Vec<EndpointFile>,
}

/// `label`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelFile {
    /// Header name.
    pub header: String,
    /// Field of the header.
    pub field: String,
    /// Query parameter of a WebSocket handshake.
    pub query: Option<String>,
    /// Grammar of the ID.
    pub grammar: String,
    /// `first` or `all` where the grammar knows several IDs; left out where it does not.
    pub several: Option<String>,
}

/// `opt_out`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptOutFile {
    /// Header name.
    pub header: String,
    /// Query parameter of a WebSocket handshake.
    pub query: Option<String>,
    /// The value that opts out.
    pub value: String,
    /// Further headers.
    #[serde(default)]
    pub also: Vec<String>,
}

/// `rate`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateFile {
    /// Deletes a minute.
    pub deletes_per_minute: Option<u32>,
}

/// `[erase]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraseFile {
    /// Method and path; `{api}` stands for the number of the API's version.
    pub call: String,
    /// The version if nothing better is known.
    pub api: Option<u8>,
    /// Query parameters: `{id}` and `{version}` stand for values.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// `{version}` if nothing better is known.
    pub default_version: Option<String>,
    /// The statuses that count as accepted: `[200, 202, 204]`, or `"2xx"`, which is also what holds if nothing is said. 203,
    /// 206, 207, 208 and 226 never count: they tell of parts, or of several outcomes.
    pub success: Option<SuccessFile>,
    /// JSON pointer, such as `/errors`, to what the service reports as failed although its status is good. There must be no
    /// value at it, or one without content (`null`, `false`, `0`, `""`, `[]`, `{}`); a body that is no JSON is no acceptance.
    pub failure_pointer: Option<String>,
}

/// `erase.success`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected \"2xx\" or a list of statuses such as [200, 202, 204]")]
pub enum SuccessFile {
    /// `"2xx"`, or statuses with commas between them.
    Words(String),
    /// A list of statuses.
    Statuses(Vec<i64>),
}

/// `[verify]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyFile {
    /// Method and path; its variables come from the resource in which the data was.
    pub call: String,
    /// Query parameters: `{id:literal}`, `{id}` and `{version}` stand for values.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// JSON pointer that must be missing in the answer.
    pub absent: String,
}

/// A `[verify]` table or `[[verify]]` tables, not yet looked into.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct OneOrMany(Option<toml::Value>);

impl OneOrMany {
    /// Whether nothing is written.
    pub(super) const fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// The tables, each read for itself.
    pub(super) fn read(&self) -> Vec<Result<VerifyFile, toml::de::Error>> {
        match self.0.clone() {
            None => Vec::new(),
            Some(toml::Value::Array(tables)) => tables.into_iter().map(toml::Value::try_into).collect(),
            Some(table) => vec![table.try_into()],
        }
    }
}

/// `[[endpoint]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointFile {
    /// Method and path.
    pub call: String,
    /// Its classes.
    #[serde(default)]
    pub is: Vec<String>,
    /// What the index remembers of the path.
    pub resource: Option<String>,
    /// When its data is labelled.
    pub when: Option<WhenFile>,
}

/// `when`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenFile {
    /// One of these query parameters is there.
    pub query: Vec<String>,
}
