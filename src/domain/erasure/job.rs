//! An erasure of one customer, from acceptance to its end, as a value: what happened goes in by methods, what is to be
//! done next comes out of [`super::next_step`]. Nothing here knows the customer's ID.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decision::{Decision, Undecidable, Verdict};
use super::intent::{Intent, Scope};
use super::target::{Outcome, Target, TargetKey, TargetState};
use crate::domain::{UnixSeconds, UpstreamNumber};

/// Decisions that are remembered; older ones go first.
const DECISIONS_MAX: usize = 100;

/// How far an erasure has come, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Durable and fenced; its targets have not been read yet.
    Accepted,
    /// Above the rate: a person approves it first.
    AwaitingApproval,
    /// Deletes are being sent, or will be again.
    Running,
    /// All upstreams have accepted; their own delay runs.
    Settling,
    /// All targets are settled. The ID is destroyed.
    Done,
    /// Legal hold.
    Held,
    /// A person has to do something about a target. Others go on meanwhile.
    ActionRequired,
    /// Called off before a delete was sent. The ID is destroyed.
    Cancelled,
}

/// One erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where it goes.
    pub targets: Vec<Target>,
    /// Does it wait for a person's approval?
    pub awaiting_approval: bool,
    /// On legal hold?
    pub hold: Option<Decision>,
    /// Called off?
    pub cancelled: Option<Decision>,
    /// Everything that people decided, oldest first.
    pub decisions: Vec<Decision>,
    /// Has a delete been sent anywhere, a probe included? Then it cannot be cancelled.
    pub deleted: bool,
    /// When it was over: all settled.
    pub done: Option<UnixSeconds>,
}

impl Job {
    /// A new erasure, `deadline` in seconds.
    #[must_use]
    pub fn new(id: Uuid, received: UnixSeconds, submitted: Option<UnixSeconds>, deadline: u64, intent: Intent) -> Self {
        let due = UnixSeconds(submitted.unwrap_or(received).0.saturating_add(deadline));
        let deleted = intent.is_probed();
        Self {
            id,
            received,
            submitted,
            due,
            reason: None,
            intents: vec![intent],
            targets: Vec::new(),
            awaiting_approval: false,
            hold: None,
            cancelled: None,
            decisions: Vec::new(),
            deleted,
            done: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> JobState {
        let all = |is: fn(&Target) -> bool| self.targets.iter().all(is);
        if self.cancelled.is_some() {
            JobState::Cancelled
        } else if self.done.is_some() {
            JobState::Done
        } else if self.hold.is_some() {
            JobState::Held
        } else if self.awaiting_approval {
            JobState::AwaitingApproval
        } else if !self.intents.is_empty() {
            JobState::Accepted
        } else if self.targets.iter().any(Target::needs_person) {
            JobState::ActionRequired
        } else if self.targets.iter().any(|target| target.hold.is_some() && !target.is_accepted()) {
            JobState::Held
        } else if all(Target::is_accepted) {
            JobState::Settling
        } else {
            JobState::Running
        }
    }

    /// Nothing will happen any more, and the ID is not needed.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.done.is_some() || self.cancelled.is_some()
    }

    /// May work go on? Not when it is over, held or waits for approval.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !self.is_over() && self.hold.is_none() && !self.awaiting_approval
    }

    /// Does legal hold forbid deletes at this upstream?
    #[must_use]
    pub fn is_held_at(&self, upstream: UpstreamNumber) -> bool {
        let at = |target: &Target| target.key.upstream == upstream && target.hold.is_some();
        !self.is_over() && (self.hold.is_some() || self.targets.iter().any(at))
    }

    /// Is the customer to be kept out somewhere, because a first attempt has not ended? `None` if not; an empty list
    /// means everywhere, since the targets are not known yet.
    #[must_use]
    pub fn fenced(&self) -> Option<Vec<UpstreamNumber>> {
        if !self.is_active() {
            return None;
        }
        if !self.intents.is_empty() {
            return Some(Vec::new());
        }
        let first = |target: &&Target| !target.attempted && target.hold.is_none() && target.attempt_at().is_some();
        let upstreams: Vec<_> = self.targets.iter().filter(first).map(|target| target.key.upstream).collect();
        (!upstreams.is_empty()).then_some(upstreams)
    }

    /// Have all upstreams accepted? Not before the targets are known.
    #[must_use]
    pub fn is_accepted_everywhere(&self) -> bool {
        self.intents.is_empty() && self.cancelled.is_none() && self.targets.iter().all(Target::is_accepted)
    }

    /// Is it unfinished past its deadline?
    #[must_use]
    pub fn is_late(&self, now: UnixSeconds) -> bool {
        !self.is_over() && now > self.due
    }

    /// One target.
    #[must_use]
    pub fn target(&self, key: TargetKey) -> Option<&Target> {
        self.targets.iter().find(|target| target.key == key)
    }

