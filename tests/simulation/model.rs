//! What was seen from outside: messages, deletes, requests for erasures and legal holds, each with its times.

use forgetgate::domain::{PairKey, UnixSeconds};
use uuid::Uuid;

use crate::script::Millis;

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Gate,
    /// Another upstream passed it on.
    PassedOn,
    /// It was there before the gate.
    Before,
}

/// One message at one instance of an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) generation: u32,
    pub(crate) origin: Origin,
    pub(crate) key: PairKey,
    /// When its caller began.
    pub(crate) begun: Millis,
    pub(crate) forwarded: Millis,
    pub(crate) stored: Option<Millis>,
    /// When, and by which delete.
    pub(crate) removed: Option<(Millis, usize)>,
}

/// One delete that was sent to a service.
#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) generation: u32,
    pub(crate) sent: Millis,
    pub(crate) wall: UnixSeconds,
    /// The request whose probe it is.
    pub(crate) probe_of: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not answered yet.
    Open,
    /// 2xx, under this ID.
    Accepted(Uuid),
    /// Anything else.
    Refused,
    /// The one who asked, or the process, is gone.
    Unknown,
}

/// One request for an erasure.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) customer: usize,
    /// The upstreams that its authority reaches.
    pub(crate) reach: Vec<usize>,
    /// Those to which they pass IDs on.
    pub(crate) beyond: Vec<usize>,
    pub(crate) begun: Millis,
    /// How often each upstream had moved by then: what was left at an earlier address is its operator's.
    pub(crate) generations: Vec<u32>,
    /// The requester's own name for it.
    pub(crate) own: Option<u64>,
    /// A request that was sent before under the same ID: it asks for nothing new.
    pub(crate) again: bool,
    /// A person has begun to approve it.
    pub(crate) approved: bool,
    /// It was refused, the store may have taken it all the same, and nothing of the customer has come through since: it may
    /// be carried out.
    pub(crate) adopted: bool,
    /// Its answer comes only when all upstreams have accepted.
    pub(crate) waits: bool,
    pub(crate) answered: Option<Millis>,
    pub(crate) outcome: Outcome,
    /// The erasure that it belongs to, as it was shown.
    pub(crate) job: Option<Uuid>,
    /// It was seen to wait for approval, and nobody has begun to approve it.
    pub(crate) awaiting: bool,
    pub(crate) cancelled: bool,
    /// Through the admin API: whoever asks there may know what there is.
    pub(crate) admin: bool,
    /// A probe of it was sent.
    pub(crate) probed: bool,
    /// And was accepted: the delete has begun, and is carried out whatever the gate could answer.
    pub(crate) proved: bool,
}

impl Ask {
    pub(crate) fn may_touch(&self, upstream: usize) -> bool {
        self.reach.contains(&upstream) || self.beyond.contains(&upstream)
    }

    /// Was this forwarded so early that it has to go?
    pub(crate) fn covers(&self, message: &Message) -> bool {
        let before = if self.waits { Some(self.begun) } else { self.answered };
        let passed_on = message.origin == Origin::PassedOn && self.beyond.contains(&message.upstream);
        message.generation >= self.generations[message.upstream]
            && !self.again
            && before.is_some_and(|before| message.forwarded < before)
            && (self.reach.contains(&message.upstream) || passed_on)
    }

    /// Does a delete there follow from it?
    pub(crate) fn justifies(&self, upstream: usize) -> bool {
        (self.outcome != Outcome::Refused || self.proved || self.adopted)
            && !self.awaiting
            && !self.cancelled
            && self.may_touch(upstream)
    }
}

/// A legal hold as its setter knows it.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) customer: usize,
    pub(crate) upstream: Option<usize>,
    /// It was confirmed.
    pub(crate) set: bool,
    /// Its end was asked for.
    pub(crate) over: bool,
}
