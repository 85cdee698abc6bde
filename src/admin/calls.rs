//! The calls about erasures and customers: what came in is checked here, and done by [`crate::erasure`].

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use uuid::Uuid;

use super::State;
use super::body::{CustomerBody, DecisionBody, SubmissionBody, name, name_if_any, parse, reason, reason_if_any};
use super::problem::{Answer, Problem, json_answer};
use super::routes::{Call, LIST_QUERY, Parameters};
use crate::domain::erasure::{JobState, Verdict};
use crate::domain::{CustomerId, query};
use crate::erasure::{Decided, Submission, Submitted, TargetsThere};
use crate::telemetry::unix_now;

/// Erasures in an answer to a list, unless the caller says otherwise, and at most.
const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1000;
/// An ID of fewer characters turns up in sentences by chance.
const TELLING_ID_MIN: usize = 4;

pub(super) async fn submit(state: &State, body: &Bytes) -> Result<Answer, Problem> {
    let body: SubmissionBody = parse(body, SubmissionBody::FORM)?;
    let submitted = body.submitted(unix_now())?;
    if body.upstreams.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::bad("upstreams_empty", "upstreams names at least one; leave it out for all"));
    }
    let customer_id = body.customer_id.id(&state.eraser)?;
    let reason = reason_if_any(body.reason)?;
    if reason.as_ref().is_some_and(|reason| names(reason, &customer_id)) {
        return Err(Problem::bad("reason_personal", "the reason is kept, and must not hold the customer's ID"));
    }
    let (id, upstreams, dry_run) = (body.id, body.upstreams, body.dry_run);
    let submission = Submission { customer_id, id, submitted, upstreams, dry_run, reason };
    Ok(match state.eraser.submit(submission).await? {
        Submitted::DryRun(run) => json_answer(StatusCode::OK, &run),
        Submitted::Accepted(erasure) => {
            let mut answer = json_answer(StatusCode::ACCEPTED, &erasure);
            if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/erasures/{}", erasure.id)) {
                answer.headers_mut().insert(LOCATION, place);
            }
            answer
        }
    })
}

pub(super) async fn list(state: &State, query: Option<&str>) -> Result<Answer, Problem> {
    let mut given: [Option<String>; LIST_QUERY.len()] = Default::default();
    for pair in query::pairs(query.unwrap_or_default()) {
        let known = LIST_QUERY.iter().position(|name| name.as_bytes() == &*query::decoded(pair.name));
        let slot = known.and_then(|place| given.get_mut(place)).filter(|slot| slot.is_none());
        let Some(slot) = slot else {
            return Err(Problem::bad("query_refused", "this call takes state, cursor and limit, each once"));
        };
        *slot = Some(String::from_utf8_lossy(&query::decoded(pair.value)).into_owned());
    }
    let [wanted, cursor, limit] = given;
    let wanted = wanted.map(|word| job_state(&word)).transpose()?;
    let cursor = cursor.map(|text| Uuid::parse_str(&text)).transpose();
    let cursor = cursor.map_err(|_| Problem::bad("cursor_invalid", "cursor is what next of the page before says"))?;
    let limit =
        limit.map_or(Some(LIST_DEFAULT), |text| text.parse().ok().filter(|limit| (1..=LIST_MAX).contains(limit)));
    let limit = limit.ok_or_else(|| Problem::bad("limit_invalid", "limit is a number from 1 to 1000"))?;
    Ok(json_answer(StatusCode::OK, &state.eraser.list(wanted, cursor, limit).await?))
}

pub(super) async fn show(state: &State, at: &Parameters) -> Result<Answer, Problem> {
    Ok(json_answer(StatusCode::OK, &state.eraser.show(id(at)?).await?))
}

pub(super) async fn receipt(state: &State, at: &Parameters) -> Result<Answer, Problem> {
    state.eraser.show(id(at)?).await?;
    Err(Problem::new(StatusCode::NOT_FOUND, "receipt_unknown", "receipts are not made by this version"))
}

pub(super) async fn recipients(state: &State, body: &Bytes) -> Result<Answer, Problem> {
    let body: CustomerBody = parse(body, CustomerBody::FORM)?;
    Ok(json_answer(StatusCode::OK, &state.eraser.recipients(&body.customer_id.id(&state.eraser)?).await?))
}