    fn target_mut(&mut self, key: TargetKey) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.key == key)
    }

    /// The same customer's erasure is asked for again. What the new request may not reach is left alone.
    pub fn join(&mut self, intent: Intent, reaches: impl Fn(&Scope, UpstreamNumber) -> bool) {
        for target in &mut self.targets {
            if reaches(&intent.scope, target.key.upstream) {
                target.rejoin();
            }
        }
        self.deleted |= intent.is_probed();
        self.intents.retain(|earlier| !earlier.is_superseded_by(&intent));
        self.intents.push(intent);
    }

    /// The targets of these intents were read: new ones are added, those known already stay as they are. What was asked
    /// for while they were being read is planned next.
    pub fn planned(&mut self, intents: &[Intent], targets: Vec<Target>) {
        self.intents.retain(|intent| !intents.contains(intent));
        self.extended(targets);
    }

    /// Adds targets that are not known yet.
    pub fn extended(&mut self, targets: Vec<Target>) {
        for target in targets {
            if self.target(target.key).is_none() {
                self.targets.push(target);
            }
        }
    }

    /// A probe's answer counts as this target's delete.
    pub fn probe_counts(&mut self, key: TargetKey, outcome: Outcome, now: UnixSeconds) {
        if let Some(target) = self.target_mut(key) {
            target.sending();
            target.ended(outcome, now, 0);
        }
    }

    /// An attempt has got so far. Nothing changes for targets that are accepted or may not be attempted.
    pub fn progress(&mut self, keys: &[TargetKey], state: TargetState) {
        for target in self.targets.iter_mut().filter(|target| keys.contains(&target.key)) {
            target.progress(state);
        }
    }

    /// A delete is about to be sent. `false`: it must not be, since a person decided otherwise meanwhile.
    pub fn sending(&mut self, key: TargetKey) -> bool {
        let active = self.is_active();
        let Some(target) = self.target_mut(key).filter(|target| active && target.hold.is_none()) else {
            return false;
        };
        target.sending();
        self.deleted = true;
        true
    }

    /// An attempt has ended.
    pub fn ended(&mut self, key: TargetKey, outcome: Outcome, now: UnixSeconds, random: u64) {
        if let Some(target) = self.target_mut(key) {
            target.ended(outcome, now, random);
        }
    }

    /// Services' delays that are over.
    pub fn settle(&mut self, now: UnixSeconds) {
        for target in &mut self.targets {
            target.settle(now);
        }
    }

    /// Everything is settled.
    pub const fn finish(&mut self, now: UnixSeconds) {
        self.done = Some(now);
    }

    /// Carries out what a person decided; `upstream` names one target's upstream for a hold, by number.
    ///
    /// # Errors
    /// Where the decision does not fit the state; nothing is changed then.
    pub fn decide(&mut self, decision: Decision, upstream: Option<UpstreamNumber>) -> Result<(), Undecidable> {
        if self.is_over() {
            return Err(Undecidable::Over);
        }
        match (decision.verdict, upstream) {
            (Verdict::Approve, _) => self.approve()?,
            (Verdict::Hold, None) => self.hold(&decision),
            (Verdict::Unhold, None) => drop(self.hold.take().ok_or(Undecidable::NotHeld)?),
            (Verdict::Hold, Some(upstream)) => self.hold_at(upstream, Some(&decision))?,
            (Verdict::Unhold, Some(upstream)) => self.hold_at(upstream, None)?,
            (Verdict::Cancel, _) if self.deleted => return Err(Undecidable::AlreadySent),
            (Verdict::Cancel, _) => self.cancelled = Some(decision.clone()),
            (Verdict::Retry, _) => self.targets.iter_mut().for_each(Target::retry),
        }
        if self.decisions.len() == DECISIONS_MAX {
            self.decisions.remove(0);
        }
        self.decisions.push(decision);
        Ok(())
    }

    fn approve(&mut self) -> Result<(), Undecidable> {
        if !self.awaiting_approval {
            return Err(Undecidable::NotWaiting);
        }
        self.awaiting_approval = false;
        Ok(())
    }

    /// A hold lets the customer's requests in again: what was probed before does not cover what comes now.
    fn hold(&mut self, decision: &Decision) {
        self.hold = Some(decision.clone());
        self.intents.iter_mut().for_each(Intent::forget_probe);
    }

    fn hold_at(&mut self, upstream: UpstreamNumber, hold: Option<&Decision>) -> Result<(), Undecidable> {
        let mut at = self.targets.iter_mut().filter(|target| target.key.upstream == upstream).peekable();
        let first = at.peek().ok_or(Undecidable::NoSuchTarget)?;
        if hold.is_none() && first.hold.is_none() {
            return Err(Undecidable::NotHeld);
        }
        at.for_each(|target| target.hold = hold.cloned());
        Ok(())
    }
}
