//! An erasure of one customer, from acceptance to its end, as a value: what happened goes in by methods, what is to be
//! done next comes out of [`super::next_step`]. Nothing here knows the customer's ID.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decision::{Decision, OnHold, Undecidable, Verdict};
use super::intent::Intent;
use super::made::{JobState, Mark, NewJob};
use super::moment::{Moment, Now, Run, Stamp};
use super::outcome::{Later, Outcome};
use super::target::{Target, TargetKey};
use super::target_state::TargetState;
use crate::domain::{UnixSeconds, UpstreamNumber};

/// Decisions that are remembered; older ones go first.
const DECISIONS_MAX: usize = 100;

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its ID.
    pub id: Uuid,
    /// When it was accepted.
    pub received: UnixSeconds,
    /// When the person asked, if the requester said so; the deadline runs from there.
    pub submitted: Option<UnixSeconds>,
    /// When it is late.
    pub due: UnixSeconds,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// What was asked for and is not yet turned into targets.
    pub intents: Vec<Intent>,
    /// What was asked for and has been. If upstreams pass IDs on to others later, it is planned anew.
    pub covered: Vec<Intent>,
    /// How upstreams passed IDs on to each other when it was planned.
    pub topology: u64,
    /// Where it goes.
    pub targets: Vec<Target>,
    /// Why the targets that are planned next will have their instants after the answer, if they will.
    pub later: Option<Later>,
    /// Which requests it covers.
    pub mark: Option<Mark>,
    /// Whether it waits for a person's approval.
    pub awaiting_approval: bool,
    /// Whether it was called off.
    pub cancelled: Option<Decision>,
    /// Everything that people decided, oldest first.
    pub decisions: Vec<Decision>,
    /// Whether a delete has been sent anywhere, a probe included: then it cannot be cancelled.
    pub deleted: bool,
    /// When it was over.
    pub done: Option<UnixSeconds>,
    /// When it was stored, and by which run: what its moments mean.
    pub stamp: Stamp,
}

impl Job {
    /// A new erasure, accepted now.
    #[must_use]
    pub fn new(new: NewJob, now: UnixSeconds) -> Self {
        Self {
            id: new.id,
            received: now,
            submitted: new.submitted,
            due: UnixSeconds(new.submitted.unwrap_or(now).0.saturating_add(new.deadline)),
            reason: new.reason,
            deleted: new.intent.is_probed(),
            intents: vec![Intent { mark: new.mark, ..new.intent }],
            covered: Vec::new(),
            topology: 0,
            targets: Vec::new(),
            later: None,
            mark: new.mark,
            awaiting_approval: new.awaiting_approval,
            cancelled: None,
            decisions: Vec::new(),
            done: None,
            stamp: Stamp::default(),
        }
    }

    /// Moments that an earlier run stored, on this run's clock.
    pub fn take_over(&mut self, run: &Run) {
        let stamp = self.stamp;
        if stamp.run != run.name {
            self.targets.iter_mut().for_each(|target| target.take_over(&stamp, run));
            self.stamp = Stamp { run: run.name, at: run.begun };
        }
    }

    /// Where it stands, with what is on hold.
    #[must_use]
    pub fn state(&self, held: &OnHold) -> JobState {
        let open = |target: &&Target| !target.is_accepted() && !target.is_over();
        if self.cancelled.is_some() {
            JobState::Cancelled
        } else if self.done.is_some() {
            JobState::Done
        } else if held.everywhere {
            JobState::Held
        } else if self.awaiting_approval {
            JobState::AwaitingApproval
        } else if !self.intents.is_empty() {
            JobState::Accepted
        } else if self.targets.iter().any(|target| target.needs_person) {
            JobState::ActionRequired
        } else if self.targets.iter().filter(open).any(|target| held.is_at(target.key.upstream)) {
            JobState::Held
        } else if self.targets.iter().filter(open).count() == 0 {
            JobState::Settling
        } else {
            JobState::Running
        }
    }

