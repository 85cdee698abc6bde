//! Counters of erasures. They are few and slow, so there is one set for all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How an attempt at a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptOutcome {
    /// 2xx, and everything had drained.
    Accepted,
    /// 2xx, but something may still arrive: it is sent again.
    NotDrained,
    /// To be tried again by itself.
    Retry,
    /// 401, 403 or no credentials.
    Blocked,
    /// Another answer: a person decides.
    Refused,
    /// This upstream cannot be asked.
    NotSupported,
}

impl AttemptOutcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::NotDrained, Self::Retry, Self::Blocked, Self::Refused, Self::NotSupported];

    /// As metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NotDrained => "not_drained",
            Self::Retry => "retry",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::NotSupported => "not_supported",
        }
    }
}

/// A state in which a target may rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetEnd {
    /// Accepted, and the service's own delay is over.
    Settled,
    /// A probe saw nothing any more.
    Verified,
    /// A person closed the ticket.
    Confirmed,
    /// A person has to decide.
    Refused,
    /// This upstream cannot be asked.
    NotSupported,
    /// Called off before a delete was sent.
    Cancelled,
    /// Given up by a named person.
    Closed,
}

impl TargetEnd {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Settled,
        Self::Verified,
        Self::Confirmed,
        Self::Refused,
        Self::NotSupported,
        Self::Cancelled,
        Self::Closed,
    ];

    /// As metrics write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Verified => "verified",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::NotSupported => "not_supported",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
        }
    }
}

/// What is counted about erasures.
#[derive(Debug, Default)]
pub struct ErasureCounters {
    accepted: AtomicU64,
    attempts: [AtomicU64; AttemptOutcome::ALL.len()],
    ends: [AtomicU64; TargetEnd::ALL.len()],
    unfinished: AtomicU64,
    late: AtomicU64,
    awaiting_approval: AtomicU64,
    action_required: AtomicU64,
}

/// Where the erasures stand at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Not done and not cancelled.
    pub unfinished: u64,
    /// Unfinished beyond their due date.
    pub late: u64,
    /// Waiting for a person's approval.
    pub awaiting_approval: u64,
    /// Waiting for a person to do something about a target.
    pub action_required: u64,
}

impl ErasureCounters {
    /// An erasure was made durable.
    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// An attempt at a target has ended.
    pub fn attempt(&self, outcome: AttemptOutcome) {
        if let Some(counter) = self.attempts.get(outcome as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// A target has come to rest.
    pub fn target_ended(&self, end: TargetEnd) {
        if let Some(counter) = self.ends.get(end as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Where all erasures stand now; replaces what was said before.
    pub fn stand(&self, standing: Standing) {
        self.unfinished.store(standing.unfinished, Relaxed);
        self.late.store(standing.late, Relaxed);
        self.awaiting_approval.store(standing.awaiting_approval, Relaxed);
        self.action_required.store(standing.action_required, Relaxed);
    }

    pub(super) fn accepted_count(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    pub(super) fn attempts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        AttemptOutcome::ALL.iter().zip(&self.attempts).map(|(name, count)| (name.as_str(), count.load(Relaxed)))
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TargetEnd::ALL.iter().zip(&self.ends).map(|(name, count)| (name.as_str(), count.load(Relaxed)))
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            unfinished: self.unfinished.load(Relaxed),
            late: self.late.load(Relaxed),
            awaiting_approval: self.awaiting_approval.load(Relaxed),
            action_required: self.action_required.load(Relaxed),
        }
    }
}
