//! What is to be done next for an erasure. A pure function of the job and the time, so that recovery after a crash is
//! nothing special: whatever was interrupted is simply the next step again.

use super::decision::OnHold;
use super::job::Job;
use super::moment::Moment;
use super::target::{Target, TargetKey};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the targets, behind a fence.
    Plan,
    /// Fence, drain, delete and lift for these.
    Attempt(Vec<TargetKey>),
    /// Note that services' delays are over.
    Settle,
    /// Everything has come to its end: destroy the ID.
    Finish,
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until a person decides, or nothing at all any more.
    Rest,
}

/// The next step of `job` at `now`, with what is on hold.
#[must_use]
pub fn next_step(job: &Job, now: Moment, held: &OnHold) -> Step {
    if !job.is_active() || held.everywhere {
        return Step::Rest;
    }
    if !job.intents.is_empty() {
        return Step::Plan;
    }
    let free = |target: &&Target| !held.is_at(target.key.upstream);
    let due: Vec<TargetKey> =
        job.targets.iter().filter(free).filter(|target| target.is_due(now)).map(|target| target.key).collect();
    if !due.is_empty() {
        return Step::Attempt(due);
    }
    if job.targets.iter().any(|target| target.settles_at().is_some_and(|at| at <= now)) {
        return Step::Settle;
    }
    if job.targets.iter().all(Target::is_over) {
        return Step::Finish;
    }
    job.targets.iter().filter_map(|target| awaited(target, held)).min().map_or(Step::Rest, Step::Wait)
}

fn awaited(target: &Target, held: &OnHold) -> Option<Moment> {
    let attempt = target.attempt_at().filter(|_| !held.is_at(target.key.upstream));
    attempt.or_else(|| target.settles_at())
}
