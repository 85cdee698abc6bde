//! The eraser's side of the in-flight table: keep new requests of one customer out, wait for those on their way.
//!
//! Two rules are kept here and nowhere else. A fence evicts its customer from the cache and begins a new generation, under
//! the shard's lock, and what it keeps out never grows. And it ends by itself when its life is over, whatever its owner
//! waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout, timeout_at};

use super::customer::CustomerState;
use super::{Generation, Inflight, Shard};
use crate::domain::{Tag, UpstreamNumber};

/// For how long a customer who was kept out is let in before a repetition keeps the same customer out again.
const REST: Duration = Duration::from_secs(1);

/// Where a fence stands.
#[derive(Clone, Debug)]
enum Scope {
    Everywhere,
    At(Vec<UpstreamNumber>),
}

impl Scope {
    fn contains(&self, upstream: UpstreamNumber) -> bool {
        match self {
            Self::Everywhere => true,
            Self::At(upstreams) => upstreams.contains(&upstream),
        }
    }
}

#[derive(Debug)]
struct Standing {
    scope: Scope,
    ends: Instant,
    /// While a record of what was done behind it is being made durable, it does not end by itself.
    frozen: u32,
}

/// One fence, as the shard and the waiting requests see it.
#[derive(Debug)]
pub(super) struct FenceState {
    standing: Mutex<Standing>,
    moved: Arc<Notify>,
    /// Whether it has kept anybody out.
    felt: AtomicBool,
}

impl FenceState {
    fn new(standing: Standing) -> Arc<Self> {
        Arc::new(Self { standing: Mutex::new(standing), moved: Arc::default(), felt: AtomicBool::new(false) })
    }

    /// A request was kept out. To be said under the shard's lock.
    pub(super) fn note_felt(&self) {
        self.felt.store(true, Relaxed);
    }

    /// Whether it has kept somebody out, and still does so at one of these or did until just now.
    fn was_felt_at(&self, upstreams: &[UpstreamNumber], now: Instant) -> bool {
        let standing = self.standing.lock();
        let late = standing.frozen > 0 || now < standing.ends + REST;
        self.felt.load(Relaxed) && late && upstreams.iter().any(|upstream| standing.scope.contains(*upstream))
    }

    pub(super) fn blocks(&self, upstream: UpstreamNumber, now: Instant) -> bool {
        let standing = self.standing.lock();
        (standing.frozen > 0 || now < standing.ends) && standing.scope.contains(upstream)
    }
}

/// The answer to a request that may not enter now. It counts among those that wait, until it is dropped.
#[derive(Debug)]
pub struct Fenced {
    inflight: Arc<Inflight>,
    tag: Tag,
    moved: Pin<Box<OwnedNotified>>,
    /// When the fence ends by itself; `None` where that is over, and what was done behind it is being recorded.
    ends: Option<Instant>,
}

impl Fenced {
    /// To be made under the shard's lock, where the waiting request was counted.
    pub(super) fn behind(inflight: &Arc<Inflight>, tag: Tag, fence: &FenceState) -> Self {
        let ends = {
            let standing = fence.standing.lock();
            // Who came with an older time than now may meet one whose life is over: nobody would ring.
            let is_over = standing.frozen > 0 && Instant::now() >= standing.ends;
            Some(standing.ends).filter(|_| !is_over)
        };
        Self { inflight: Arc::clone(inflight), tag, moved: Box::pin(Arc::clone(&fence.moved).notified_owned()), ends }
    }

    /// Waits until the fence has moved or its life is over; then it is worth trying again. The caller bounds the wait.
    pub async fn moved(mut self) {
        let ends = self.ends;
        let moved = self.moved.as_mut();
        match ends {
            Some(ends) => drop(timeout_at(ends, moved).await),
            None => moved.await,
        }
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        self.inflight.waits_no_more(self.tag);
    }
}

/// What was found when a drain ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// Something that had entered before may still be stored until this moment: it was cut, or has not ended in time.
    pub until: Option<Instant>,
    /// It has not ended: its end can be waited for.
    pub in_sight: bool,
    /// Something that entered later is on its way, or was cut: rows there may not be marked as erased.
    pub newer: bool,
}

/// A fence around one customer. Dropping it lifts what is left of it.
#[derive(Debug)]
pub struct Fence {
    inflight: Arc<Inflight>,
    tag: Tag,
    state: Arc<FenceState>,
    generation: Generation,
}

