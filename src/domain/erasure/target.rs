//! One target of an erasure: one form of the label at one upstream, and what has been seen there.
//!
//! A target is never *failed*: it is accepted, or it is tried again, or a person decides. Each change is a method here,
//! and each may be applied twice without harm, since a crash can come between a change and its record.

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::instances::{Where, WhereId};
use super::made::Mark;
use super::moment::{Moment, Now, Run, Stamp};
use super::outcome::{Evidence, Fault, Later, Outcome};
use super::retry;
use super::target_state::TargetState;
use crate::domain::{LabelForm, UnixSeconds, UpstreamNumber};

/// What names a target within its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetKey {
    /// Where the delete is sent.
    pub upstream: UpstreamNumber,
    /// To which of its instances.
    pub instance: WhereId,
    /// Under which form of the label.
    pub form: LabelForm,
    /// Whose label it is. Another upstream than `upstream` where that one passes its customers' IDs on: aliases differ
    /// from upstream to upstream, and what was passed on is the alias that was sent to the first.
    pub label_of: UpstreamNumber,
    /// `{api}` of the delete; `None` where its path has none.
    pub api: Option<u8>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its name within the job.
    pub key: TargetKey,
    /// The upstream's name.
    pub name: String,
    /// At which instance there.
    pub place: Where,
    /// How far it has come.
    pub state: TargetState,
    /// `{version}` of the delete, where the upstream's entry names none.
    pub version: Option<String>,
    /// Seconds from *accepted* to *settled*.
    pub settle: u64,
    /// Deletes sent there for this job.
    pub attempts: u32,
    /// Failed attempts in a row: what the back-off grows with.
    pub failures: u32,
    /// Not before: of a retry, or of the repetition after a straggler.
    pub next: Option<Moment>,
    /// Whether the fence of the acceptance is given up, because an attempt has ended, or none could be begun at once.
    pub unfenced: bool,
    /// Whether the erasure was asked for again while a delete was under way: then that one does not count.
    pub reopened: bool,
    /// Until when a delete that was not answered may still be carried out.
    pub unanswered: Option<Moment>,
    /// Whether it needs a person, and has since had no answer that says otherwise.
    pub needs_person: bool,
    /// When the delete that counts was sent; when it was answered, where the customer was let in before.
    pub instant: Option<UnixSeconds>,
    /// Why the instant lies after the answer, if it does.
    pub later: Option<Later>,
    /// When it was accepted.
    pub accepted_at: Option<Moment>,
    /// The last failure, until it is overcome.
    pub last_error: Option<Fault>,
    /// What was last observed.
    pub evidence: Option<Evidence>,
    /// Who gave it up.
    pub closed: Option<Decision>,
    /// When the request came that it serves, if that is not the erasure's first: its place in line.
    #[serde(default)]
    pub asked: Option<UnixSeconds>,
    /// Which requests of the customer it covers, if others than the erasure as a whole.
    #[serde(default)]
    pub mark: Option<Mark>,
}

impl Target {
    /// A target to which nothing has been done.
    #[must_use]
    pub const fn new(key: TargetKey, place: Where, name: String, settle: u64) -> Self {
        Self {
            key,
            name,
            place,
            state: TargetState::Pending,
            version: None,
            settle,
            attempts: 0,
            failures: 0,
            next: None,
            unfenced: false,
            reopened: false,
            unanswered: None,
            needs_person: false,
            instant: None,
            later: None,
            accepted_at: None,
            last_error: None,
            evidence: None,
            closed: None,
            asked: None,
            mark: None,
        }
    }

    /// Whether an attempt is to be made now. A state in which an attempt was under way means that it was interrupted.
    #[must_use]
    pub fn is_due(&self, now: Moment) -> bool {
        self.attempt_at().is_some_and(|at| at <= now)
    }

    /// When the next attempt is to be made; `None` if there is none to be made by itself.
    #[must_use]
    pub fn attempt_at(&self) -> Option<Moment> {
        match self.state {
            TargetState::Pending | TargetState::Fenced | TargetState::Draining => Some(Moment(0)),
            TargetState::Sent | TargetState::Retrying | TargetState::Blocked => Some(self.next.unwrap_or(Moment(0))),
            TargetState::Accepted
            | TargetState::Settled
            | TargetState::Refused
            | TargetState::NotSupported
            | TargetState::Closed => None,
        }
    }

