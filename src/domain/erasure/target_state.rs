//! How far one target has come, in one word: what is stored, shown and logged.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// A named person gave it up. Never success.
    Closed,
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
            Self::Closed => "closed",
        }
    }
}