impl Fence {
    pub(super) fn raise(
        inflight: &Arc<Inflight>,
        tag: Tag,
        upstreams: Option<Vec<UpstreamNumber>>,
        life: Duration,
    ) -> Self {
        let scope = upstreams.map_or(Scope::Everywhere, Scope::At);
        Self::raise_in(&mut inflight.shard(tag).lock(), inflight, tag, scope, life)
    }

    pub(super) fn standing_from_start(mut self) -> Self {
        self.generation = Generation::FIRST;
        self
    }

    /// A new one, unless another keeps requests out at one of these, or did until just now: then when to try again.
    pub(super) fn raise_where_let_in(
        inflight: &Arc<Inflight>,
        tag: Tag,
        upstreams: Vec<UpstreamNumber>,
        life: Duration,
    ) -> Result<Self, Instant> {
        let mut shard = inflight.shard(tag).lock();
        let now = Instant::now();
        let again = shard.people.get(&tag).and_then(|person| {
            let felt = person.fences.iter().any(|fence| fence.was_felt_at(&upstreams, now));
            if felt { Some(now + REST) } else { person.rests_until.filter(|until| now < *until) }
        });
        match again {
            Some(again) => Err(again),
            None => Ok(Self::raise_in(&mut shard, inflight, tag, Scope::At(upstreams), life)),
        }
    }

    fn raise_in(shard: &mut Shard, inflight: &Arc<Inflight>, tag: Tag, scope: Scope, life: Duration) -> Self {
        let standing = Standing { scope, ends: Instant::now() + life, frozen: 0 };
        let generation = shard.forget_all_of(tag);
        Self::stand_in(shard, inflight, tag, standing, generation)
    }

    fn stand_in(
        shard: &mut Shard,
        inflight: &Arc<Inflight>,
        tag: Tag,
        standing: Standing,
        generation: Generation,
    ) -> Self {
        let state = FenceState::new(standing);
        shard.person(tag).fences.push(Arc::clone(&state));
        Self { inflight: Arc::clone(inflight), tag, state, generation }
    }

    /// Another fence that goes on here, and at these upstreams only, where this one stands now: of the same generation, and
    /// with the same end. Each is narrowed, lifted and dropped for itself. `None` where this one stands at none of them.
    #[must_use]
    pub fn twin(&self, upstreams: &[UpstreamNumber]) -> Option<Self> {
        let mut shard = self.inflight.shard(self.tag).lock();
        let standing = {
            let standing = self.state.standing.lock();
            let still = upstreams.iter().copied().filter(|upstream| standing.scope.contains(*upstream)).collect();
            Standing { scope: Scope::At(still), ends: standing.ends, frozen: 0 }
        };
        let stands = Instant::now() < standing.ends && matches!(&standing.scope, Scope::At(at) if !at.is_empty());
        stands.then(|| Self::stand_in(&mut shard, &self.inflight, self.tag, standing, self.generation))
    }

    /// What entered in an earlier generation entered before this fence.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether it was raised at a start, in place of one of the run before: that one may have ended before that run did.
    #[must_use]
    pub fn is_from_start(&self) -> bool {
        self.generation == Generation::FIRST
    }

    /// Waits until every request that had entered before the fence, where it stands now, has finished recording, or has
    /// left. Each of them bounds its own recording. What the customer does at other upstreams does not prolong it.
    pub async fn recorded(&self) {
        let here = |upstream| self.state.standing.lock().scope.contains(upstream);
        self.until(|person| (!person.records_before(self.generation, here)).then_some(())).await;
    }

    /// From now on only requests to those of these upstreams are kept out to which they were kept out until now: who was let
    /// in somewhere is kept out there only by another fence, which begins a generation of its own.
    pub fn narrow(&self, upstreams: &[UpstreamNumber]) {
        self.move_to(|scope| {
            let still = upstreams.iter().copied().filter(|upstream| scope.contains(*upstream));
            Some(Scope::At(still.collect()))
        });
    }

    /// Lets requests to this upstream in again.
    pub fn lift(&self, upstream: UpstreamNumber) {
        self.move_to(|scope| match scope {
            Scope::Everywhere => None,
            Scope::At(all) => Some(Scope::At(all.iter().copied().filter(|other| *other != upstream).collect())),
        });
    }

