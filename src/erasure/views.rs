//! Erasures, holds and instances as the admin API shows them: names and times for people, never an ID.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use crate::domain::erasure::{Decision, Evidence, Fault, Job, JobState, Later, Now, OnHold, Target, TargetState};
use crate::domain::{LabelForm, UnixSeconds};

/// A time, written as RFC 3339 in UTC.
pub(super) fn rfc3339<S: Serializer>(time: &UnixSeconds, to: S) -> Result<S::Ok, S::Error> {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    to.collect_str(&Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

fn rfc3339_or_null<S: Serializer>(time: &Option<UnixSeconds>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, to),
        None => to.serialize_none(),
    }
}

/// `raw`, or `alias-` and the key epoch.
pub(super) fn form_name(form: LabelForm) -> String {
    if form.is_alias() { format!("alias-{}", form.0) } else { "raw".into() }
}

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Erasure)]
pub struct View {
    /// Its ID.
    pub id: Uuid,
    /// Where it stands.
    pub state: JobState,
    /// When it was accepted.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub received: UnixSeconds,
    /// When the person asked, if the requester said so.
    #[serde(serialize_with = "rfc3339_or_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, nullable = false)]
    pub submitted_time: Option<UnixSeconds>,
    /// When it is late.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub due: UnixSeconds,
    /// Whether it is.
    pub late: bool,
    /// Why, in the requester's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Upstream by upstream; empty until they have been read from the index.
    pub targets: Vec<TargetView>,
    /// What people decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionView>,
}

impl View {
    pub(super) fn of(job: &Job, now: Now, held: &OnHold) -> Self {
        let name = |number| job.targets.iter().find(|t| t.key.upstream == number).map(|t| t.name.clone());
        let target = |target: &Target| {
            let other = (target.key.label_of != target.key.upstream).then_some(target.key.label_of);
            let other = other.map(|number| name(number).unwrap_or_else(|| format!("upstream {}", number.0)));
            TargetView::of(target, other, now, held)
        };
        Self {
            id: job.id,
            state: job.state(held),
            received: job.received,
            submitted_time: job.submitted,
            due: job.due,
            late: job.is_late(now.wall),
            reason: job.reason.clone(),
            targets: job.targets.iter().map(target).collect(),
            decisions: job.decisions.iter().map(DecisionView::of).collect(),
        }
    }
}

/// One target: one form of the label at one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetView {
    /// The upstream's name.
    pub upstream: String,
    /// The instance there: its name, or the beginning of its key's fingerprint where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance: Option<String>,
    /// What stands between the upstream's URL and the delete's own path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub path: Option<String>,
    /// The version of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub api: Option<u8>,
    /// `raw`, or `alias-` and the key epoch.
    pub form: String,
    /// The upstream that passed the label on, where it is another's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label_of: Option<String>,
    /// How far it has come; `held` where a person holds it.
    pub state: TargetWord,
    /// Deletes sent.
    pub attempts: u32,
    /// The last failure, until it is overcome.
    #[schema(required)]
    pub last_error: Option<String>,
    /// When the delete that counts was sent.
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub instant: Option<UnixSeconds>,
    /// Why that lies after the answer to the request, or will: what the customer sent in between is erased, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instant_after_answer: Option<Later>,
    /// Whether a person has to do something, also while it is tried again or waits for its turn.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_person: bool,
    /// Who gave it up, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub closed: Option<DecisionView>,
    /// What it waits for, where it is its turn that has not come.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting: Option<&'static str>,
    /// When it is tried again.
    #[serde(serialize_with = "rfc3339_or_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, nullable = false)]
    pub next_attempt: Option<UnixSeconds>,
    /// What was last observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub evidence: Option<EvidenceView>,
}

