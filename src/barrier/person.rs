//! What the barrier knows of one customer: requests on their way, fences, and those who watch.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fence::FenceState;
use crate::domain::UpstreamNumber;

/// The requests of one customer at one upstream.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) upstream: UpstreamNumber,
    /// Entered, but their row is not known to be durable yet.
    pub(super) recording: u32,
    /// On their way: their data may be there already or may still arrive.
    pub(super) on_the_way: u32,
    /// Counts every entry, so that a watcher sees one that came and went.
    pub(super) entries: u64,
    /// Until when the data of an exchange that was cut may still be stored.
    pub(super) stragglers_until: Option<Instant>,
}

impl Flight {
    const fn new(upstream: UpstreamNumber) -> Self {
        Self { upstream, recording: 0, on_the_way: 0, entries: 0, stragglers_until: None }
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.recording == 0 && self.on_the_way == 0
    }
}

/// One customer, for as long as something is going on.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) flights: SmallVec<[Flight; 1]>,
    pub(super) fences: SmallVec<[Arc<FenceState>; 1]>,
    /// How many fences there have been; a request that entered before one may not teach the cache after it.
    pub(super) fences_ever: u32,
    /// Watches that need this entry to stay.
    pub(super) pins: u32,
    /// Rung whenever a count falls, if anyone listens.
    pub(super) changed: Option<Arc<Notify>>,
}

impl Person {
    pub(super) fn flight(&mut self, upstream: UpstreamNumber) -> &mut Flight {
        let found = self.flights.iter().position(|flight| flight.upstream == upstream);
        let at = found.unwrap_or_else(|| {
            self.flights.push(Flight::new(upstream));
            self.flights.len() - 1
        });
        self.flights.get_mut(at).expect("it was found or pushed just now")
    }

    pub(super) fn existing_flight(&self, upstream: UpstreamNumber) -> Option<&Flight> {
        self.flights.iter().find(|flight| flight.upstream == upstream)
    }

    pub(super) fn blocking_fence(&self, upstream: UpstreamNumber) -> Option<&Arc<FenceState>> {
        self.fences.iter().find(|fence| fence.blocks(upstream))
    }

    /// Requests that are being recorded, at upstreams of which this holds.
    pub(super) fn recording(&self, at: impl Fn(UpstreamNumber) -> bool) -> u32 {
        self.flights.iter().filter(|flight| at(flight.upstream)).map(|flight| flight.recording).sum()
    }

    pub(super) fn bell(&mut self) -> Arc<Notify> {
        Arc::clone(self.changed.get_or_insert_with(Arc::default))
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = &self.changed {
            bell.notify_waiters();
        }
    }

    /// Nothing more to remember?
    pub(super) fn is_over(&self) -> bool {
        self.pins == 0
            && self.fences.is_empty()
            && self.flights.iter().all(|flight| flight.is_quiet() && flight.stragglers_until.is_none())
    }
}
