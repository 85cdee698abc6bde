//! Scripts from seeds: how often what happens.

use forgetgate::domain::erasure::Verdict;

use crate::script::{
    Action, After, Authority, Fate, Kill, Kind, LATE_MAX, Land, Manner, Millis, Place, Reload, Script, Send, StoreFault,
};
use crate::seed::Chance;

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
            match chance.below(100) {
                0..6 => land.crowd(at, &mut chance, &mut actions),
                6..9 => land.rush(at, &mut chance, &mut actions),
                _ => actions.push((at, land.action(&mut chance))),
            }
        }
        actions.sort_by_key(|(at, _)| *at);
        Self { seed, land, actions }
    }

    /// The same history, in which homes leave some callers' own deletes unanswered and carry them out later, while the customer
    /// is erased by somebody else and comes back.
    pub(crate) fn unanswered(seed: u64) -> Self {
        let mut script = Self::new(seed);
        script.land.authority = Authority::Home;
        let mut chance = Chance::stream(seed, 2);
        let mut at = 0;
        for _ in 0..chance.within(1, 3) {
            at += chance.within(0, 8_000);
            at = script.land.asks_in_vain(at, &mut chance, &mut script.actions);
        }
        script.actions.sort_by_key(|(at, _)| *at);
        script
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
                aliased: chance.percent(15),
                per_minute: chance.percent(15).then(|| u32::try_from(chance.within(1, 4)).unwrap()),
                held_before: chance.percent(10),
            })
            .collect();
        if chance.percent(25) {
            upstreams[0].passes_to.push(last);
        }
        Self {
            customers: if chance.percent(20) { 5 } else { 2 + chance.index(2) },
            upstreams,
            authority: chance.of(&[Authority::Home, Authority::Home, Authority::Open, Authority::Token]),
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
            440..560 => self.delete(chance),
            560..640 => self.submit(chance),
            640..710 => self.decide(chance),
            710..725 => Action::Hold {
                customer: self.customer(chance),
                upstream: chance.percent(40).then(|| self.upstream(chance)),
            },
            725..740 => Action::Unhold(chance.index(3)),
            740..830 => Action::Service {
                upstream: self.upstream(chance),
                manner: manner(chance),
                times: u32::try_from(chance.within(1, 3)).unwrap(),
            },
            830..890 => Action::Store(store_fault(chance)),
            890..915 => Action::Jump(chance.of(&JUMPS)),
            915..945 => Action::Kill(kill(chance)),
            945..970 => Action::Restart {
                down: chance.within(0, 3_000),
                jump: if chance.percent(20) { chance.of(&JUMPS) } else { 0 },
            },
            _ => Action::Reload(self.reload(chance)),
        }
    }

    fn delete(&self, chance: &mut Chance) -> Action {
        Action::Delete {
            customer: self.customer(chance),
            upstream: self.upstream(chance),
            wait: chance.percent(10),
            leaves: chance.percent(5).then(|| chance.within(1, 40)),
            stranger: chance.percent(10),
        }
    }

    fn submit(&self, chance: &mut Chance) -> Action {
        Action::Submit {
            customer: self.customer(chance),
            only: chance.percent(25).then(|| vec![self.upstream(chance)]),
            id: chance.percent(20).then(|| chance.below(3)),
        }
    }

    fn reload(&self, chance: &mut Chance) -> Reload {
        match chance.below(6) {
            0 => Reload::ResponseTimeout(chance.of(&[20, 30])),
            1 => Reload::Retire(self.upstream(chance)),
            2 => Reload::Move(self.upstream(chance)),
            3 => Reload::Group(self.upstream(chance)),
            4 => Reload::Passes(self.upstream(chance), self.upstream(chance)),
            _ => Reload::Aliased(self.upstream(chance)),
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

    /// Several customers are at one upstream, and for all of them erasures are asked for: some twice, some elsewhere.
    fn rush(&self, from: Millis, chance: &mut Chance, actions: &mut Vec<(Millis, Action)>) {
        let upstream = self.upstream(chance);
        let mut at = from;
        for _ in 0..if chance.percent(30) { chance.within(8, 14) } else { 0 } {
            let customer = chance.index(self.customers);
            actions.push((at, Action::Delete { customer, upstream, wait: false, leaves: None, stranger: true }));
            at += chance.within(0, 300);
        }
        for customer in 0..self.customers {
            let fate = Fate::Whole { answer_after: 1 };
            let send = Send { customer, upstream, resource: 0, before: 0, store_after: 1, fate };
            actions.push((at, Action::Send(send)));
            at += chance.within(0, 200);
        }
        for _ in 0..chance.within(3, 8) {
            let customer = chance.index(self.customers);
            let action = match chance.below(3) {
                0 => Action::Submit { customer, only: None, id: None },
                1 => Action::Submit { customer, only: Some(vec![upstream]), id: None },
                _ => Action::Delete { customer, upstream, wait: false, leaves: None, stranger: false },
            };
            actions.push((at, action));
            at += if chance.percent(70) { chance.within(0, 1_500) } else { chance.within(10_000, 40_000) };
        }
    }

    /// A home does not answer, an erasure is accepted meanwhile or soon after, and the customer sends on. Gives when that is over.
    fn asks_in_vain(&self, from: Millis, chance: &mut Chance, actions: &mut Vec<(Millis, Action)>) -> Millis {
        let (customer, upstream) = (self.customer(chance), self.upstream(chance));
        let send = || {
            let fate = Fate::Whole { answer_after: 1 };
            Action::Send(Send { customer, upstream, resource: 0, before: 0, store_after: 1, fate })
        };
        let manner = Manner::Hang { late: Some(chance.within(1, LATE_MAX)) };
        actions.push((from, send()));
        actions.push((from + 100, Action::Service { upstream, manner, times: 1 }));
        actions.push((from + 100, Action::Delete { customer, upstream, wait: false, leaves: None, stranger: false }));
        let asked = from + 100 + chance.within(0, 15_000);
        let action = match chance.below(3) {
            0 => Action::Submit { customer, only: None, id: None },
            1 => Action::Submit { customer, only: Some(vec![upstream]), id: None },
            _ => Action::Delete { customer, upstream, wait: false, leaves: None, stranger: false },
        };
        actions.push((asked, action));
        let mut at = asked;
        while at < from + 35_000 {
            at += chance.within(500, 5_000);
            actions.push((at, send()));
        }
        at
    }

    fn decide(&self, chance: &mut Chance) -> Action {
        const VERDICTS: [Verdict; 7] = [
            Verdict::Approve,
            Verdict::Approve,
            Verdict::Hold,
            Verdict::Unhold,
            Verdict::Cancel,
            Verdict::Retry,
            Verdict::Close,
        ];
        let verdict = chance.of(&VERDICTS);
        let at = matches!(verdict, Verdict::Hold | Verdict::Unhold | Verdict::Close) && chance.percent(40);
        let upstream = at.then(|| self.upstream(chance));
        Action::Decide { ask: chance.index(8), verdict, upstream }
    }
}

fn manner(chance: &mut Chance) -> Manner {
    let late = chance.percent(60).then(|| chance.within(1, LATE_MAX));
    match chance.below(10) {
        0 => Manner::Slow(chance.within(100, 9_000)),
        1 | 2 => Manner::Status { code: chance.of(&[500, 502, 503]), retry_after: None },
        3 => {
            let after = chance.within(1, 90);
            let after = if chance.percent(40) { After::Date(after) } else { After::Seconds(after) };
            Manner::Status { code: chance.of(&[429, 503]), retry_after: Some(after) }
        }
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
