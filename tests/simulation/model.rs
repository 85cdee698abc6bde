//! What was seen from outside: messages, deletes, requests for erasures and legal holds, each with its times.

use std::collections::BTreeSet;

use forgetgate::domain::{PairKey, UnixSeconds};
use uuid::Uuid;

use crate::script::Millis;

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Gate,
    /// This upstream passed it on.
    PassedOn(usize),
    /// It was there before the gate.
    Before,
}

/// By which text a customer is known: a raw ID is the same everywhere, an alias is one upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Text {
    Raw,
    AliasOf(usize),
}

/// One message at one instance of an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) generation: u32,
    pub(crate) origin: Origin,
    pub(crate) key: PairKey,
    pub(crate) text: Text,
    /// When its caller began.
    pub(crate) begun: Millis,
    pub(crate) forwarded: Millis,
    pub(crate) stored: Option<Millis>,
    /// When, and by which delete.
    pub(crate) removed: Option<(Millis, usize)>,
    /// A person has closed the erasure there, or has said that nothing is passed on to there: it may stay.
    pub(crate) given_up: bool,
}

/// One delete that was sent to a service.
#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) generation: u32,
    pub(crate) text: Text,
    pub(crate) sent: Millis,
    /// It was accepted, and the gate may know.
    pub(crate) accepted: bool,
    pub(crate) wall: UnixSeconds,
    /// When it was answered, by both clocks.
    pub(crate) answered: Option<(Millis, UnixSeconds)>,
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
    /// The upstreams that its authority reaches, whatever was reloaded while it was being accepted; and those that it may
    /// reach.
    pub(crate) reach: BTreeSet<usize>,
    pub(crate) may_reach: BTreeSet<usize>,
    /// The group that its authority is limited to.
    pub(crate) group: Option<&'static str>,
    /// The upstream that it is addressed to.
    pub(crate) addressed: Option<usize>,
    /// It names its upstreams: it reaches what they pass on, too.
    pub(crate) chosen: bool,
    /// Those to which they pass IDs on, now or later.
    pub(crate) beyond: BTreeSet<usize>,
    /// Who was configured to pass IDs on to whom when it was over already: it knows nothing of that.
    pub(crate) over_before: BTreeSet<(usize, usize)>,
    /// Whose authority is none.
    pub(crate) stranger: bool,
    pub(crate) begun: Millis,
    /// How often each upstream had moved by then: what was left at an earlier address is its operator's.
    pub(crate) generations: Vec<u32>,
    /// The requester's own name for it.
    pub(crate) own: Option<u64>,
    /// A request that was sent before under the same ID: it asks for nothing new.
    pub(crate) again: bool,
    /// The store had its own name before it was sent.
    pub(crate) stored_before: bool,
    /// A person has begun to approve it.
    pub(crate) approved: bool,
    /// It was refused because the store did not say that it has it.
    pub(crate) doubted: bool,
    /// It was refused, the store may have taken it all the same, and nothing of the customer has come to these since, or a
    /// person has approved the erasure that it has joined: it may be carried out there.
    pub(crate) adopted: BTreeSet<usize>,
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
        self.may_reach.contains(&upstream) || self.beyond.contains(&upstream)
    }

    /// Was this forwarded so early that it has to go?
    pub(crate) fn covers(&self, message: &Message) -> bool {
        let before = if self.waits { Some(self.begun) } else { self.answered };
        let passed_on = matches!(message.origin, Origin::PassedOn(from) if self.chosen && self.reach.contains(&from));
        let too_late = matches!(message.origin,
            Origin::PassedOn(from) if self.over_before.contains(&(from, message.upstream)));
        message.generation >= self.generations[message.upstream]
            && !too_late
            && !self.again
            && !message.given_up
            && before.is_some_and(|before| message.forwarded < before)
            && (self.reach.contains(&message.upstream) || passed_on)
    }

    /// Does a delete there follow from it?
    pub(crate) fn justifies(&self, upstream: usize) -> bool {
        (self.outcome != Outcome::Refused || self.proved || self.adopted.contains(&upstream))
            && !self.awaiting
            && !self.cancelled
            && self.may_touch(upstream)
    }
}

/// A legal hold as its setter knows it.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    /// Its name, where it was set for itself.
    pub(crate) id: Option<Uuid>,
    pub(crate) customer: usize,
    pub(crate) upstream: Option<usize>,
    /// It was confirmed.
    pub(crate) set: bool,
    /// Its end was asked for.
    pub(crate) over: bool,
}

/// A person gives targets up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Close {
    pub(crate) customer: usize,
    pub(crate) upstream: Option<usize>,
}
