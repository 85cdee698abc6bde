//! What is told about erasures: log lines and counters. Names, states and IDs of erasures
//! only, never a customer's (P7).

use std::error::Error;

use uuid::Uuid;

use super::Eraser;
use crate::domain::erasure::{Job, Moment, Outcome, Target, TargetState, Verdict};
use crate::store::StoreError;
use crate::telemetry::{AttemptOutcome, FailureKind, TargetEnd, chain, events};
use crate::upstream::{CallError, ConnectError, Fault, Stage};

pub(super) fn warn(what: &str, error: &dyn Error) {
    events::Warned { what: &format!("{what}: {}", chain(error)) }.emit();
}

pub(super) fn step_failed(erasure: Uuid, error: &StoreError) {
    events::ErasureStepFailed { erasure, error: &chain(error) }.emit();
}

/// The home of a delete gave no answer.
pub(super) fn no_answer(upstream: &str, error: &CallError) {
    let kind = match error {
        CallError::Connect(ConnectError::Resolve | ConnectError::Timeout(Stage::Resolve)) => FailureKind::Resolve,
        CallError::Connect(ConnectError::Tls(_) | ConnectError::Timeout(Stage::Tls)) => FailureKind::Tls,
        CallError::Connect(_) => FailureKind::Connect,
        CallError::NotSent(fault) | CallError::MaybeSent(fault) => match fault {
            Fault::Closed => FailureKind::BrokeOff,
            Fault::Timeout => FailureKind::Timeout,
            Fault::NotHttp | Fault::HeadTooLarge => FailureKind::Protocol,
        },
        CallError::Withheld => FailureKind::BrokeOff,
    };
    events::UpstreamFailed { upstream, kind, error: &chain(error) }.emit();
}

/// How metrics count this end of an attempt.
pub(super) const fn attempt_outcome(outcome: &Outcome) -> AttemptOutcome {
    match outcome {
        Outcome::Accepted { straggling: None, .. } => AttemptOutcome::Accepted,
        Outcome::Accepted { .. } => AttemptOutcome::NotDrained,
        Outcome::Retry { .. } => AttemptOutcome::Retry,
        Outcome::Blocked { .. } => AttemptOutcome::Blocked,
        Outcome::Refused(_) => AttemptOutcome::Refused,
        Outcome::NotSupported(_) => AttemptOutcome::NotSupported,
    }
}

impl Eraser {
    pub(super) fn told_attempt(&self, erasure: Uuid, target: &Target, outcome: AttemptOutcome) {
        let counters = self.shared.registry.erasures();
        counters.attempt(outcome);
        match target.state {
            TargetState::Settled => counters.target_ended(TargetEnd::Settled),
            TargetState::Refused => counters.target_ended(TargetEnd::Refused),
            TargetState::NotSupported => counters.target_ended(TargetEnd::NotSupported),
            TargetState::Pending
            | TargetState::Fenced
            | TargetState::Draining
            | TargetState::Sent
            | TargetState::Accepted
            | TargetState::Retrying
            | TargetState::Blocked
            | TargetState::Closed => {}
        }
        let (upstream, state) = (target.name.as_str(), target.state.as_str());
        let status = target.last_status().map_or(0, u64::from);
        events::ErasureTarget { erasure, upstream, state, attempts: target.attempts.into(), status }.emit();
        if target.needs_person {
            events::ErasureNeedsAction { erasure, upstream, state }.emit();
        }
    }

    /// Probes that were taken for attempts.
    pub(super) fn told_probes<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome>) {
        outcomes.map(attempt_outcome).for_each(|outcome| self.shared.registry.erasures().attempt(outcome));
    }

    /// `before` is the erasure as it was before its targets were settled at `now`.
    pub(super) fn told_settled(&self, before: &Job, now: Moment) {
        let settled = before.targets.iter().filter(|target| target.settles_at().is_some_and(|at| at <= now));
        settled.for_each(|_| self.shared.registry.erasures().target_ended(TargetEnd::Settled));
    }

    pub(super) fn told_decision(&self, job: &Job, verdict: Verdict) {
        let ended = |end| self.shared.registry.erasures().target_ended(end);
        match verdict {
            Verdict::Cancel => job.targets.iter().for_each(|_| ended(TargetEnd::Cancelled)),
            Verdict::Close => ended(TargetEnd::Closed),
            Verdict::Approve | Verdict::Hold | Verdict::Unhold | Verdict::Retry => {}
        }
        self.tell_standing();
        events::ErasureDecided { erasure: job.id, verdict: verdict.as_str() }.emit();
    }
}
