//! The in-flight table's state of one customer: requests under way, fences and watches.
//!
//! Everything that enters belongs to the generation of its customer at that moment. A fence begins a new one, so that it
//! is known for ever which requests an erasure covers: those of the generations before its own.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fence::FenceState;
use super::{Generation, Stage};
use crate::domain::UpstreamNumber;

/// Generations whose stragglers are told apart at one place; beyond these the two oldest are taken together.
const STRAGGLERS_MAX: usize = 8;

/// Requests that entered in one generation and have not left.
#[derive(Clone, Copy, Debug)]
struct Cohort {
    generation: Generation,
    /// Entered, but their row is not known to be durable yet.
    recording: u32,
    /// On their way: their data may be there already or may still arrive.
    on_the_way: u32,
}

#[derive(Clone, Copy, Debug)]
struct Straggler {
    generation: Generation,
    until: Instant,
}

/// Until when the data of exchanges that were cut may still be stored, by the generation in which they entered.
#[derive(Clone, Debug, Default)]
pub(super) struct Stragglers(SmallVec<[Straggler; 1]>);

impl Stragglers {
    pub(super) fn add(&mut self, generation: Generation, until: Instant) {
        match self.0.binary_search_by_key(&generation, |straggler| straggler.generation) {
            Ok(at) => {
                if let Some(straggler) = self.0.get_mut(at) {
                    straggler.until = straggler.until.max(until);
                }
            }
            Err(at) => self.0.insert(at, Straggler { generation, until }),
        }
        if self.0.len() > STRAGGLERS_MAX {
            // What is taken together counts as the older one: an erasure may wait longer, and never too short.
            let oldest = self.0.remove(0);
            if let Some(next) = self.0.first_mut() {
                next.generation = oldest.generation;
                next.until = next.until.max(oldest.until);
            }
        }
    }

    /// The last moment at which something may arrive that had entered in a generation before this one.
    pub(super) fn until(&self, before: Generation, now: Instant) -> Option<Instant> {
        let late = self.0.iter().filter(|straggler| straggler.generation < before && straggler.until > now);
        late.map(|straggler| straggler.until).max()
    }

    pub(super) fn any(&self, now: Instant) -> bool {
        self.0.iter().any(|straggler| straggler.until > now)
    }

    pub(super) fn prune(&mut self, now: Instant) {
        self.0.retain(|straggler| straggler.until > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The requests of one customer at one upstream.
#[derive(Debug)]
pub(super) struct InflightCounts {
    pub(super) upstream: UpstreamNumber,
    cohorts: SmallVec<[Cohort; 1]>,
    /// Counts every entry, so that a watcher sees one that came and went.
    pub(super) entries: u64,
    pub(super) stragglers: Stragglers,
}

impl InflightCounts {
    fn new(upstream: UpstreamNumber) -> Self {
        Self { upstream, cohorts: SmallVec::new(), entries: 0, stragglers: Stragglers::default() }
    }

    pub(super) fn enter(&mut self, generation: Generation, stage: Stage) {
        self.entries = self.entries.wrapping_add(1);
        *self.count(generation, stage) += 1;
    }

    /// A request goes on to its next stage, or leaves (`to` is `None`).
    pub(super) fn moved(&mut self, generation: Generation, from: Stage, to: Option<Stage>) {
        *self.count(generation, from) -= 1;
        if let Some(to) = to {
            *self.count(generation, to) += 1;
        }
        self.cohorts.retain(|cohort| cohort.recording + cohort.on_the_way > 0);
    }

    fn count(&mut self, generation: Generation, stage: Stage) -> &mut u32 {
        let found = self.cohorts.iter().position(|cohort| cohort.generation == generation);
        let at = found.unwrap_or_else(|| {
            self.cohorts.push(Cohort { generation, recording: 0, on_the_way: 0 });
            self.cohorts.len() - 1
        });
        let cohort = self.cohorts.get_mut(at).expect("it was found or pushed just now");
        match stage {
            Stage::Recording => &mut cohort.recording,
            Stage::Recorded | Stage::Forwarded => &mut cohort.on_the_way,
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.cohorts.is_empty()
    }

    /// Whether something is on its way that entered in a generation before this one.
    pub(super) fn has_before(&self, generation: Generation) -> bool {
        self.cohorts.iter().any(|cohort| cohort.generation < generation)
    }

    fn records_before(&self, generation: Generation) -> bool {
        self.cohorts.iter().any(|cohort| cohort.generation < generation && cohort.recording > 0)
    }
}

/// One customer, for as long as something is going on.
#[derive(Debug)]
pub(super) struct CustomerState {
    pub(super) flights: SmallVec<[InflightCounts; 1]>,
    pub(super) fences: SmallVec<[Arc<FenceState>; 1]>,
    /// What enters now belongs to this one. A request of an earlier one may not teach the cache.
    pub(super) generation: Generation,
    /// Watches that need this entry to stay.
    pub(super) pins: u32,
    /// Requests that wait at a fence.
    pub(super) waiting: usize,
    /// Until then who was kept out is let in again, and no repetition of a delete keeps anybody out.
    pub(super) rests_until: Option<Instant>,
    /// Rung whenever a count falls, if anyone listens.
    changed: Option<Arc<Notify>>,
}

impl CustomerState {
    pub(super) fn new(generation: Generation) -> Self {
        Self {
            flights: SmallVec::new(),
            fences: SmallVec::new(),
            generation,
            pins: 0,
            waiting: 0,
            rests_until: None,
            changed: None,
        }
    }

    pub(super) fn flight(&mut self, upstream: UpstreamNumber) -> &mut InflightCounts {
        let found = self.flights.iter().position(|flight| flight.upstream == upstream);
        let at = found.unwrap_or_else(|| {
            self.flights.push(InflightCounts::new(upstream));
            self.flights.len() - 1
        });
        self.flights.get_mut(at).expect("it was found or pushed just now")
    }

    pub(super) fn existing_flight(&self, upstream: UpstreamNumber) -> Option<&InflightCounts> {
        self.flights.iter().find(|flight| flight.upstream == upstream)
    }

    pub(super) fn blocking_fence(&self, upstream: UpstreamNumber, now: Instant) -> Option<&Arc<FenceState>> {
        self.fences.iter().find(|fence| fence.blocks(upstream, now))
    }

    /// Whether requests are being recorded that entered before this generation, at upstreams for which this holds.
    pub(super) fn records_before(&self, generation: Generation, at: impl Fn(UpstreamNumber) -> bool) -> bool {
        self.flights.iter().any(|flight| at(flight.upstream) && flight.records_before(generation))
    }

    pub(super) fn bell(&mut self) -> Arc<Notify> {
        Arc::clone(self.changed.get_or_insert_with(Arc::default))
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = &self.changed {
            bell.notify_waiters();
        }
    }

    /// Whether there is nothing more to remember.
    pub(super) fn is_over(&self) -> bool {
        self.pins == 0
            && self.waiting == 0
            && self.fences.is_empty()
            && self.rests_until.is_none()
            && self.flights.iter().all(|flight| flight.is_quiet() && flight.stragglers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn p12_however_often_one_customers_exchanges_are_cut_few_times_are_kept_and_none_is_forgotten() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut all = Stragglers::default();
        for nth in 1..=1_000 {
            all.add(Generation(nth), after(nth));
            assert!(all.0.len() <= STRAGGLERS_MAX);
            assert_eq!(all.until(Generation::LAST, now), Some(after(nth)));
            assert!(all.until(Generation(2), now) >= Some(after(1)), "the first is waited for as long as it takes");
        }
    }
}
