//! What an erasure is made of when it is accepted, and the words for how far it has come.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::intent::Intent;
use crate::domain::UnixSeconds;

/// How far an erasure has come, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ErasureState)]
pub enum JobState {
    /// Durable; its targets have not been read yet.
    Accepted,
    /// Above the rate: a person approves it first. Nothing has been sent.
    AwaitingApproval,
    /// Deletes are being sent, or will be again.
    Running,
    /// All upstreams have accepted; their own delay runs.
    Settling,
    /// All targets are settled, or were given up by a person. The ID is destroyed.
    Done,
    /// Legal hold.
    Held,
    /// A person has to do something about a target. Others go on meanwhile.
    ActionRequired,
    /// Called off before a delete was sent. The ID is destroyed.
    Cancelled,
}

/// Which requests of the customer an erasure covers: those that entered the gate in an earlier generation of this run. Of the
/// requests of another run it covers none but those that were lost with it. Where there are several gates, the number of its
/// fence says the same at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The run's name.
    pub run: u64,
    /// The generation.
    pub generation: u64,
    /// The fence's number among those of all gates; 0: it has none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub number: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_none(number: &u64) -> bool {
    *number == 0
}

impl Mark {
    /// Of two, in the order in which they were given: the one that covers more.
    #[must_use]
    pub fn wider(earlier: Option<Self>, later: Option<Self>) -> Option<Self> {
        let is_behind = |earlier: &Self| later.is_none_or(|later| earlier.is_after(later));
        earlier.filter(is_behind).or(later)
    }

    /// Whether what this covers begins later than what the other covers. Of two runs of which one had no number nobody knows.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        if self.number > 0 && other.number > 0 {
            return self.number > other.number;
        }
        self.run == other.run && self.generation > other.generation
    }

    /// Whether what the first covers begins no earlier than what the second covers.
    #[must_use]
    pub fn is_as_late(one: Option<Self>, other: Option<Self>) -> bool {
        one == other || one.zip(other).is_some_and(|(one, other)| one.is_after(other))
    }
}

/// What a new erasure is made of.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its ID.
    pub id: Uuid,
    /// When the person asked, if the requester said so.
    pub submitted: Option<UnixSeconds>,
    /// Seconds until it is late.
    pub deadline: u64,
    /// Why, in the requester's words.
    pub reason: Option<String>,
    /// What is asked for.
    pub intent: Intent,
    /// Which requests it covers.
    pub mark: Option<Mark>,
    /// Whether a person must approve it first.
    pub awaiting_approval: bool,
}
