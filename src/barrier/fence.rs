//! The eraser's side of the barrier: keep new requests of one customer out, wait for those on their way, watch.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::Barrier;
use super::person::Person;
use crate::domain::{Tag, UpstreamNumber};

/// Where a fence still stands.
#[derive(Debug)]
enum Scope {
    Everywhere,
    At(Vec<UpstreamNumber>),
}

/// One fence, as the shard and the waiting requests see it.
#[derive(Debug)]
pub(super) struct FenceState {
    scope: Mutex<Scope>,
    moved: watch::Sender<()>,
}

impl FenceState {
    pub(super) fn blocks(&self, upstream: UpstreamNumber) -> bool {
        match &*self.scope.lock() {
            Scope::Everywhere => true,
            Scope::At(upstreams) => upstreams.contains(&upstream),
        }
    }

    fn set(&self, scope: Scope) {
        *self.scope.lock() = scope;
        self.moved.send_replace(());
    }
}

/// The answer to a request that may not enter now.
#[derive(Debug)]
pub struct Fenced(watch::Receiver<()>);

impl Fenced {
    pub(super) fn behind(fence: &FenceState) -> Self {
        Self(fence.moved.subscribe())
    }

    /// Waits until the fence has moved; then it is worth trying again. The caller bounds the wait.
    pub async fn moved(mut self) {
        // An error means that the fence is gone, which is a move as well.
        drop(self.0.changed().await);
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// All requests that had been on their way there have ended, and none of them was cut.
    Clean,
    /// One has not ended in time, or was cut: its data may still be stored until this moment.
    NotDrained {
        /// After this moment nothing can arrive any more.
        until: Instant,
    },
}

/// A fence around one customer. Dropping it lifts what is left of it.
#[derive(Debug)]
pub struct Fence {
    barrier: Arc<Barrier>,
    tag: Tag,
    state: Arc<FenceState>,
}

impl Fence {
    pub(super) fn raise(barrier: &Arc<Barrier>, tag: Tag) -> Self {
        let state = Arc::new(FenceState { scope: Mutex::new(Scope::Everywhere), moved: watch::Sender::new(()) });
        let mut shard = barrier.shard(tag).lock();
        shard.known.evict(tag);
        let person = shard.people.entry(tag).or_default();
        person.fences_ever = person.fences_ever.wrapping_add(1);
        person.fences.push(Arc::clone(&state));
        drop(shard);
        Self { barrier: Arc::clone(barrier), tag, state }
    }

    /// Waits until every request that had entered before the fence, where it stands now, has finished recording, or has
    /// left. What the customer does at other upstreams does not prolong it.
    pub async fn recorded(&self) {
        let here = |person: &Person| person.recording(|upstream| self.state.blocks(upstream));
        self.until(|person| (here(person) == 0).then_some(())).await;
    }

    /// From now on only requests to these upstreams are kept out.
    pub fn narrow(&self, upstreams: &[UpstreamNumber]) {
        self.move_to(Scope::At(upstreams.to_vec()));
    }

    /// Under the shard's lock: a request that was just kept out is listening by then, and hears of it.
    fn move_to(&self, scope: Scope) {
        let _entering = self.barrier.shard(self.tag).lock();
        self.state.set(scope);
    }

    /// Waits, at most `limit`, until nothing labelled with this customer's ID is on its way to `upstream`.
    pub async fn drained(&self, upstream: UpstreamNumber, limit: Duration) -> Drain {
        let quiet = self.until(|person| {
            let flight = person.existing_flight(upstream);
            flight.is_none_or(super::person::Flight::is_quiet).then(|| flight.and_then(|f| f.stragglers_until))
        });
        let now = Instant::now();
        match timeout_at(now + limit, quiet).await {
            Ok(Some(until)) if until > Instant::now() => Drain::NotDrained { until },
            Ok(_) => Drain::Clean,
            Err(_elapsed) => Drain::NotDrained { until: Instant::now() + self.barrier.straggle() },
        }
    }

    /// Lets requests to this upstream in again.
    pub fn lift(&self, upstream: UpstreamNumber) {
        let left = match &*self.state.scope.lock() {
            Scope::Everywhere => return,
            Scope::At(upstreams) => upstreams.iter().copied().filter(|other| *other != upstream).collect(),
        };
        self.move_to(Scope::At(left));
    }

    /// Waits until `ready` gives something; asked again whenever a count falls.
    async fn until<T>(&self, ready: impl Fn(&Person) -> Option<T>) -> T {
        loop {
            let bell: Arc<Notify>;
            let rung;
            {
                let mut shard = self.barrier.shard(self.tag).lock();
                let person = shard.people.entry(self.tag).or_default();
                if let Some(value) = ready(person) {
                    return value;
                }
                bell = person.bell();
                rung = Arc::clone(&bell).notified_owned();
            }
            rung.await;
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let mut shard = self.barrier.shard(self.tag).lock();
        if let Some(person) = shard.people.get_mut(&self.tag) {
            person.fences.retain(|fence| !Arc::ptr_eq(fence, &self.state));
        }
        shard.forget_if_over(self.tag);
        drop(shard);
        self.state.set(Scope::At(Vec::new()));
    }
}

/// Sees whether anything labelled with one customer's ID is on its way to one upstream, from its making on.
#[derive(Debug)]
pub struct Watch {
    barrier: Arc<Barrier>,
    tag: Tag,
    upstream: UpstreamNumber,
    /// The number of entries at the beginning; `None` if it was not quiet even then.
    entries: Option<u64>,
}

impl Watch {
    pub(super) fn begin(barrier: &Arc<Barrier>, tag: Tag, upstream: UpstreamNumber) -> Self {
        let mut shard = barrier.shard(tag).lock();
        let person = shard.people.entry(tag).or_default();
        person.pins += 1;
        let flight = person.flight(upstream);
        let straggling = flight.stragglers_until.is_some_and(|until| until > Instant::now());
        let entries = (flight.is_quiet() && !straggling).then_some(flight.entries);
        drop(shard);
        Self { barrier: Arc::clone(barrier), tag, upstream, entries }
    }

    /// Has nothing been on its way there since the watch began?
    #[must_use]
    pub fn quiet(&self) -> bool {
        let shard = self.barrier.shard(self.tag).lock();
        let flight = shard.people.get(&self.tag).and_then(|person| person.existing_flight(self.upstream));
        self.entries.is_some() && flight.map(|flight| flight.entries) == self.entries
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut shard = self.barrier.shard(self.tag).lock();
        if let Some(person) = shard.people.get_mut(&self.tag) {
            person.pins -= 1;
        }
        shard.forget_if_over(self.tag);
    }
}