    /// Whether the gate itself called it off, because its requester was told that it had not been accepted.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.cancelled.as_ref().is_some_and(Decision::is_withdrawal)
    }

    /// Nothing will happen any more, and the ID is not needed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.done.is_some() || self.cancelled.is_some()
    }

    /// Whether work may go on: not when it is over or waits for approval.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !self.is_over() && !self.awaiting_approval
    }

    /// Whether all upstreams have accepted: not before the targets are known.
    #[must_use]
    pub fn is_accepted_everywhere(&self) -> bool {
        self.intents.is_empty() && self.cancelled.is_none() && self.targets.iter().all(Target::is_accepted)
    }

    /// Whether it is unfinished past its deadline.
    #[must_use]
    pub fn is_late(&self, now: UnixSeconds) -> bool {
        !self.is_over() && now > self.due
    }

    /// One target.
    #[must_use]
    pub fn target(&self, key: TargetKey) -> Option<&Target> {
        self.targets.iter().find(|target| target.key == key)
    }

    /// Which requests of the customer this target covers. What others were asked for since does not concern it.
    #[must_use]
    pub fn mark_of(&self, target: &Target) -> Option<Mark> {
        target.mark.or(self.mark)
    }

    /// When the request came that this target serves: its place in line.
    #[must_use]
    pub fn asked_at(&self, target: &Target) -> UnixSeconds {
        target.asked.unwrap_or(self.received)
    }

    pub(super) fn target_mut(&mut self, key: TargetKey) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.key == key)
    }

    /// The same customer's erasure is asked for again. What the new request may not reach is left alone.
    pub fn join(&mut self, intent: Intent, at: UnixSeconds) {
        for target in &mut self.targets {
            if intent.scope.reaches(target.key.upstream) {
                target.rejoin(intent.mark, at);
            }
        }
        self.deleted |= intent.is_probed();
        self.intents.retain(|earlier| !earlier.is_superseded_by(&intent));
        self.intents.push(intent);
    }

    /// The request that has just joined also reaches these: what it chose passes IDs on to them.
    pub fn reaches_also(&mut self, upstreams: &[UpstreamNumber], at: UnixSeconds) {
        let mark = self.intents.last().and_then(|intent| intent.mark);
        let there = self.targets.iter_mut().filter(|target| upstreams.contains(&target.key.upstream));
        there.for_each(|target| target.rejoin(mark, at));
    }

    /// A probe's answer counts as this target's delete. `false`: it does not. Where a delete is under way its end is to be
    /// known first, also after a crash.
    pub fn probe_counts(&mut self, key: TargetKey, outcome: Outcome, now: Now) -> bool {
        let Some(target) = self.target_mut(key).filter(|target| !target.is_under_way()) else { return false };
        let counts = target.sending();
        if counts {
            target.ended(outcome, now, 0);
        }
        counts
    }

    /// An attempt has got so far. Nothing changes for targets at which none is to be made.
    pub fn progress(&mut self, keys: &[TargetKey], state: TargetState) {
        self.targets.iter_mut().filter(|target| keys.contains(&target.key)).for_each(|target| target.progress(state));
    }

    /// A delete is about to be sent. `false`: it must not be, since a person decided otherwise meanwhile.
    pub fn sending(&mut self, key: TargetKey, held: &OnHold) -> bool {
        let allowed = self.is_active() && !held.is_at(key.upstream);
        let sends = allowed && self.target_mut(key).is_some_and(Target::sending);
        self.deleted |= sends;
        sends
    }

    /// A delete was sent there whose answer could not be recorded.
    pub fn unanswered(&mut self, key: TargetKey, until: Moment) {
        if let Some(target) = self.target_mut(key) {
            target.unanswered = target.unanswered.max(Some(until));
        }
    }

    /// The delete that was about to be sent was not.
    pub fn unsent(&mut self, key: TargetKey) {
        if let Some(target) = self.target_mut(key) {
            target.unsent();
        }
    }

    /// The customer is let in at these targets before a delete that counts was sent there.
    pub fn unfence(&mut self, keys: &[TargetKey], why: Later) {
        self.targets.iter_mut().filter(|target| keys.contains(&target.key)).for_each(|target| target.unfence(why));
    }

    /// The acceptance's fence is gone: so it is at all targets of which nothing has begun.
    pub fn unfence_pending(&mut self, why: Later) {
        let pending = self.targets.iter_mut().filter(|target| target.state == TargetState::Pending && !target.unfenced);
        pending.for_each(|target| target.unfence(why));
    }

    /// These targets, beyond the first `known`, waited for a person: their instant lies after the answer.
    pub fn decided_later(&mut self, known: usize) {
        self.targets.iter_mut().skip(known).for_each(|target| target.later = Some(Later::Decision));
    }

    /// An attempt has ended.
    pub fn ended(&mut self, key: TargetKey, outcome: Outcome, now: Now, random: u64) {
        if let Some(target) = self.target_mut(key) {
            target.ended(outcome, now, random);
        }
    }

    /// The customer was let in before the answer to the delete that counts there.
    pub fn let_in_meanwhile(&mut self, key: TargetKey) {
        if let Some(target) = self.target_mut(key) {
            target.let_in_meanwhile();
        }
    }

    /// Whether it was asked for again, in this run, since an attempt began there that covers what entered before
    /// `covered`. Then that attempt does not count for the later request, and is done once more.
    pub fn joined_since(&mut self, key: TargetKey, covered: Mark) {
        let mark = self.target(key).and_then(|target| self.mark_of(target));
        let later = mark.is_some_and(|mark| mark.is_after(covered));
        if later && let Some(target) = self.target_mut(key) {
            target.reopened = true;
        }
    }

    /// What was in the way at this upstream was seen to end.
    pub fn straggler_ended(&mut self, upstream: UpstreamNumber, now: Moment) {
        let there = self.targets.iter_mut().filter(|target| target.key.upstream == upstream);
        there.for_each(|target| target.straggler_ended(now));
    }

    /// Services' delays that are over.
    pub fn settle(&mut self, now: Moment) {
        self.targets.iter_mut().for_each(|target| target.settle(now));
    }

    /// Everything has come to its end. Not if somebody has asked once more since that was seen: it goes on, and `false`.
    pub fn finish(&mut self, now: UnixSeconds) -> bool {
        let is_over = self.intents.is_empty() && self.targets.iter().all(Target::is_over);
        if is_over {
            self.done = Some(now);
        }
        is_over
    }

    /// Carries out what a person decided about this erasure; holds are the customer's and not decided here. `mark` says
    /// which requests an approved erasure covers.
    ///
    /// # Errors
    /// Where the decision does not fit the state; nothing is changed then.
    pub fn decide(&mut self, decision: Decision, mark: Option<Mark>) -> Result<(), Undecidable> {
        if self.is_over() {
            return Err(Undecidable::Over);
        }
        match decision.verdict {
            Verdict::Approve => self.approve(mark)?,
            // The customer has been let in since: what was probed before does not cover what comes now.
            Verdict::Hold => self.intents.iter_mut().for_each(Intent::forget_probe),
            Verdict::Unhold => self.unheld(decision.upstream),
            Verdict::Cancel if self.deleted => return Err(Undecidable::AlreadySent),
            Verdict::Cancel => self.cancelled = Some(decision.clone()),
            Verdict::Retry => self.targets.iter_mut().for_each(Target::retry),
            Verdict::Close => self.close(&decision)?,
        }
        if self.decisions.len() == DECISIONS_MAX {
            self.decisions.remove(0);
        }
        self.decisions.push(decision);
        Ok(())
    }

    fn approve(&mut self, mark: Option<Mark>) -> Result<(), Undecidable> {
        if !self.awaiting_approval {
            return Err(Undecidable::NotWaiting);
        }
        self.awaiting_approval = false;
        self.later = Some(Later::Decision);
        self.mark = mark.or(self.mark);
        let mark = self.mark;
        self.intents.iter_mut().for_each(|intent| intent.mark = mark);
        Ok(())
    }

    fn unheld(&mut self, upstream: Option<UpstreamNumber>) {
        let at = |target: &&mut Target| upstream.is_none_or(|upstream| target.key.upstream == upstream);
        self.targets.iter_mut().filter(at).for_each(|target| target.unfence(Later::Decision));
        if !self.intents.is_empty() {
            self.later = Some(Later::Decision);
        }
    }

    fn close(&mut self, decision: &Decision) -> Result<(), Undecidable> {
        let at = |target: &&mut Target| decision.is_about(&target.key);
        if !self.targets.iter_mut().any(|target| at(&target)) {
            return Err(Undecidable::NoSuchTarget);
        }
        let closable = self.targets.iter_mut().filter(at).filter(|target| target.is_for_a_person());
        let closed = closable.map(|target| target.close(decision.clone())).count();
        if closed == 0 { Err(Undecidable::NotClosable) } else { Ok(()) }
    }
}
