//! What happens in a run, as a list of actions with their times: made from a seed, and shortened when it has shown a fault.
//!
//! Everything that decides what an action does stands in it. So an action that is taken out changes no other.

use forgetgate::domain::erasure::Verdict;

use crate::seed::Chance;

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
    pub(crate) home: bool,
    pub(crate) erasures_per_minute: u32,
    pub(crate) closes_sockets: bool,
    /// In seconds.
    pub(crate) lease: u64,
}

/// One upstream.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) group: &'static str,
    pub(crate) passes_to: Vec<usize>,
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
        retry_after: Option<u64>,
    },
    Refuse,
    /// It deletes, and the connection is closed without an answer.
    Lost,
    /// No answer; it deletes so long after it was given up, or never.
    Hang {
        late: Option<Millis>,
    },
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
}

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
const JUMPS: [i64; 6] = [-YEAR, -HOUR, -20, 20, HOUR, YEAR];

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::stream(seed, 1);
        let land = Land::new(&mut chance);
        let mut at = 0;
        let mut actions = Vec::new();
        for _ in 0..chance.within(15, 40) {
            let burst = chance.below(100);
            at += match burst {
                0..55 => chance.within(0, 60),
                55..80 => chance.within(60, 2_000),
                80..95 => chance.within(2_000, 12_000),
                _ => chance.within(12_000, 70_000),
            };
            if chance.percent(6) {
                land.crowd(at, &mut chance, &mut actions);
            } else {
                actions.push((at, land.action(&mut chance)));
            }
        }
        actions.sort_by_key(|(at, _)| *at);
        Self { seed, land, actions }
    }
}

impl Land {
    fn new(chance: &mut Chance) -> Self {
        let count = chance.within(2, 4);
        let last = usize::try_from(count).unwrap() - 1;
        let mut upstreams: Vec<Place> = (0..count)
            .map(|_| Place {
                group: if chance.percent(75) { "default" } else { "other" },
                passes_to: Vec::new(),
                per_minute: chance.percent(15).then(|| u32::try_from(chance.within(1, 4)).unwrap()),
                held_before: chance.percent(10),
            })
            .collect();
        if chance.percent(25) {
            upstreams[0].passes_to.push(last);
        }
        Self {
            customers: 2 + chance.index(2),
            upstreams,
            home: chance.percent(50),
            erasures_per_minute: if chance.percent(20) { 1 } else { 60 },
            closes_sockets: chance.percent(30),
            lease: chance.of(&[20, 40, 600]),
        }
    }

    fn customer(&self, chance: &mut Chance) -> usize {
        if chance.percent(70) { 0 } else { chance.index(self.customers) }
    }

    fn upstream(&self, chance: &mut Chance) -> usize {
        chance.index(self.upstreams.len())
    }

    fn action(&self, chance: &mut Chance) -> Action {
        match chance.below(1000) {
            0..440 => Action::Send(self.send(chance)),
            440..560 => Action::Delete {
                customer: self.customer(chance),
                upstream: self.upstream(chance),
                wait: chance.percent(10),
                leaves: chance.percent(5).then(|| chance.within(1, 40)),
            },
            560..640 => Action::Submit {
                customer: self.customer(chance),
                only: chance.percent(25).then(|| vec![self.upstream(chance)]),
                id: chance.percent(20).then(|| chance.below(3)),
            },
            640..730 => self.decide(chance),
            730..830 => Action::Service {
                upstream: self.upstream(chance),
                manner: manner(chance),
                times: u32::try_from(chance.within(1, 3)).unwrap(),
            },
            830..895 => Action::Store(store_fault(chance)),
            895..925 => Action::Jump(chance.of(&JUMPS)),
            925..955 => Action::Kill(kill(chance)),
            955..980 => Action::Restart {
                down: chance.within(0, 3_000),
                jump: if chance.percent(20) { chance.of(&JUMPS) } else { 0 },
            },
            _ => Action::Reload(match chance.below(3) {
                0 => Reload::ResponseTimeout(chance.of(&[20, 30])),
                1 => Reload::Retire(self.upstream(chance)),
                _ => Reload::Move(self.upstream(chance)),
            }),
        }
    }

