//! One target of an erasure: one form of the label at one upstream, and what has been seen there.
//!
//! A target is never *failed*: it is accepted, or it is tried again, or a person decides. Each change is a method here,
//! and each may be applied twice without harm, since a crash can come between a change and its record.

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::retry;
use crate::domain::{LabelForm, UnixSeconds, UpstreamNumber};

/// What names a target within its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetKey {
    /// Where the delete is sent.
    pub upstream: UpstreamNumber,
    /// Under which form of the label.
    pub form: LabelForm,
    /// Whose label it is. Another upstream than `upstream` where that one passes its customers' IDs on: aliases differ
    /// from upstream to upstream, and what was passed on is the alias that was sent to the first.
    pub label_of: UpstreamNumber,
}

/// How far a target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Nothing done yet, or reopened.
    Pending,
    /// New requests for the customer wait.
    Fenced,
    /// Those on their way there are ending.
    Draining,
    /// A delete was sent; with a time to do it again, it was sent although not everything had drained.
    Sent,
    /// The upstream answered 2xx to a delete that was sent after all had drained.
    Accepted,
    /// Accepted, and the service's own delay is over.
    Settled,
    /// Network, 408, 429 or 5xx: tried again by itself.
    Retrying,
    /// 401 or 403: the credentials. Tried again by itself, slowly.
    Blocked,
    /// Another answer: a person decides.
    Refused,
    /// This upstream cannot be asked to erase this.
    NotSupported,
}

impl TargetState {
    /// As it is written in answers, logs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fenced => "fenced",
            Self::Draining => "draining",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Settled => "settled",
            Self::Retrying => "retrying",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::NotSupported => "not_supported",
        }
    }
}

/// Why an attempt did not end in acceptance. It never quotes an upstream's answer, which could hold an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing came back.
    #[error("the upstream could not be reached")]
    Unreachable,
    /// It took too long.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// An answer that is not acceptance.
    #[error("the upstream answered {0}")]
    Status(u16),
    /// The gate's own limit for this upstream.
    #[error("waiting for the upstream's rate of deletes")]
    Paced,
    /// No credentials to be had, such as an IAM that does not answer.
    #[error("the upstream's credentials could not be obtained")]
    Credentials,
    /// The profile has no way to erase, or the label cannot be written there.
    #[error("this upstream cannot be asked to erase this label")]
    NotSupported,
    /// The upstream is no longer in the configuration.
    #[error("the upstream is not configured any more")]
    NotConfigured,
    /// A straggler may still arrive.
    #[error("a request that was cut short may still arrive there; the delete is sent again after that")]
    NotDrained,
}

/// What was observed when the upstream answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When the delete was sent, by our clock.
    pub sent: UnixSeconds,
    /// When the answer came, by our clock.
    pub answered: UnixSeconds,
    /// The answer's `Date`, by the upstream's clock.
    pub date: Option<String>,
    /// Its status.
    pub status: u16,
    /// SHA-256 of its body, in hexadecimal.
    pub digest: String,
    /// Had everything drained before it was sent?
    pub drained: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx. With a time: something may still arrive until then, so it does not count yet.
    Accepted {
        /// What was seen.
        evidence: Evidence,
        /// Until when a straggler may arrive.
        straggling_until: Option<UnixSeconds>,
    },
    /// To be tried again.
    Retry {
        /// Why.
        fault: Fault,
        /// What the upstream's `Retry-After` asks for, in seconds.
        after: Option<u64>,
    },
    /// Not sent: the gate's own rate says not before this time. The attempt does not count.
    Paced {
        /// When there is room.
        until: UnixSeconds,
    },
    /// 401, 403 or no credentials.
    Blocked(Fault),
    /// Another answer.
    Refused(Fault),
    /// Cannot be asked.
    NotSupported(Fault),
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name within the job.
    pub key: TargetKey,
    /// The upstream's name.
    pub name: String,
    /// How far it has come.
    pub state: TargetState,
    /// `{api}` of the delete, unless the profile's own is meant.
    pub api: Option<u8>,
    /// `{version}` of the delete, where the upstream's entry names none.
    pub version: Option<String>,
    /// Seconds from *accepted* to *settled*.
    pub settle: u64,
    /// Deletes sent there for this job.
    pub attempts: u32,
    /// Failed attempts in a row: what the back-off grows with.
    pub failures: u32,
    /// Not before: of a retry, or of the repetition after a straggler.
    pub next: Option<UnixSeconds>,
    /// Has an attempt ended since the erasure was accepted or reopened? Until then the fence of the acceptance is due.
    pub attempted: bool,
    /// Was the erasure asked for again while a delete was under way? Then that one does not count.
    pub reopened: bool,
    /// When the delete that counts was sent.
    pub instant: Option<UnixSeconds>,
    /// The last failure, until it is overcome.
    pub last_error: Option<Fault>,
    /// What was last observed.
    pub evidence: Option<Evidence>,
    /// On legal hold?
    pub hold: Option<Decision>,
}

