//! Whose turn it is at each upstream: how many deletes may be under way there, and how fast the service takes them.
//!
//! There is one line an upstream, in the order in which the requests came; repetitions of what was sent in vain go before
//! first deletes, and every second turn is a first one's while both wait. Nothing is booked ahead: a turn is taken when a
//! delete can go out now. Whoever waits keeps no customer out. See docs/decisions/028-delete-lines.md.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::domain::{UnixSeconds, UpstreamNumber};

/// Erasures at once at one upstream.
pub(super) const AT_ONCE: usize = 8;

const MINUTE: Duration = Duration::from_secs(60);

/// A place in line: the smallest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// Whether it is the first delete for its request there.
    first: bool,
    asked: UnixSeconds,
    id: Uuid,
}

impl Turn {
    pub(super) const fn new(id: Uuid, asked: UnixSeconds, is_repeat: bool) -> Self {
        Self { first: !is_repeat, asked, id }
    }
}

#[derive(Debug, Default)]
struct Lane {
    repeats: BTreeSet<Turn>,
    firsts: BTreeSet<Turn>,
    /// Who stands where; each erasure once.
    places: HashMap<Uuid, Turn>,
    /// Whether the last turn was a repetition's: then the next is a first one's.
    owed: bool,
    running: usize,
    /// When the deletes of the last minute were sent, by time since the start.
    sent: VecDeque<Duration>,
    per_minute: Option<usize>,
    /// Other gates have used the service's rate up until then.
    rests_until: Duration,
}

impl Lane {
    /// Deletes that may be sent now.
    fn free(&mut self, now: Duration) -> usize {
        while self.sent.front().is_some_and(|sent| *sent + MINUTE <= now) {
            self.sent.pop_front();
        }
        self.per_minute.map_or(usize::MAX, |rate| rate.saturating_sub(self.sent.len()))
    }

    fn note(&mut self, count: usize, now: Duration) {
        if self.per_minute.is_some() {
            self.sent.extend(std::iter::repeat_n(now, count));
        }
    }

    /// These were not sent after all.
    fn give_back(&mut self, count: usize, taken: Duration) {
        for _ in 0..count {
            let Some(at) = self.sent.iter().position(|sent| *sent == taken) else { return };
            self.sent.remove(at);
        }
    }

    fn insert(&mut self, turn: Turn) {
        if self.places.get(&turn.id) != Some(&turn) {
            self.remove(turn.id);
            self.places.insert(turn.id, turn);
            if turn.first {
                self.firsts.insert(turn)
            } else {
                self.repeats.insert(turn)
            };
        }
    }

    /// Very many at once, as a start has them: sets that are built in their order are quicker and smaller than those that grow.
    fn insert_all(&mut self, turns: Vec<Turn>) {
        if !self.places.is_empty() {
            return turns.into_iter().for_each(|turn| self.insert(turn));
        }
        self.places = turns.into_iter().map(|turn| (turn.id, turn)).collect();
        let of = |first| self.places.values().filter(move |turn| turn.first == first).copied();
        (self.repeats, self.firsts) = (of(false).collect(), of(true).collect());
    }

    fn remove(&mut self, id: Uuid) {
        if let Some(turn) = self.places.remove(&id) {
            self.firsts.remove(&turn);
            self.repeats.remove(&turn);
        }
    }

    /// The line, as turns would be given if nobody came.
    fn line(&self) -> impl Iterator<Item = Turn> {
        let (mut repeats, mut firsts, mut owed) = (self.repeats.iter(), self.firsts.iter(), self.owed);
        std::iter::from_fn(move || {
            let next =
                if owed { firsts.next().or_else(|| repeats.next()) } else { repeats.next().or_else(|| firsts.next()) };
            owed = !next?.first;
            next.copied()
        })
    }

    /// How many have their turn now.
    fn room(&mut self, now: Duration) -> usize {
        if now < self.rests_until {
            return 0;
        }
        self.free(now).min(AT_ONCE.saturating_sub(self.running))
    }

    /// When the next one has its turn by time alone.
    fn next(&mut self, now: Duration) -> Option<Duration> {
        let may = !self.places.is_empty() && self.running < AT_ONCE;
        if may && now < self.rests_until {
            return Some(self.rests_until);
        }
        let waits = may && self.free(now) == 0;
        let over = self.sent.len().checked_sub(self.per_minute.filter(|rate| *rate > 0)?)?;
        waits.then(|| self.sent.get(over).map(|sent| *sent + MINUTE)).flatten()
    }
}

type All = Mutex<BTreeMap<UpstreamNumber, Lane>>;

/// The lines of all upstreams.
#[derive(Debug, Default)]
pub(super) struct Lanes(Arc<All>);

