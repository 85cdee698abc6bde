//! What happens in a run, as a list of actions with their times: made from a seed, and shortened when it has shown a fault.
//!
//! Everything that decides what an action does stands in it. So an action that is taken out changes no other.

use forgetgate::domain::erasure::Verdict;

/// Milliseconds from the run's beginning.
pub(crate) type Millis = u64;

/// No service stores or deletes later than this after it was given up: less than any `response_timeout`.
pub(crate) const LATE_MAX: Millis = 19_000;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) land: Land,
    pub(crate) actions: Vec<(Millis, Action)>,
}

/// What does not change during a run.
#[derive(Clone, Debug)]
pub(crate) struct Land {
    pub(crate) customers: usize,
    pub(crate) upstreams: Vec<Place>,
    pub(crate) authority: Authority,
    pub(crate) erasures_per_minute: u32,
    pub(crate) closes_sockets: bool,
    /// In seconds.
    pub(crate) lease: u64,
}

/// By what a delete on the data path is authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    Home,
    Token,
    Open,
}

/// One upstream.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) group: &'static str,
    pub(crate) passes_to: Vec<usize>,
    /// Customers' IDs leave as aliases.
    pub(crate) aliased: bool,
    pub(crate) per_minute: Option<u32>,
    /// Labelled data of the first customer was there before the gate.
    pub(crate) held_before: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Send(Send),
    /// A delete on the data path.
    Delete {
        customer: usize,
        upstream: usize,
        wait: bool,
        leaves: Option<Millis>,
        /// Where a token is asked for, it brings another.
        stranger: bool,
    },
    /// A submission to the admin API.
    Submit {
        customer: usize,
        only: Option<Vec<usize>>,
        id: Option<u64>,
    },
    /// What somebody decides about the nth accepted request.
    Decide {
        ask: usize,
        verdict: Verdict,
        upstream: Option<usize>,
    },
    /// A legal hold of a customer, whatever was asked for.
    Hold {
        customer: usize,
        upstream: Option<usize>,
    },
    /// The nth of these holds is over.
    Unhold(usize),
    /// The next deletes there go so.
    Service {
        upstream: usize,
        manner: Manner,
        times: u32,
    },
    Store(StoreFault),
    /// The wall clock is set, by so many seconds.
    Jump(i64),
    Kill(Kill),
    Restart {
        down: Millis,
        jump: i64,
    },
    Reload(Reload),
}

/// A labelled request.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) resource: u8,
    /// From its record to its first byte.
    pub(crate) before: Millis,
    /// From its first byte until the service stores it.
    pub(crate) store_after: Millis,
    pub(crate) fate: Fate,
}

#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Answered so long after it was stored.
    Whole { answer_after: Millis },
    /// Broken off before its end; stored so long after that, or never.
    Cut { after: Millis, late: Option<Millis> },
    /// No answer: the gate gives it up; stored so long after that, or never.
    Hang { late: Option<Millis> },
    /// No connection.
    Refused,
    /// A WebSocket of several messages.
    Socket { messages: u64, every: Millis },
}

/// How a service takes a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    Slow(Millis),
    Status {
        code: u16,
        retry_after: Option<After>,
    },
    Refuse,
    /// It deletes, and the connection is closed without an answer.
    Lost,
    /// No answer; it deletes so long after it was given up, or never.
    Hang {
        late: Option<Millis>,
    },
}

/// `Retry-After`, so many seconds from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Seconds(u64),
    /// As a date, by the service's own clock, which is right.
    Date(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Record,
    Create,
    Commit,
    Mark,
    /// Of kills alone: a delete that is sent.
    Delete,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreFault {
    /// The nth batch with such a write fails; so much of it, in percent, is there all the same.
    Breaks { on: Kind, nth: u32, kept: u64, reopened: Millis },
    /// The next writes are turned away.
    Overloaded { calls: u32 },
    /// The next batch takes so long.
    Stalls { time: Millis },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    /// At the nth such step from now on, before or after its effect; `None`: now.
    pub(crate) on: Option<(Kind, u32, bool)>,
    /// How much of what was not acknowledged is there all the same, in percent.
    pub(crate) kept: u64,
    pub(crate) down: Millis,
    pub(crate) jump: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reload {
    ResponseTimeout(u64),
    Retire(usize),
    Move(usize),
    /// It goes over to the other group.
    Group(usize),
    /// One passes IDs on to another from now on, or does not any more.
    Passes(usize, usize),
    /// IDs leave as aliases from now on, or as they are.
    Aliased(usize),
}
