//! What is to be woken when. A hint only: the store knows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::UpstreamNumber;
use crate::domain::erasure::Moment;

/// Erasures that are taken up at once, so that very many that are due cost no more memory than a few.
const TAKEN_MAX: usize = 256;

/// What is due, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: Mutex<BTreeSet<(Moment, Uuid)>>,
    /// Those whose step is under way; `true` if they were woken meanwhile.
    busy: Mutex<HashMap<Uuid, bool>>,
    /// Attempts under way.
    legs: Mutex<HashSet<(Uuid, UpstreamNumber)>>,
    pub(super) bell: Notify,
}

impl Schedule {
    pub(super) fn wake(&self, id: Uuid, at: Moment) {
        self.due.lock().insert((at, id));
        self.bell.notify_one();
    }

    pub(super) fn take_due(&self, now: Moment) -> Vec<Uuid> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while taken.len() < TAKEN_MAX && due.first().is_some_and(|(at, _)| *at <= now) {
            taken.extend(due.pop_first().map(|(_, id)| id));
        }
        taken.sort_unstable();
        taken.dedup();
        taken
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
