//! What named people decided about an erasure.

use serde::{Deserialize, Serialize};

use crate::domain::UnixSeconds;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An erasure above the rate may go on.
    Approve,
    /// Legal hold.
    Hold,
    /// The hold is over.
    Unhold,
    /// Not to be done after all.
    Cancel,
    /// Try now.
    Retry,
}

impl Verdict {
    /// As it is written in answers, logs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub verdict: Verdict,
    /// Who: a name as the decider gave it.
    pub by: String,
    /// Why.
    pub note: String,
}

/// Why a decision cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// Deletes cannot be called back.
    #[error("a delete has been sent, and cannot be called back")]
    AlreadySent,
    /// Done or cancelled.
    #[error("the erasure is over")]
    Over,
    /// `approve` of one that does not wait for it.
    #[error("the erasure is not waiting for approval")]
    NotWaiting,
    /// `unhold` of one that is not held.
    #[error("the erasure is not on hold")]
    NotHeld,
    /// No such upstream among the targets.
    #[error("the erasure has no such target")]
    NoSuchTarget,
}