impl Target {
    /// A target to which nothing has been done.
    #[must_use]
    pub const fn new(key: TargetKey, name: String, settle: u64) -> Self {
        Self {
            key,
            name,
            state: TargetState::Pending,
            api: None,
            version: None,
            settle,
            attempts: 0,
            failures: 0,
            next: None,
            attempted: false,
            reopened: false,
            instant: None,
            last_error: None,
            evidence: None,
            hold: None,
        }
    }

    /// Is an attempt to be made now? A state in which an attempt was under way means that it was interrupted.
    #[must_use]
    pub fn is_due(&self, now: UnixSeconds) -> bool {
        self.hold.is_none() && self.attempt_at().is_some_and(|at| at <= now)
    }

    /// When the next attempt is to be made; `None` if there is none to be made by itself.
    #[must_use]
    pub fn attempt_at(&self) -> Option<UnixSeconds> {
        match self.state {
            TargetState::Pending | TargetState::Fenced | TargetState::Draining => Some(UnixSeconds(0)),
            TargetState::Sent | TargetState::Retrying | TargetState::Blocked => {
                Some(self.next.unwrap_or(UnixSeconds(0)))
            }
            TargetState::Accepted | TargetState::Settled | TargetState::Refused | TargetState::NotSupported => None,
        }
    }

    /// Has the upstream accepted a delete that counts?
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.state, TargetState::Accepted | TargetState::Settled)
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

    /// Does a person have to do something?
    #[must_use]
    pub const fn needs_person(&self) -> bool {
        matches!(self.state, TargetState::Blocked | TargetState::Refused | TargetState::NotSupported)
    }

    /// When an accepted target is settled.
    #[must_use]
    pub fn settles_at(&self) -> Option<UnixSeconds> {
        let accepted = self.evidence.as_ref().filter(|_| self.state == TargetState::Accepted)?;
        Some(UnixSeconds(accepted.answered.0.saturating_add(self.settle)))
    }

    /// An attempt goes on: it is fenced, it drains.
    pub(super) fn progress(&mut self, state: TargetState) {
        if !self.is_accepted() {
            self.state = state;
            self.next = None;
        }
    }

    /// A delete is about to be sent. Recorded before it is.
    pub(super) fn sending(&mut self) {
        self.progress(TargetState::Sent);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The attempt has ended. `random` spreads the retries.
    pub(super) fn ended(&mut self, outcome: Outcome, now: UnixSeconds, random: u64) {
        if self.is_accepted() {
            return;
        }
        self.attempted = true;
        match outcome {
            Outcome::Accepted { evidence, straggling_until } => self.answered(evidence, straggling_until, now),
            Outcome::Retry { fault, after } => {
                let delay = retry::delay(self.failures, random).max(after.unwrap_or(0).min(retry::RETRY_AFTER_MAX));
                self.failed(TargetState::Retrying, fault, Some(now.0.saturating_add(delay)));
            }
            Outcome::Blocked(fault) => {
                let delay = retry::blocked_delay(self.failures, random);
                self.failed(TargetState::Blocked, fault, Some(now.0.saturating_add(delay)));
            }
            Outcome::Paced { until } => {
                let failures = self.failures;
                self.failed(TargetState::Retrying, Fault::Paced, Some(until.0));
                self.failures = failures;
            }
            Outcome::Refused(fault) => self.failed(TargetState::Refused, fault, None),
            Outcome::NotSupported(fault) => self.failed(TargetState::NotSupported, fault, None),
        }
        if self.reopened {
            self.reopen();
        }
    }

    fn answered(&mut self, evidence: Evidence, straggling_until: Option<UnixSeconds>, now: UnixSeconds) {
        self.failures = 0;
        if let Some(until) = straggling_until {
            // At least a second from now: a straggler whose time never ends must not make the worker spin.
            self.state = TargetState::Sent;
            self.next = Some(until.max(UnixSeconds(now.0.saturating_add(1))));
            self.last_error = Some(Fault::NotDrained);
        } else {
            self.state = if self.settle == 0 { TargetState::Settled } else { TargetState::Accepted };
            self.next = None;
            self.last_error = None;
            self.instant = Some(evidence.sent);
        }
        self.evidence = Some(evidence);
    }

    fn failed(&mut self, state: TargetState, fault: Fault, next: Option<u64>) {
        self.state = state;
        self.next = next.map(UnixSeconds);
        self.last_error = Some(fault);
        self.failures = self.failures.saturating_add(1);
    }

    /// The erasure was asked for again. A delete not sent yet serves both; any other is done once more.
    pub(super) fn rejoin(&mut self) {
        match self.state {
            TargetState::Pending | TargetState::Fenced | TargetState::Draining => {}
            TargetState::Sent if self.next.is_none() => self.reopened = true,
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
        self.attempted = false;
        self.reopened = false;
        self.instant = None;
    }

    /// A person wants it tried now. What is accepted, under way or waiting for a straggler stays as it is.
    pub(super) fn retry(&mut self) {
        if self.needs_person() || self.state == TargetState::Retrying {
            self.state = TargetState::Pending;
            self.next = None;
            self.failures = 0;
        }
    }

    /// The service's delay is over.
    pub(super) fn settle(&mut self, now: UnixSeconds) {
        if self.settles_at().is_some_and(|at| at <= now) {
            self.state = TargetState::Settled;
        }
    }
}
