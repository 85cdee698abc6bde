//! The calls that the gate itself makes: the delete by label, and the probe after it.
//!
//! Query values are always percent-encoded with `%20` and `%2B`, which no decoder can mistake (P6).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::template::{PathTemplate, Segment};

/// Everything but the unreserved characters of RFC 3986.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which answers count as accepted. One that says that a part of it failed never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    pub(super) statuses: Statuses,
    /// JSON pointer to what a service reports as failed although its status is good.
    pub(super) failure: Option<Box<str>>,
}

/// The statuses of acceptance, none of which is [`is_partial`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statuses {
    /// Every 2xx.
    Any2xx,
    /// These.
    Listed(Box<[u16]>),
}

/// Whether this 2xx says that its answer is only a part, a mixture of outcomes, or another's word: 203, 206, 207 and
/// their kin.
pub(super) const fn is_partial(status: u16) -> bool {
    matches!(status, 203 | 206 | 207 | 208 | 226)
}

impl Success {
    /// Whether this status is an acceptance.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        let is_one = match &self.statuses {
            Statuses::Any2xx => (200..300).contains(&status),
            Statuses::Listed(codes) => codes.contains(&status),
        };
        is_one && !is_partial(status)
    }

    /// Whether this answer is an acceptance. Where the profile names a place for failures, nothing may stand there: no
    /// value, or one without content. A body that cannot be looked into is no acceptance then, unless it is empty.
    #[must_use]
    pub fn accepts_answer(&self, status: u16, body: &[u8]) -> bool {
        let says_failed = |pointer: &str| match serde_json::from_slice::<Value>(body) {
            Ok(value) => value.pointer(pointer).is_some_and(has_content),
            Err(_) => !body.trim_ascii().is_empty(),
        };
        self.accepts(status) && !self.failure.as_deref().is_some_and(says_failed)
    }
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// `[erase]`: how the data of one customer is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseRule {
    /// The method, in upper case.
    pub method: Box<str>,
    /// The version of the API if neither the caller nor the labelled traffic says one; `None` where the path has none.
    pub api: Option<u8>,
    /// The versions for which the profile has an endpoint of class *erase*.
    pub apis: Box<[u8]>,
    /// `version` if neither the upstream nor the caller says one; `None` where the service wants none.
    pub default_version: Option<Box<str>>,
    /// What counts as accepted.
    pub success: Success,
    pub(super) path: Box<str>,
    pub(super) query: QueryTemplate,
}

impl EraseRule {
    /// The path, relative to the service's base URL. `api` is the wished version; one that the service does not have
    /// gives way to the profile's.
    #[must_use]
    pub fn path(&self, api: Option<u8>) -> String {
        let api = api.filter(|wished| self.apis.contains(wished)).or(self.api);
        match api {
            Some(api) => self.path.replace(API, &api.to_string()),
            None => self.path.to_string(),
        }
    }

    /// The query without its `?`. `id` is the text that the service compares (the customer ID or its alias);
    /// `version` is the upstream's or the caller's, and gives way to [`Self::default_version`].
    #[must_use]
    pub fn query(&self, id: &str, version: Option<&str>) -> String {
        self.query.write(id, version.or(self.default_version.as_deref()))
    }

    /// Whether the service wants a `version`.
    #[must_use]
    pub fn wants_version(&self) -> bool {
        self.query.wants_version()
    }

    /// The query as profiles write it: `customer_id={id}&version={version}`.
    #[must_use]
    pub fn query_written(&self) -> String {
        self.query.to_string()
    }

