//! What named people decided about an erasure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::target::TargetKey;
use crate::domain::{UnixSeconds, UpstreamNumber};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An erasure above the rate may go on.
    Approve,
    /// Legal hold of the customer.
    Hold,
    /// The hold is over.
    Unhold,
    /// Not to be done after all.
    Cancel,
    /// Try now.
    Retry,
    /// A target that waits for a person is given up.
    Close,
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
            Self::Close => "close",
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub verdict: Verdict,
    /// Who: a name as the decider gave it.
    pub by: String,
    /// Why.
    pub note: String,
    /// At which upstream, where the decision is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamNumber>,
    /// Which of the targets there, where it is not about all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetKey>,
}

const WITHDRAWN_BY: &str = "forgetgate";
const WITHDRAWN: &str = "the store did not confirm it, and the requester was told that it was not accepted";

impl Decision {
    /// Whether it is about this target.
    #[must_use]
    pub fn is_about(&self, key: &TargetKey) -> bool {
        self.upstream.is_none_or(|upstream| key.upstream == upstream)
            && (self.targets.is_empty() || self.targets.contains(key))
    }

    /// The gate's own: what was not accepted is called off.
    #[must_use]
    pub fn withdrawal(at: UnixSeconds) -> Self {
        let (by, note) = (WITHDRAWN_BY.to_owned(), WITHDRAWN.to_owned());
        Self { at, verdict: Verdict::Cancel, by, note, upstream: None, targets: Vec::new() }
    }

    pub(super) fn is_withdrawal(&self) -> bool {
        self.verdict == Verdict::Cancel && self.by == WITHDRAWN_BY && self.note == WITHDRAWN
    }
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
    /// `unhold` of a customer who is not held.
    #[error("the erasure is not on hold")]
    NotHeld,
    /// No such upstream among the targets.
    #[error("the erasure has no such target")]
    NoSuchTarget,
    /// `close` of a target that goes on by itself, or is over.
    #[error("no target there waits for a person: only blocked, refused and unsupported targets can be closed")]
    NotClosable,
}

/// Where legal hold forbids to erase a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnHold {
    /// At every upstream.
    pub everywhere: bool,
    /// At these.
    pub upstreams: Vec<UpstreamNumber>,
}

impl OnHold {
    /// Whether it forbids deletes at this upstream.
    #[must_use]
    pub fn is_at(&self, upstream: UpstreamNumber) -> bool {
        self.everywhere || self.upstreams.contains(&upstream)
    }
}
