//! Whose turn it is at each upstream: how many deletes may be under way there, and how fast the service takes them.
//!
//! There is one line an upstream, in the order in which erasures were accepted; repetitions go before first deletes.
//! Nothing is booked ahead: a turn is taken when a delete can go out now. Whoever waits keeps no customer out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// Is it the first delete of this erasure there?
    first: bool,
    received: UnixSeconds,
    id: Uuid,
}

impl Turn {
    pub(super) const fn new(id: Uuid, received: UnixSeconds, is_repeat: bool) -> Self {
        Self { first: !is_repeat, received, id }
    }
}

#[derive(Debug, Default)]
struct Lane {
    line: BTreeSet<Turn>,
    running: usize,
    /// When the deletes of the last minute were sent, by time since the start.
    sent: VecDeque<Duration>,
    per_minute: Option<usize>,
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

    /// Those whose turn it is.
    fn ready(&mut self, now: Duration) -> impl Iterator<Item = Uuid> {
        let count = self.free(now).min(AT_ONCE.saturating_sub(self.running));
        self.line.iter().take(count).map(|turn| turn.id)
    }

    /// When the next one has its turn by time alone.
    fn next(&mut self, now: Duration) -> Option<Duration> {
        let waits = !self.line.is_empty() && self.running < AT_ONCE && self.free(now) == 0;
        let over = self.sent.len().checked_sub(self.per_minute.filter(|rate| *rate > 0)?)?;
        waits.then(|| self.sent.get(over).map(|sent| *sent + MINUTE)).flatten()
    }
}

/// The lines of all upstreams.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<BTreeMap<UpstreamNumber, Lane>>);

impl Lanes {
    /// Takes the turn, for at most `wanted` deletes, if it has come: gives for how many. Otherwise `None`, and the erasure
    /// stands in line.
    pub(super) fn enter(
        &self,
        upstream: UpstreamNumber,
        turn: Turn,
        wanted: usize,
        per_minute: Option<u32>,
        now: Duration,
    ) -> Option<usize> {
        let mut all = self.0.lock();
        let lane = all.entry(upstream).or_default();
        lane.per_minute = rate(per_minute);
        lane.line.remove(&Turn { first: !turn.first, ..turn });
        let ahead = lane.line.first().is_some_and(|first| *first < turn);
        let count = lane.free(now).min(wanted);
        if ahead || count == 0 || lane.running >= AT_ONCE {
            lane.line.insert(turn);
            return None;
        }
        lane.line.remove(&turn);
        lane.running += 1;
        lane.note(count, now);
        Some(count)
    }

    /// Stands in line without asking whether the turn has come: after a restart.
    pub(super) fn line_up(&self, upstream: UpstreamNumber, turn: Turn, per_minute: Option<u32>) {
        let mut all = self.0.lock();
        let lane = all.entry(upstream).or_default();
        lane.per_minute = rate(per_minute);
        lane.line.insert(turn);
    }

    /// The erasure leaves all lines but these.
    pub(super) fn stay_only(&self, id: Uuid, received: UnixSeconds, at: &[UpstreamNumber]) {
        for (_, lane) in self.0.lock().iter_mut().filter(|(upstream, _)| !at.contains(upstream)) {
            lane.line.remove(&Turn::new(id, received, true));
            lane.line.remove(&Turn::new(id, received, false));
        }
    }

    /// Does it stand in a line?
    pub(super) fn is_waiting(&self, id: Uuid, received: UnixSeconds) -> bool {
        let turns = [Turn::new(id, received, true), Turn::new(id, received, false)];
        self.0.lock().values().any(|lane| turns.iter().any(|turn| lane.line.contains(turn)))
    }

    /// In how many seconds its turn will have come, as far as the service's rate decides that. `None` where it does not.
    pub(super) fn estimate(&self, upstream: UpstreamNumber, turn: Turn, now: Duration) -> Option<u64> {
        let mut all = self.0.lock();
        let lane = all.get_mut(&upstream)?;
        let rate = lane.per_minute?;
        let ahead = lane.line.range(..turn).count();
        let beyond = ahead.checked_sub(lane.free(now))?;
        let slot = lane.sent.get(beyond % rate).copied().unwrap_or(now);
        let minutes = u32::try_from(beyond / rate).unwrap_or(u32::MAX).saturating_add(1);
        Some((slot + MINUTE.saturating_mul(minutes)).saturating_sub(now).as_secs())
    }

    /// What was under way there has ended.
    pub(super) fn done(&self, upstream: UpstreamNumber) {
        if let Some(lane) = self.0.lock().get_mut(&upstream) {
            lane.running = lane.running.saturating_sub(1);
        }
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
        let ready = all.values_mut().flat_map(|lane| lane.ready(now).collect::<Vec<_>>()).collect();
        let next = all.values_mut().filter_map(|lane| lane.next(now)).min();
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

    #[test]
    fn p12_a_services_rate_is_kept_in_the_order_of_acceptance_and_repetitions_go_first() {
        let lanes = Lanes::default();
        let enter = |turn, now| lanes.enter(HERE, turn, 1, Some(2), now);
        for n in 1..=2 {
            assert_eq!(enter(turn(n, false), NONE), Some(1));
            lanes.done(HERE);
        }
        for n in [9, 3, 5] {
            assert_eq!(enter(turn(n, false), NONE), None);
        }
        assert_eq!(enter(turn(7, true), NONE), None);
        assert_eq!(lanes.ready(NONE), (vec![], Some(MINUTE)));
        let estimate = |n, is_repeat| lanes.estimate(HERE, turn(n, is_repeat), NONE);
        assert_eq!((estimate(7, true), estimate(3, false)), (Some(60), Some(60)));
        assert_eq!((estimate(5, false), estimate(9, false)), (Some(120), Some(120)));
        assert_eq!(ids(&lanes.ready(MINUTE)), [7, 3]);
        assert_eq!(enter(turn(5, false), MINUTE), None, "others are before it");
        assert_eq!(enter(turn(7, true), MINUTE), Some(1));
        assert_eq!(enter(turn(3, false), MINUTE), Some(1));
        assert_eq!(enter(turn(5, false), MINUTE), None, "the minute is full again");
    }

    #[test]
    fn p12_only_so_many_are_under_way_at_one_upstream_and_who_leaves_holds_nobody_up() {
        let lanes = Lanes::default();
        let enter = |n| lanes.enter(HERE, turn(n, false), 3, None, NONE);
        let at_once = u64::try_from(AT_ONCE).unwrap();
        assert!((1..=at_once).all(|n| enter(n) == Some(3)));
        assert_eq!((enter(20), enter(21)), (None, None));
        assert_eq!(lanes.ready(NONE), (vec![], None));
        lanes.done(HERE);
        assert_eq!(enter(21), None, "20 came first");
        lanes.stay_only(Uuid::from_u128(20), UnixSeconds(20), &[]);
        assert_eq!(enter(21), Some(3));
    }

    #[test]
    fn p10_callers_own_deletes_count_in_the_minute_that_has_passed_and_never_ahead() {
        let lanes = Lanes::default();
        for _ in 0..10_000 {
            lanes.note(HERE, Some(4), NONE);
        }
        assert_eq!(lanes.enter(HERE, turn(1, false), 1, Some(4), NONE), None);
        assert_eq!(lanes.ready(NONE).1, Some(MINUTE));
        assert_eq!(lanes.enter(HERE, turn(1, false), 1, Some(4), MINUTE), Some(1));
    }
}