    /// Under the shard's lock: a request that was just kept out is listening by then, and hears of it. A scope never widens.
    fn move_to(&self, next: impl FnOnce(&Scope) -> Option<Scope>) {
        let mut shard = self.inflight.shard(self.tag).lock();
        let mut standing = self.state.standing.lock();
        let Some(scope) = next(&standing.scope) else { return };
        standing.scope = scope;
        drop(standing);
        self.lets_in(&mut shard);
        self.state.moved.notify_waiters();
    }

    /// Whoever was kept out is to be let in before a repetition keeps the customer out again.
    fn lets_in(&self, shard: &mut Shard) {
        if self.state.felt.load(Relaxed)
            && let Some(person) = shard.people.get_mut(&self.tag)
        {
            person.rests_until = person.rests_until.max(Some(Instant::now() + REST));
        }
    }

    /// Whether it has kept this customer's requests to `upstream` out without a gap until now. If so, it goes on doing
    /// so until the answer is dropped, also beyond its life: nothing that is recorded meanwhile can meet a request that
    /// it should have kept out.
    #[must_use]
    pub fn freeze(&self, upstream: UpstreamNumber) -> Option<Frozen<'_>> {
        let _entering = self.inflight.shard(self.tag).lock();
        let mut standing = self.state.standing.lock();
        let stands = standing.frozen > 0 || Instant::now() < standing.ends;
        if !stands || !standing.scope.contains(upstream) {
            return None;
        }
        standing.frozen += 1;
        drop(standing);
        Some(Frozen(self))
    }

    /// Waits, at most `limit`, until nothing is on its way to `upstream` that entered before generation `before`, and says
    /// what may still arrive there.
    pub async fn drained(&self, upstream: UpstreamNumber, before: Generation, limit: Duration) -> Drain {
        let quiet = self.until(|person| {
            let flight = person.existing_flight(upstream);
            flight.is_none_or(|flight| !flight.has_before(before)).then_some(())
        });
        let in_sight = timeout(limit, quiet).await.is_err();
        let now = Instant::now();
        let mut shard = self.inflight.shard(self.tag).lock();
        let crowd = shard.crowd(upstream, before, now);
        let others = shard.crowd(upstream, Generation::LAST, now).is_some();
        let flight = shard.person(self.tag).existing_flight(upstream);
        let cut = flight.and_then(|flight| flight.stragglers.until(before, now)).max(crowd);
        let newer = others || flight.is_some_and(|flight| !flight.is_quiet() || flight.stragglers.any(now));
        drop(shard);
        let open = in_sight.then(|| now + self.inflight.straggle());
        Drain { until: cut.max(open), in_sight, newer }
    }

    /// Waits until `ready` gives something; asked again whenever a count falls.
    async fn until<T>(&self, ready: impl Fn(&CustomerState) -> Option<T>) -> T {
        until(&self.inflight, self.tag, ready).await
    }
}

/// Waits until `ready` gives something of a customer whom a fence or a watch keeps in mind.
pub(super) async fn until<T>(inflight: &Inflight, tag: Tag, ready: impl Fn(&CustomerState) -> Option<T>) -> T {
    loop {
        let bell: Arc<Notify>;
        let rung;
        {
            let mut shard = inflight.shard(tag).lock();
            let person = shard.person(tag);
            if let Some(value) = ready(person) {
                return value;
            }
            bell = person.bell();
            rung = Arc::clone(&bell).notified_owned();
        }
        rung.await;
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let mut shard: parking_lot::MutexGuard<'_, Shard> = self.inflight.shard(self.tag).lock();
        self.lets_in(&mut shard);
        if let Some(person) = shard.people.get_mut(&self.tag) {
            person.fences.retain(|fence| !Arc::ptr_eq(fence, &self.state));
        }
        shard.forget_if_over(self.tag);
        self.state.standing.lock().scope = Scope::At(Vec::new());
        drop(shard);
        self.state.moved.notify_waiters();
    }
}

/// A fence that does not end by itself for the moment.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Fence);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _entering = self.0.inflight.shard(self.0.tag).lock();
        let over = {
            let mut standing = self.0.state.standing.lock();
            standing.frozen -= 1;
            standing.frozen == 0 && Instant::now() >= standing.ends
        };
        if over {
            self.0.state.moved.notify_waiters();
        }
    }
}