    /// The call as profiles write it: `DELETE /v{api}/user_data`.
    #[must_use]
    pub fn call(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What stands for the API's version in the path of a delete.
pub(super) const API: &str = "{api}";

/// `[verify]`: the probe that must find nothing after a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyRule {
    /// The method, in upper case.
    pub method: Box<str>,
    /// Its path; its variables come from a resource that the index remembers.
    pub template: PathTemplate,
    /// The resource template of the data that it looks for: `workspaces/{workspace}`.
    pub resource: PathTemplate,
    /// JSON pointer that must be missing in the answer.
    pub absent: Box<str>,
    pub(super) query: QueryTemplate,
}

impl VerifyRule {
    /// The path of the probe for one resource of the index, such as `workspaces/w1`; `None` for a resource of another kind.
    #[must_use]
    pub fn path(&self, resource: &str) -> Option<String> {
        let (parts, form) = (resource.split('/'), self.resource.segments());
        let fits = parts.clone().count() == form.len()
            && parts
                .clone()
                .zip(form)
                .all(|(part, segment)| !part.is_empty() && segment.fixed().is_none_or(|fixed| fixed == part));
        let value = |name: &str| {
            parts.clone().zip(form).find(|(_, segment)| segment.variable() == Some(name)).map(|(part, _)| part)
        };
        let mut path = String::new();
        for segment in self.template.segments() {
            path.push('/');
            match segment {
                Segment::Fixed(text) => path.push_str(text),
                Segment::Variable(name) => path.extend(utf8_percent_encode(value(name)?, VALUE)),
            }
        }
        fits.then_some(path)
    }

    /// The query without its `?`, as [`EraseRule::query`].
    #[must_use]
    pub fn query(&self, id: &str, version: Option<&str>) -> String {
        self.query.write(id, version)
    }

    /// The query as profiles write it.
    #[must_use]
    pub fn query_written(&self) -> String {
        self.query.to_string()
    }

    /// The call as profiles write it.
    #[must_use]
    pub fn call(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}

/// A piece of a query value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Id,
    /// The ID as a literal of the filter language: in double quotes, quotes and backslashes escaped.
    IdLiteral,
    Version,
}

/// The query of a call of the gate's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QueryTemplate(Vec<(Box<str>, Vec<Piece>)>);

impl QueryTemplate {
    /// Adds a parameter. `Err` is the `{…}` that stands for nothing, or empty if the braces do not match.
    pub(super) fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut pieces = Vec::new();
        let mut rest = value;
        while let Some((text, after)) = rest.split_once('{') {
            let (placeholder, after) = after.split_once('}').ok_or_else(String::new)?;
            push_text(&mut pieces, text)?;
            pieces.push(match placeholder {
                "id" => Piece::Id,
                "id:literal" => Piece::IdLiteral,
                "version" => Piece::Version,
                _ => return Err(placeholder.to_owned()),
            });
            rest = after;
        }
        push_text(&mut pieces, rest)?;
        self.0.push((name.into(), pieces));
        Ok(())
    }

    pub(super) fn wants_version(&self) -> bool {
        self.pieces().any(|piece| *piece == Piece::Version)
    }

    pub(super) fn names_the_id(&self) -> bool {
        self.pieces().any(|piece| matches!(piece, Piece::Id | Piece::IdLiteral))
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.0.iter().flat_map(|(_, pieces)| pieces)
    }

    fn write(&self, id: &str, version: Option<&str>) -> String {
        let mut query = String::new();
        for (name, pieces) in &self.0 {
            if version.is_none() && pieces.contains(&Piece::Version) {
                continue;
            }
            if !query.is_empty() {
                query.push('&');
            }
            let value: String = pieces.iter().map(|piece| piece.text(id, version)).collect();
            query.extend(utf8_percent_encode(name, VALUE).chain(["="]).chain(utf8_percent_encode(&value, VALUE)));
        }
        query
    }
}

impl fmt::Display for QueryTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, pieces)) in self.0.iter().enumerate() {
            write!(f, "{}{name}=", if index == 0 { "" } else { "&" })?;
            pieces.iter().try_for_each(|piece| f.write_str(piece.written()))?;
        }
        Ok(())
    }
}

impl Piece {
    fn written(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Id => "{id}",
            Self::IdLiteral => "{id:literal}",
            Self::Version => "{version}",
        }
    }

    fn text(&self, id: &str, version: Option<&str>) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Id => id.to_owned(),
            Self::IdLiteral => format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Version => version.unwrap_or_default().to_owned(),
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err(String::new());
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    Ok(())
}