pub(super) async fn decide(state: &State, call: Call, at: &Parameters, body: &Bytes) -> Result<Answer, Problem> {
    let id = id(at)?;
    let body = decision(body)?;
    let of_one = body.upstream.is_some();
    let there = TargetsThere { instance: body.instance, path: body.path, form: body.form, api: body.api };
    let why = reason_if_any(body.reason.or(body.note))?;
    let (verdict, by, note) = match call {
        Call::Hold => (Verdict::Hold, name(body.by)?, reason(why)?),
        Call::Unhold => (Verdict::Unhold, name(body.by)?, why.unwrap_or_default()),
        Call::Approve => (Verdict::Approve, name(body.by)?, why.unwrap_or_default()),
        Call::Close => (Verdict::Close, name(body.by)?, reason(why)?),
        Call::Cancel => (Verdict::Cancel, name(body.by)?, why.unwrap_or_default()),
        // Trying again decides nothing: it needs no name.
        _ => (Verdict::Retry, name_if_any(body.by)?.unwrap_or_default(), why.unwrap_or_default()),
    };
    if verdict == Verdict::Close {
        let decided = Decided { verdict, by, note, upstream: at.upstream.clone() };
        return Ok(json_answer(StatusCode::OK, &state.eraser.decide_of(id, decided, &there).await?));
    }
    if there != TargetsThere::default() {
        return Err(Problem::bad("target_refused", "only closing can be of some of the targets at an upstream"));
    }
    if of_one && !matches!(verdict, Verdict::Hold | Verdict::Unhold) {
        return Err(Problem::bad("upstream_refused", "only a hold and its end can be of one upstream"));
    }
    let decided = Decided { verdict, by, note, upstream: body.upstream };
    Ok(json_answer(StatusCode::OK, &state.eraser.decide(id, decided).await?))
}

pub(super) async fn confirm(state: &State, at: &Parameters, body: &Bytes) -> Result<Answer, Problem> {
    let erasure = state.eraser.show(id(at)?).await?;
    let body = decision(body)?;
    name(body.by)?;
    reason_if_any(body.note.or(body.reason))?;
    let upstream = at.upstream.as_deref().unwrap_or_default();
    if !erasure.targets.iter().any(|target| target.upstream == upstream) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "target_unknown", "the erasure has no such target"));
    }
    Err(Problem::new(
        StatusCode::CONFLICT,
        "not_a_ticket",
        "this target is erased by label: it is not a ticket that a person closes",
    ))
}

pub(super) fn decision(body: &[u8]) -> Result<DecisionBody, Problem> {
    if body.is_empty() { Ok(DecisionBody::default()) } else { parse(body, DecisionBody::FORM) }
}

pub(super) fn id(at: &Parameters) -> Result<Uuid, Problem> {
    let unknown = || Problem::from(crate::erasure::Problem::NotFound);
    Uuid::parse_str(at.id.as_deref().unwrap_or_default()).map_err(|_| unknown())
}

fn job_state(word: &str) -> Result<JobState, Problem> {
    let word: StrDeserializer<'_, WordError> = word.into_deserializer();
    JobState::deserialize(word).map_err(|_| {
        let detail =
            "state is one of accepted, awaiting_approval, running, settling, done, held, action_required, cancelled";
        Problem::bad("state_invalid", detail)
    })
}

/// Whether the text holds the ID as a word of its own.
pub(super) fn names(text: &str, customer: &CustomerId) -> bool {
    let id = customer.expose();
    let is_part = |c: char| c.is_alphanumeric();
    id.chars().count() >= TELLING_ID_MIN
        && text.match_indices(id).any(|(at, found)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + found.len()..).and_then(|after| after.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::{CustomerId, JobState, job_state, names};

    #[test]
    fn p7_a_reason_that_holds_the_id_is_noticed_and_one_that_only_looks_like_it_is_not() {
        let id = |text| CustomerId::new(text).unwrap();
        assert!(names("asked by alice@example.com today", &id("alice@example.com")));
        assert!(names("cust-42", &id("cust-42")));
        assert!(!names("cust-421", &id("cust-42")));
        assert!(!names("request 1 of 3", &id("1")));
    }

    #[test]
    fn states_are_named_as_they_are_shown() {
        assert_eq!(job_state("awaiting_approval").unwrap(), JobState::AwaitingApproval);
        assert!(job_state("failed").is_err());
    }
}