impl TargetView {
    pub(super) fn of(target: &Target, label_of: Option<String>, now: Now, held: &OnHold) -> Self {
        let held = held.is_at(target.key.upstream) && !target.is_accepted() && !target.is_over();
        Self {
            upstream: target.name.clone(),
            instance: target.place.shown(),
            path: Some(target.place.prefix.to_string()).filter(|path| !path.is_empty()),
            api: target.key.api,
            form: form_name(target.key.form),
            label_of,
            state: if held { TargetWord::Held } else { TargetWord::Of(target.state) },
            attempts: target.attempts,
            last_error: target.last_error.map(|fault| said(fault, target)),
            instant: target.instant,
            instant_after_answer: target.later,
            needs_person: target.needs_person,
            waiting: target.is_in_line().then_some("its turn among the deletes to this upstream"),
            next_attempt: target.next.map(|at| now.on_the_wall(at)),
            closed: target.closed.as_ref().map(DecisionView::of),
            evidence: target.evidence.as_ref().map(EvidenceView::of),
        }
    }
}

/// The fault, and which instance it is about.
fn said(fault: Fault, target: &Target) -> String {
    let instance = target.place.shown().filter(|_| fault == Fault::InstanceUnnamed);
    match instance {
        Some(instance) => fault.to_string().replacen("this instance", &format!("instance \"{instance}\""), 1),
        None => fault.to_string(),
    }
}

/// A target's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetWord {
    /// On legal hold.
    Held,
    /// Its own.
    #[serde(untagged)]
    Of(TargetState),
}

impl utoipa::PartialSchema for TargetWord {
    fn schema() -> RefOr<Schema> {
        let mut words = <TargetState as utoipa::PartialSchema>::schema();
        if let RefOr::T(Schema::Object(words)) = &mut words {
            words.enum_values.get_or_insert_default().push("held".into());
        }
        words
    }
}

impl ToSchema for TargetWord {
    fn name() -> Cow<'static, str> {
        "TargetState".into()
    }
}

/// What was observed at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceView {
    /// When the delete was sent.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub sent: UnixSeconds,
    /// When the answer came.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub answered: UnixSeconds,
    /// The upstream's own `Date`.
    #[schema(required)]
    pub date: Option<String>,
    /// Its status.
    pub status: u16,
    /// SHA-256 of its body.
    pub digest: String,
    /// Whether everything had drained.
    pub drained: bool,
    /// The upstream's address to which it was sent.
    pub address: String,
}

impl EvidenceView {
    fn of(evidence: &Evidence) -> Self {
        let Evidence { sent, answered, date, status, digest, drained, address } = evidence.clone();
        Self { sent, answered, date, status, digest, drained, address }
    }
}

/// What a named person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Decided)]
pub struct DecisionView {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixSeconds,
    /// What.
    pub decision: crate::domain::erasure::Verdict,
    /// Who.
    pub by: String,
    /// Why.
    pub note: String,
}

impl DecisionView {
    fn of(decision: &Decision) -> Self {
        let Decision { at, verdict, by, note, upstream: _, targets: _ } = decision.clone();
        Self { at, decision: verdict, by, note }
    }
}

/// A legal hold, without whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    /// Its ID.
    pub id: Uuid,
    /// At one upstream only, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub upstream: Option<String>,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixSeconds,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A page of legal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HoldList {
    /// In the order of their IDs.
    pub holds: Vec<HoldView>,
    /// The cursor of the next page, if there may be one.
    #[schema(required)]
    pub next: Option<Uuid>,
}

/// A page of erasures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ErasureList)]
pub struct List {
    /// In the order of their IDs.
    pub erasures: Vec<View>,
    /// The cursor of the next page, if there may be one.
    #[schema(required)]
    pub next: Option<Uuid>,
}

/// What an erasure would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// Where a delete would be sent.
    pub targets: Vec<TargetView>,
    /// Where data is or may be that cannot be erased from here.
    pub cannot_be_erased: Vec<TargetView>,
}

/// An instance of an upstream that traffic has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceView {
    /// The upstream's name.
    pub upstream: String,
    /// Its own name, or the beginning of its key's fingerprint where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance: Option<String>,
    /// What stands between the upstream's URL and the service's own paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub path: Option<String>,
    /// `false`: it is not known whose credentials open it, and erasures wait for them.
    pub has_credentials: bool,
    /// `false`: the service has only ever refused what was sent there, or it is not known what became of it. Others do not
    /// wait for it.
    pub answered: bool,
    /// When it was seen for the first time.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: UnixSeconds,
    /// And lately; to the day.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: UnixSeconds,
}
