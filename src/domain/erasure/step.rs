//! What is to be done next for an erasure. A pure function of the job and the time, so that recovery after a crash is
//! nothing special: whatever was interrupted is simply the next step again.

use super::job::Job;
use super::target::{Target, TargetKey, TargetState};
use crate::domain::UnixSeconds;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the targets, behind a fence.
    Plan,
    /// Fence, drain, delete and lift for these.
    Attempt(Vec<TargetKey>),
    /// Note that services' delays are over.
    Settle,
    /// Everything is settled: destroy the ID.
    Finish,
    /// Nothing before this time.
    Wait(UnixSeconds),
    /// Nothing until a person decides, or nothing at all any more.
    Rest,
}

/// The next step of `job` at `now`.
#[must_use]
pub fn next_step(job: &Job, now: UnixSeconds) -> Step {
    if !job.is_active() {
        return Step::Rest;
    }
    if !job.intents.is_empty() {
        return Step::Plan;
    }
    let due: Vec<TargetKey> = job.targets.iter().filter(|target| target.is_due(now)).map(|target| target.key).collect();
    if !due.is_empty() {
        return Step::Attempt(due);
    }
    if job.targets.iter().any(|target| target.settles_at().is_some_and(|at| at <= now)) {
        return Step::Settle;
    }
    if job.targets.iter().all(|target| target.state == TargetState::Settled) {
        return Step::Finish;
    }
    job.targets.iter().filter_map(awaited).min().map_or(Step::Rest, Step::Wait)
}

fn awaited(target: &Target) -> Option<UnixSeconds> {
    let attempt = target.attempt_at().filter(|_| target.hold.is_none());
    attempt.or_else(|| target.settles_at())
}