    /// Whether it is due, and its customer not kept out for it: then it waits for its turn at the upstream.
    #[must_use]
    pub fn is_in_line(&self) -> bool {
        self.unfenced && self.attempt_at() == Some(Moment(0)) && self.state != TargetState::Sent
    }

    /// Whether a delete has been sent there whose end is not known.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.state == TargetState::Sent && self.next.is_none()
    }

    /// Whether the upstream has accepted a delete that counts.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.state, TargetState::Accepted | TargetState::Settled)
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, TargetState::Settled | TargetState::Closed)
    }

    /// Whether its next delete is the repetition of one in vain. Where one was accepted and the erasure is asked for
    /// again, it is not.
    #[must_use]
    pub const fn is_repeat(&self) -> bool {
        self.attempts > 0 && (self.last_error.is_some() || self.unanswered.is_some())
    }

    /// The status that the last attempt ended with, if it had one.
    #[must_use]
    pub fn last_status(&self) -> Option<u16> {
        match self.last_error {
            Some(Fault::Status(status)) => Some(status),
            Some(Fault::NotDrained) | None => self.evidence.as_ref().map(|evidence| evidence.status),
            Some(_) => None,
        }
    }

    /// When an accepted target is settled.
    #[must_use]
    pub fn settles_at(&self) -> Option<Moment> {
        let accepted = self.accepted_at.filter(|_| self.state == TargetState::Accepted)?;
        Some(accepted.after(self.settle))
    }

    /// Moments that an earlier run stored, on this run's clock. A delete that it had under way may still be carried out.
    pub(super) fn take_over(&mut self, stamp: &Stamp, run: &Run) {
        for moment in [&mut self.next, &mut self.unanswered, &mut self.accepted_at].into_iter().flatten() {
            *moment = stamp.taken_over(*moment, run);
        }
        if self.is_under_way() {
            self.unanswered = self.unanswered.max(Some(run.begun.after(run.straggle)));
            self.state = TargetState::Pending;
            if self.reopened {
                self.reopen();
            }
        }
    }

    /// An attempt goes on: it is fenced, it drains.
    pub(super) fn progress(&mut self, state: TargetState) {
        if self.attempt_at().is_some() {
            self.state = state;
            self.next = None;
        }
    }

    /// A delete is about to be sent. Recorded before it is. `false`: none is to be sent there any more.
    pub(super) fn sending(&mut self) -> bool {
        if self.attempt_at().is_none() {
            return false;
        }
        self.progress(TargetState::Sent);
        self.attempts = self.attempts.saturating_add(1);
        true
    }

    /// The fence of the acceptance is given up before a delete that counts: the instant will lie after the answer. Where
    /// one has been accepted the instant stays as it is.
    pub(super) fn unfence(&mut self, why: Later) {
        if !self.is_accepted() {
            self.unfenced = true;
            self.later.get_or_insert(why);
        }
    }

    /// The delete was not sent after all.
    pub(super) fn unsent(&mut self) {
        if self.is_under_way() {
            self.state = TargetState::Pending;
            self.attempts = self.attempts.saturating_sub(1);
            self.let_in_again();
        }
    }

    /// No delete is on its way any more: the next one serves whoever asked again while one was. The fence is lifted when
    /// this is durable, and that one comes later: known now, it is known after a crash as well.
    fn let_in_again(&mut self) {
        if self.reopened {
            self.reopen();
            self.unfence(Later::FenceEnded);
        }
    }

    /// The attempt has ended. `random` spreads the retries.
    pub(super) fn ended(&mut self, outcome: Outcome, now: Now, random: u64) {
        if self.attempt_at().is_none() {
            return;
        }
        self.needs_person = false;
        let moment = now.moment;
        match outcome {
            Outcome::Accepted { evidence, straggling } => self.answered(evidence, straggling, moment),
            Outcome::Retry { fault, after, unanswered } => {
                self.unanswered = self.unanswered.max(unanswered);
                self.unfence(if unanswered.is_some() { Later::Unanswered } else { Later::Retry });
                let delay = retry::delay(self.failures, random).max(retry::bounded(after));
                self.failed(TargetState::Retrying, fault, Some(moment.after(delay)));
            }
            Outcome::Blocked { fault, after } => {
                let delay = retry::blocked_delay(self.failures, random).max(retry::bounded(after));
                self.failed(TargetState::Blocked, fault, Some(moment.after(delay)));
            }
            Outcome::Refused(fault) => self.failed(TargetState::Refused, fault, None),
            Outcome::NotSupported(fault) => self.failed(TargetState::NotSupported, fault, None),
        }
        self.let_in_again();
    }

    fn answered(&mut self, evidence: Evidence, straggling: Option<Moment>, now: Moment) {
        self.failures = 0;
        let unanswered = self.unanswered.filter(|until| *until > now);
        if let Some(until) = straggling.max(unanswered) {
            // At least a second from now: a straggler whose time never ends must not make the worker spin.
            self.state = TargetState::Sent;
            self.next = Some(until.max(now.after(1)));
            self.last_error = Some(if straggling.is_some() { Fault::NotDrained } else { Fault::Unanswered });
            self.unfence(if straggling.is_some() { Later::Straggler } else { Later::Unanswered });
        } else {
            self.state = if self.settle == 0 { TargetState::Settled } else { TargetState::Accepted };
            self.next = None;
            self.unanswered = None;
            self.last_error = None;
            self.accepted_at = Some(now);
            self.instant = Some(evidence.sent);
        }
        self.evidence = Some(evidence);
    }

    /// The customer was let in before the delete that counts was answered: it is not known what of that it has met.
    pub(super) fn let_in_meanwhile(&mut self) {
        if self.is_accepted() {
            self.instant = self.evidence.as_ref().map(|evidence| evidence.answered);
        }
    }

    fn failed(&mut self, state: TargetState, fault: Fault, next: Option<Moment>) {
        self.unfence(Later::Retry);
        self.state = state;
        self.next = next;
        self.last_error = Some(fault);
        self.failures = self.failures.saturating_add(1);
        self.needs_person = matches!(state, TargetState::Blocked | TargetState::Refused | TargetState::NotSupported);
    }

    /// What was in the way there was seen to end: the delete is sent again now, unless another may still be carried out.
    pub(super) fn straggler_ended(&mut self, now: Moment) {
        if self.state == TargetState::Sent && self.last_error == Some(Fault::NotDrained) && self.next.is_some() {
            self.next = Some(self.unanswered.unwrap_or(now).max(now));
        }
    }

    /// The erasure was asked for again. A delete not sent yet serves both; any other is done once more. What was accepted
    /// goes to the end of the line; what waits or was sent in vain keeps its place.
    pub(super) fn rejoin(&mut self, mark: Option<Mark>, at: UnixSeconds) {
        self.mark = Mark::wider(self.mark, mark);
        let under_way = self.is_under_way();
        if self.is_accepted() || under_way {
            self.asked = Some(at);
        }
        match self.state {
            TargetState::Pending | TargetState::Fenced | TargetState::Draining => {}
            TargetState::Sent if under_way => self.reopened = true,
            // It is taken up again if the new request's planning finds data there.
            TargetState::Closed => self.reopened = true,
            TargetState::Sent
            | TargetState::Accepted
            | TargetState::Settled
            | TargetState::Retrying
            | TargetState::Blocked
            | TargetState::Refused
            | TargetState::NotSupported => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        self.state = TargetState::Pending;
        self.next = None;
        self.failures = 0;
        self.unfenced = false;
        self.reopened = false;
        self.instant = None;
        self.later = None;
    }

    /// A person wants it tried now. What is accepted, under way or waiting for a straggler stays as it is.
    pub(super) fn retry(&mut self) {
        if self.is_for_a_person() || self.state == TargetState::Retrying {
            self.state = TargetState::Pending;
            self.next = None;
            self.failures = 0;
        }
    }

    /// Whether it can be given up.
    #[must_use]
    pub const fn is_for_a_person(&self) -> bool {
        matches!(self.state, TargetState::Blocked | TargetState::Refused | TargetState::NotSupported)
    }

    /// A named person gives it up.
    pub(super) fn close(&mut self, decision: Decision) {
        self.state = TargetState::Closed;
        self.reopened = false;
        self.next = None;
        self.needs_person = false;
        self.closed = Some(decision);
    }

    /// The service's delay is over.
    pub(super) fn settle(&mut self, now: Moment) {
        if self.settles_at().is_some_and(|at| at <= now) {
            self.state = TargetState::Settled;
        }
    }
}
