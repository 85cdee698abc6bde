//! The calls about legal holds. A hold is a customer's; its record never says whose.

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::State;
use super::body::{CustomerField, DecisionBody, name, name_if_any, parse, reason};
use super::calls::{decision, id, names};
use super::problem::{Answer, Problem, json_answer};
use super::routes::Parameters;
use crate::domain::erasure::Verdict;
use crate::domain::query;
use crate::erasure::{Decided, Problem as Unknown};

/// Holds in an answer to a list, unless the caller says otherwise, and at most.
const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1000;

/// `POST /api/v1/holds`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HoldRequest)]
pub(super) struct HoldBody {
    #[schema(value_type = String, min_length = 1, max_length = 4096)]
    customer_id: CustomerField,
    /// Only at this upstream, by name.
    #[schema(nullable = false)]
    upstream: Option<String>,
    #[schema(max_length = 200, required, nullable = false)]
    by: Option<String>,
    /// Kept; must not hold the customer's ID.
    #[schema(max_length = 2000, required, nullable = false)]
    reason: Option<String>,
}

/// `DELETE /api/v1/holds/{id}`
#[derive(Serialize, ToSchema)]
pub(super) struct Lifted {
    lifted: bool,
}

const FORM: &str = "{\"customer_id\": text, \"upstream\"?: name, \"by\": name, \"reason\": text}";

pub(super) async fn set(state: &State, body: &Bytes) -> Result<Answer, Problem> {
    let body: HoldBody = parse(body, FORM)?;
    let customer = body.customer_id.id(&state.eraser)?;
    let (by, note) = (name(body.by)?, reason(body.reason)?);
    if names(&note, &customer) {
        return Err(Problem::bad("reason_personal", "the reason is kept, and must not hold the customer's ID"));
    }
    let decided = Decided { verdict: Verdict::Hold, by, note, upstream: body.upstream };
    Ok(json_answer(StatusCode::CREATED, &state.eraser.hold(&customer, decided).await?))
}

pub(super) async fn lift(state: &State, at: &Parameters, body: &Bytes) -> Result<Answer, Problem> {
    let body: DecisionBody = decision(body)?;
    let by = name_if_any(body.by)?.unwrap_or_default();
    state.eraser.unhold(id(at)?, by).await.map_err(|problem| match problem {
        Unknown::NotFound => Problem::new(StatusCode::NOT_FOUND, "hold_unknown", "there is no legal hold of this id"),
        other => other.into(),
    })?;
    Ok(json_answer(StatusCode::OK, &Lifted { lifted: true }))
}

pub(super) async fn list(state: &State, query: Option<&str>) -> Result<Answer, Problem> {
    let (mut cursor, mut limit) = (None, None);
    for pair in query::pairs(query.unwrap_or_default()) {
        let value = String::from_utf8_lossy(&query::decoded(pair.value)).into_owned();
        let slot = match &*query::decoded(pair.name) {
            b"cursor" => &mut cursor,
            b"limit" => &mut limit,
            _ => return Err(Problem::bad("query_refused", "this call takes cursor and limit, each once")),
        };
        if slot.replace(value).is_some() {
            return Err(Problem::bad("query_refused", "this call takes cursor and limit, each once"));
        }
    }
    let cursor = cursor.map(|text: String| Uuid::parse_str(&text)).transpose();
    let cursor = cursor.map_err(|_| Problem::bad("cursor_invalid", "cursor is what next of the page before says"))?;
    let limit = limit.map_or(Some(LIST_DEFAULT), |text: String| text.parse().ok());
    let limit = limit.filter(|limit| (1..=LIST_MAX).contains(limit));
    let limit = limit.ok_or_else(|| Problem::bad("limit_invalid", "limit is a number from 1 to 1000"))?;
    Ok(json_answer(StatusCode::OK, &state.eraser.holds(cursor, limit).await?))
}