/// A place among those that are under way at an upstream, for so many deletes. Given back when it is dropped, with the slots
/// of those that were not sent: a service's minute holds what it was asked.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Arc<All>,
    upstream: UpstreamNumber,
    pub(super) count: usize,
    /// When its slots were taken.
    taken: Duration,
    spent: AtomicUsize,
}

impl Place {
    /// A delete is about to be sent.
    pub(super) fn spends(&self) {
        self.spent.fetch_add(1, Relaxed);
    }

    /// It was not sent after all.
    pub(super) fn withheld(&self) {
        self.spent.fetch_sub(1, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.lock().get_mut(&self.upstream) {
            lane.running -= 1;
            lane.give_back(self.count.saturating_sub(self.spent.load(Relaxed)), self.taken);
        }
    }
}

impl Lanes {
    /// Takes the turn, for at most `wanted` deletes, if it has come. Otherwise `None`, and the erasure stands in line.
    pub(super) fn enter(
        &self,
        upstream: UpstreamNumber,
        turn: Turn,
        wanted: usize,
        per_minute: Option<u32>,
        now: Duration,
    ) -> Option<Place> {
        let mut all = self.0.lock();
        let lane = all.entry(upstream).or_default();
        lane.per_minute = rate(per_minute);
        lane.insert(turn);
        let room = lane.room(now);
        if !lane.line().take(room).any(|next| next == turn) {
            return None;
        }
        let count = lane.free(now).min(wanted);
        lane.remove(turn.id);
        lane.owed = !turn.first;
        lane.running += 1;
        lane.note(count, now);
        Some(Place { lanes: Arc::clone(&self.0), upstream, count, taken: now, spent: AtomicUsize::new(0) })
    }

    /// These stand in line without asking whether their turns have come: after a restart.
    pub(super) fn line_up(&self, upstream: UpstreamNumber, turns: Vec<Turn>, per_minute: Option<u32>) {
        let mut all = self.0.lock();
        let lane = all.entry(upstream).or_default();
        lane.per_minute = rate(per_minute);
        lane.insert_all(turns);
    }

    /// Other gates have used the service's rate up: nobody has a turn there until then.
    pub(super) fn rest(&self, upstream: UpstreamNumber, until: Duration) {
        self.0.lock().entry(upstream).or_default().rests_until = until;
    }

    /// The erasure leaves all lines but these.
    pub(super) fn stay_only(&self, id: Uuid, at: &[UpstreamNumber]) {
        for (_, lane) in self.0.lock().iter_mut().filter(|(upstream, _)| !at.contains(upstream)) {
            lane.remove(id);
        }
    }

    /// Whether it stands in a line.
    pub(super) fn is_waiting(&self, id: Uuid) -> bool {
        self.0.lock().values().any(|lane| lane.places.contains_key(&id))
    }

    /// In how many seconds its turn will have come, as far as the service's rate decides that. `None` where it does not.
    pub(super) fn estimate(&self, upstream: UpstreamNumber, turn: Turn, now: Duration) -> Option<u64> {
        let mut all = self.0.lock();
        let lane = all.get_mut(&upstream)?;
        let rate = lane.per_minute?;
        let ahead = lane.line().position(|next| next == turn)?;
        let beyond = ahead.checked_sub(lane.free(now))?;
        let slot = lane.sent.get(beyond % rate).copied().unwrap_or(now);
        let minutes = u32::try_from(beyond / rate).unwrap_or(u32::MAX).saturating_add(1);
        Some((slot + MINUTE.saturating_mul(minutes)).saturating_sub(now).as_secs())
    }

    /// A caller's own delete was accepted there just now: it counts in the minute that has passed, and books nothing.
    pub(super) fn note(&self, upstream: UpstreamNumber, per_minute: Option<u32>, now: Duration) {
        let mut all = self.0.lock();
        let lane = all.entry(upstream).or_default();
        lane.per_minute = rate(per_minute);
        let (free, rate) = (lane.free(now), lane.per_minute.unwrap_or_default());
        // Beyond the rate the oldest goes: a flood of callers' deletes puts others off by a minute, not for ever.
        if free == 0 && rate > 0 {
            lane.sent.pop_front();
        }
        lane.note(1, now);
    }