    fn send(&self, chance: &mut Chance) -> Send {
        let late = |chance: &mut Chance| chance.percent(80).then(|| chance.within(1, LATE_MAX));
        let store_after = if chance.percent(85) { chance.within(1, 80) } else { chance.within(80, 9_000) };
        let fate = match chance.below(100) {
            0..70 => Fate::Whole { answer_after: chance.within(0, 100) },
            70..80 => Fate::Cut { after: chance.within(0, 500), late: late(chance) },
            80..86 => Fate::Hang { late: late(chance) },
            86..90 => Fate::Refused,
            _ => Fate::Socket { messages: chance.within(1, 6), every: chance.within(20, 6_000) },
        };
        Send {
            customer: self.customer(chance),
            upstream: self.upstream(chance),
            resource: u8::from(chance.percent(20)),
            before: if chance.percent(90) { 0 } else { chance.within(1, 1_500) },
            store_after,
            fate,
        }
    }

    /// One customer's requests to one upstream, one after the other, whatever else happens meanwhile.
    fn crowd(&self, from: Millis, chance: &mut Chance, actions: &mut Vec<(Millis, Action)>) {
        let (customer, upstream) = (self.customer(chance), self.upstream(chance));
        let (count, every) = (chance.within(8, 40), chance.of(&[7, 40, 250, 900]));
        for nth in 0..count {
            let fate = Fate::Whole { answer_after: chance.within(0, 30) };
            let send = Send { customer, upstream, resource: 0, before: 0, store_after: chance.within(1, 30), fate };
            actions.push((from + nth * every, Action::Send(send)));
        }
    }

    fn decide(&self, chance: &mut Chance) -> Action {
        const VERDICTS: [Verdict; 6] =
            [Verdict::Approve, Verdict::Approve, Verdict::Hold, Verdict::Unhold, Verdict::Cancel, Verdict::Retry];
        let verdict = chance.of(&VERDICTS);
        let at = matches!(verdict, Verdict::Hold | Verdict::Unhold) && chance.percent(40);
        let upstream = at.then(|| self.upstream(chance));
        Action::Decide { ask: chance.index(8), verdict, upstream }
    }
}

fn manner(chance: &mut Chance) -> Manner {
    let late = chance.percent(60).then(|| chance.within(1, LATE_MAX));
    match chance.below(10) {
        0 => Manner::Slow(chance.within(100, 9_000)),
        1 | 2 => Manner::Status { code: chance.of(&[500, 502, 503]), retry_after: None },
        3 => Manner::Status { code: 429, retry_after: Some(chance.within(1, 90)) },
        4 => Manner::Status { code: chance.of(&[401, 403, 400, 404, 207]), retry_after: None },
        5 => Manner::Refuse,
        6 | 7 => Manner::Lost,
        _ => Manner::Hang { late },
    }
}

fn store_fault(chance: &mut Chance) -> StoreFault {
    match chance.below(10) {
        0..7 => StoreFault::Breaks {
            on: chance.of(&[Kind::Any, Kind::Record, Kind::Create, Kind::Commit, Kind::Mark]),
            nth: u32::try_from(chance.within(1, 3)).unwrap(),
            kept: chance.of(&[0, 0, 50, 100, 100]),
            reopened: chance.of(&[50, 200, 1_500, 4_000]),
        },
        7 => StoreFault::Overloaded { calls: u32::try_from(chance.within(1, 4)).unwrap() },
        _ => StoreFault::Stalls { time: chance.within(200, 12_000) },
    }
}

fn kill(chance: &mut Chance) -> Kill {
    const KINDS: [Kind; 5] = [Kind::Record, Kind::Create, Kind::Commit, Kind::Mark, Kind::Delete];
    let on = chance
        .percent(60)
        .then(|| (chance.of(&KINDS), u32::try_from(chance.within(1, 3)).unwrap(), chance.percent(50)));
    let jump = if chance.percent(30) { chance.of(&JUMPS) } else { 0 };
    Kill { on, kept: chance.of(&[0, 50, 100]), down: chance.within(0, 5_000), jump }
}
