//! When each job is to be worked on next. It is a hint only: the store has the truth.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::UpstreamNumber;
use crate::domain::erasure::Moment;
use crate::inflight::Generation;

pub(super) type LookedAfter = (Uuid, UpstreamNumber, UpstreamNumber, Generation);

/// What is due, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: Mutex<BTreeSet<(Moment, Uuid)>>,
    /// Those whose step is under way; `true` if they were woken meanwhile.
    busy: Mutex<HashMap<Uuid, bool>>,
    /// Attempts under way.
    legs: Mutex<HashSet<(Uuid, UpstreamNumber)>>,
    /// Requests whose end is waited for: whose erasure, where its delete is sent again then, where they are, and what had
    /// entered before which generation.
    looked_after: Mutex<HashSet<LookedAfter>>,
    /// Whether there was no room for one that is due: then the end of a step rings the bell.
    full: AtomicBool,
    pub(super) bell: Notify,
}

impl Schedule {
    pub(super) fn wake(&self, id: Uuid, at: Moment) {
        self.due.lock().insert((at, id));
        self.bell.notify_one();
    }

    /// Very many at once, as a start has them: a set that is built in its order is quicker and smaller than one that grows.
    pub(super) fn wake_all(&self, all: Vec<(Moment, Uuid)>) {
        let mut all: BTreeSet<_> = all.into_iter().collect();
        self.due.lock().append(&mut all);
        self.bell.notify_one();
    }

    /// The next one that is due. Those for which there is no room stay where they are, in their order.
    pub(super) fn next_due(&self, now: Moment) -> Option<Uuid> {
        let mut due = self.due.lock();
        let (_, id) = due.first().filter(|(at, _)| *at <= now).copied()?;
        // Woken more than once by now, it is looked at once.
        while due.first().is_some_and(|(at, other)| *at <= now && *other == id) {
            due.pop_first();
        }
        Some(id)
    }

    pub(super) fn is_full(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    /// A step has ended: there is room again.
    pub(super) fn has_room(&self) {
        if self.full.swap(false, Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    /// How long nothing is due.
    pub(super) fn until_next(&self, now: Moment) -> Option<Duration> {
        self.due.lock().first().map(|(at, _)| Duration::from_secs(now.until(*at)))
    }

    /// `false` if it is under way already; then it is looked at once more afterwards.
    pub(super) fn begin(&self, id: Uuid) -> bool {
        let mut busy = self.busy.lock();
        let free = !busy.contains_key(&id);
        busy.insert(id, !free);
        free
    }

    pub(super) fn end(&self, id: Uuid) -> bool {
        self.busy.lock().remove(&id).unwrap_or(false)
    }

    /// `false` if that is waited for already.
    pub(super) fn looks_after(&self, what: LookedAfter) -> bool {
        self.looked_after.lock().insert(what)
    }

    pub(super) fn looked_after(&self, what: &LookedAfter) {
        self.looked_after.lock().remove(what);
    }

    pub(super) fn leg_begins(&self, id: Uuid, upstream: UpstreamNumber) {
        self.legs.lock().insert((id, upstream));
    }

    pub(super) fn leg_ends(&self, id: Uuid, upstream: UpstreamNumber) {
        self.legs.lock().remove(&(id, upstream));
    }

    pub(super) fn has_leg(&self, id: Uuid, upstream: UpstreamNumber) -> bool {
        self.legs.lock().contains(&(id, upstream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_what_is_due_is_handed_out_one_by_one_in_its_order_and_the_rest_stays() {
        let schedule = Schedule::default();
        let id = |n| Uuid::from_u128(n);
        for (at, n) in [(3, 1), (1, 2), (2, 3), (1, 9), (2, 9), (50, 4)] {
            schedule.wake(id(n), Moment(at));
        }
        let next = || schedule.next_due(Moment(10)).map(|id| id.as_u128());
        assert_eq!((next(), next()), (Some(2), Some(9)));
        assert_eq!(schedule.until_next(Moment(10)), Some(Duration::ZERO), "there was room for two");
        assert_eq!([next(), next(), next(), next()], [Some(3), Some(9), Some(1), None]);
    }
}
