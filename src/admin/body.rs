//! Bodies of calls: bounded, in JSON, and nothing in them that is not known. What is wrong with one is said without
//! quoting it, since it can hold a customer's ID (P7).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::domain::{CustomerId, NotAnId, UnixSeconds, json};
use crate::erasure::Eraser;
use crate::telemetry::from_rfc3339;

/// Bytes of a body.
const BYTES_MAX: usize = 64 * 1024;
/// From the head to the body's last byte.
const WITHIN: Duration = Duration::from_secs(10);
/// Seconds by which the clock of whoever submits may be ahead.
const AHEAD_MAX_S: u64 = 5 * 60;
/// Characters of a name, and of a reason or note.
const NAME_MAX: usize = 200;
const TEXT_MAX: usize = 2000;

/// The whole body.
pub(super) async fn read(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let limited = Limited::new(request.into_body(), BYTES_MAX);
    match timeout(WITHIN, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "a body here has at most 64 KiB"))
        }
        Ok(Err(_)) => Err(Problem::bad("body_cut", "the body did not come whole")),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_late", "the body did not come within ten seconds"))
        }
    }
}

/// A body of the form `T`, of which `form` says in words what it is.
pub(super) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8], form: &'static str) -> Result<T, Problem> {
    let body =
        json::utf8(body).map_err(|_| Problem::bad("body_invalid", "the body is not in UTF-8: send it in UTF-8"))?;
    serde_json::from_slice(body).map_err(|error| {
        let wrong = match error.classify() {
            serde_json::error::Category::Data => "holds something else than this call takes",
            _ => "is not JSON",
        };
        Problem::bad(
            "body_invalid",
            format!("the body {wrong} (line {}, column {}); it takes {form}", error.line(), error.column()),
        )
    })
}

/// A customer's ID in a body, or why it is none. It is wiped when dropped.
pub(super) struct CustomerField(Result<CustomerId, NotAnId>);

impl<'de> Deserialize<'de> for CustomerField {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        Ok(Self(CustomerId::read(&text)))
    }
}

/// The customer whom a body names, as the calls of this API read it.
#[cfg(test)]
pub(crate) fn customer_in(body: &[u8]) -> Result<CustomerId, crate::domain::refusal::Refusal> {
    let body: CustomerBody = parse(body, CustomerBody::FORM).unwrap();
    body.customer_id.0.map_err(Into::into)
}

impl CustomerField {
    /// The ID, if it is one and names somebody.
    pub(super) fn id(self, eraser: &Eraser) -> Result<CustomerId, Problem> {
        let id = self.read()?;
        eraser.names_one(&id).map_err(|refusal| Problem::bad("customer_id_placeholder", refusal.sentence))?;
        Ok(id)
    }

    fn read(self) -> Result<CustomerId, Problem> {
        self.0.map_err(|why| Problem::bad("customer_id_invalid", why.sentence()))
    }
}

/// `POST /api/v1/erasures`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Submission)]
pub(super) struct SubmissionBody {
    #[schema(value_type = String, min_length = 1, max_length = 4096)]
    pub(super) customer_id: CustomerField,
    /// The idempotency key: a repeated one attaches to the first.
    #[schema(nullable = false)]
    pub(super) id: Option<Uuid>,
    /// When the person asked; the deadline runs from there.
    #[schema(format = DateTime, nullable = false)]
    submitted_time: Option<String>,
    /// Only these, by name.
    #[schema(min_items = 1, nullable = false)]
    pub(super) upstreams: Option<Vec<String>>,
    /// Whether to say what it would do, and do nothing.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) dry_run: bool,
    /// Kept; must not hold the customer's ID.
    #[schema(max_length = 2000, nullable = false)]
    pub(super) reason: Option<String>,
}

impl SubmissionBody {
    pub(super) const FORM: &'static str = "{\"customer_id\": text, \"id\"?: UUID, \"submitted_time\"?: RFC 3339, \
         \"upstreams\"?: [name, …], \"dry_run\"?: true or false, \"reason\"?: text}";

    /// When the customer asked. The deadline counts from there, so a time that is yet to come would put it off.
    pub(super) fn submitted(&self, now: UnixSeconds) -> Result<Option<UnixSeconds>, Problem> {
        let Some(text) = &self.submitted_time else { return Ok(None) };
        let detail = "submitted_time is a time as RFC 3339 writes it, such as 2018-05-25T00:00:00Z";
        let submitted = from_rfc3339(text).ok_or_else(|| Problem::bad("time_invalid", detail))?;
        if submitted.0 > now.0.saturating_add(AHEAD_MAX_S) {
            let detail = "submitted_time is in the future: it is when the customer asked, at most five minutes ahead of the \
                          gate's clock";
            return Err(Problem::bad("time_ahead", detail));
        }
        Ok(Some(submitted))
    }
}

/// `POST /api/v1/recipients`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Customer)]
pub(super) struct CustomerBody {
    #[schema(value_type = String, min_length = 1, max_length = 4096)]
    pub(super) customer_id: CustomerField,
}

impl CustomerBody {
    pub(super) const FORM: &'static str = "{\"customer_id\": text}";
}

/// What a named person says with a decision.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionBody {
    pub(super) by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) note: Option<String>,
    pub(super) upstream: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) path: Option<String>,
    pub(super) form: Option<String>,
    pub(super) api: Option<u8>,
}

impl DecisionBody {
    pub(super) const FORM: &'static str = "{\"by\": name, \"reason\": text} for approve, hold and unhold (of one target with \"upstream\": name), \
         {\"by\": name, \"note\"?: text} for cancel, retry and confirm, the same with a note for close (of some of the targets \
         with \"instance\", \"path\", \"form\" or \"api\" as the erasure shows them)";
}

/// A person's name: there, and short enough.
pub(super) fn name(given: Option<String>) -> Result<String, Problem> {
    words(given, NAME_MAX)
        .ok_or_else(|| Problem::bad("by_missing", "by is the name of the person who decides, at most 200 characters"))
}

/// The same, which may be missing.
pub(super) fn name_if_any(given: Option<String>) -> Result<Option<String>, Problem> {
    given.map(|text| name(Some(text))).transpose()
}

/// A reason or note: there, and short enough.
pub(super) fn reason(given: Option<String>) -> Result<String, Problem> {
    words(given, TEXT_MAX)
        .ok_or_else(|| Problem::bad("reason_missing", "a reason or note is needed, at most 2000 characters"))
}

/// The same, which may be missing.
pub(super) fn reason_if_any(given: Option<String>) -> Result<Option<String>, Problem> {
    given.map(|text| reason(Some(text))).transpose()
}

fn words(given: Option<String>, max: usize) -> Option<String> {
    let text = given?.trim().to_owned();
    let fits = !text.is_empty() && text.chars().count() <= max && !text.chars().any(|c| c.is_control() && c != '\n');
    fits.then_some(text)
}