    /// Those whose turn it is, and when somebody's turn comes by time alone.
    pub(super) fn ready(&self, now: Duration) -> (Vec<Uuid>, Option<Duration>) {
        let mut all = self.0.lock();
        let (mut ready, mut next) = (Vec::new(), None);
        for lane in all.values_mut() {
            let room = lane.room(now);
            ready.extend(lane.line().take(room).map(|turn| turn.id));
            next = next.into_iter().chain(lane.next(now)).min();
        }
        (ready, next)
    }
}

fn rate(per_minute: Option<u32>) -> Option<usize> {
    per_minute.filter(|rate| *rate > 0).map(|rate| usize::try_from(rate).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: UpstreamNumber = UpstreamNumber(1);
    const NONE: Duration = Duration::ZERO;

    fn turn(n: u64, is_repeat: bool) -> Turn {
        Turn::new(Uuid::from_u128(n.into()), UnixSeconds(n), is_repeat)
    }

    fn ids(ready: &(Vec<Uuid>, Option<Duration>)) -> Vec<u128> {
        ready.0.iter().map(Uuid::as_u128).collect()
    }

    fn enter(lanes: &Lanes, turn: Turn, per_minute: Option<u32>, now: Duration) -> Option<Place> {
        lanes.enter(HERE, turn, 1, per_minute, now)
    }

    #[test]
    fn p12_a_services_rate_is_kept_in_the_order_of_acceptance_and_repetitions_go_first() {
        let lanes = Lanes::default();
        let enters = |turn, now| enter(&lanes, turn, Some(2), now).inspect(Place::spends).is_some();
        assert!(enters(turn(1, false), NONE) && enters(turn(2, false), NONE));
        for n in [9, 3, 5] {
            assert!(!enters(turn(n, false), NONE));
        }
        assert!(!enters(turn(7, true), NONE));
        assert_eq!(lanes.ready(NONE), (vec![], Some(MINUTE)));
        let estimate = |n, is_repeat| lanes.estimate(HERE, turn(n, is_repeat), NONE);
        assert_eq!((estimate(7, true), estimate(3, false)), (Some(60), Some(60)));
        assert_eq!((estimate(5, false), estimate(9, false)), (Some(120), Some(120)));
        assert_eq!(ids(&lanes.ready(MINUTE)), [7, 3]);
        assert!(!enters(turn(5, false), MINUTE), "others are before it");
        assert!(enters(turn(7, true), MINUTE) && enters(turn(3, false), MINUTE));
        assert!(!enters(turn(5, false), MINUTE), "the minute is full again");
    }

    #[test]
    fn p5_every_second_turn_is_a_first_deletes_while_repetitions_wait_too() {
        let lanes = Lanes::default();
        lanes.line_up(HERE, (0..6).map(|n| turn(n, n < 4)).collect(), Some(1));
        let served: Vec<u128> = (0..6)
            .map(|minute| {
                let now = MINUTE * minute;
                let next = ids(&lanes.ready(now))[0];
                let n = u64::try_from(next).unwrap();
                // What is sent in vain comes back at once, and may not keep first ones waiting.
                enter(&lanes, turn(n, n < 4), Some(1), now).unwrap().spends();
                if n < 4 {
                    lanes.line_up(HERE, vec![turn(n, true)], Some(1));
                }
                next
            })
            .collect();
        assert_eq!(served, [0, 4, 0, 5, 0, 0]);
    }

    #[test]
    fn p12_only_so_many_are_under_way_at_one_upstream_and_who_leaves_holds_nobody_up() {
        let lanes = Lanes::default();
        let enter = |n| lanes.enter(HERE, turn(n, false), 3, None, NONE);
        let at_once = u64::try_from(AT_ONCE).unwrap();
        let mut places: Vec<_> = (1..=at_once).map(|n| enter(n).unwrap()).collect();
        assert!(places.iter().all(|place| place.count == 3));
        assert!(enter(20).is_none() && enter(21).is_none());
        assert_eq!(lanes.ready(NONE), (vec![], None));
        places.pop();
        assert!(enter(21).is_none(), "20 came first");
        lanes.stay_only(Uuid::from_u128(20), &[]);
        assert!(enter(21).is_some());
    }

    #[test]
    fn p12_a_turn_in_which_nothing_was_sent_costs_nobody_a_slot() {
        let lanes = Lanes::default();
        let take = |n| enter(&lanes, turn(n, false), Some(1), NONE);
        drop(take(1).unwrap());
        let withheld = take(2).unwrap();
        withheld.spends();
        assert!(take(3).is_none(), "one is being sent");
        withheld.withheld();
        drop(withheld);
        take(3).unwrap().spends();
        assert!(take(4).is_none(), "one was sent");
        assert_eq!(lanes.ready(NONE).1, Some(MINUTE));
    }

    #[test]
    fn p12_a_place_is_given_back_however_its_owner_ends() {
        let lanes = Lanes::default();
        for n in 0..100 {
            let place = enter(&lanes, turn(n, false), None, NONE).unwrap();
            let broken = std::panic::catch_unwind(move || std::panic::panic_any(place.count));
            assert!(broken.is_err());
        }
    }

    #[test]
    fn p10_callers_own_deletes_count_in_the_minute_that_has_passed_and_never_ahead() {
        let lanes = Lanes::default();
        for _ in 0..10_000 {
            lanes.note(HERE, Some(4), NONE);
        }
        assert!(enter(&lanes, turn(1, false), Some(4), NONE).is_none());
        assert_eq!(lanes.ready(NONE).1, Some(MINUTE));
        assert!(enter(&lanes, turn(1, false), Some(4), MINUTE).is_some());
    }
}
