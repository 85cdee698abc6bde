//! Counts who has requests under way for whom. Requests enter here before they are recorded; erasures fence here.
//!
//! Proxy and erasure both use it and do not know each other. Entering is one step under one lock: the request is
//! counted, the fence is read and the known-pair cache is asked, so that no erasure can come in between. A customer's
//! requests on all workers meet in one shard, chosen by the customer's tag. See docs/decisions/025-sharded-in-flight-table.md.

mod customer;
mod fence;
mod guard;
mod lease;
mod pair_cache;
mod quiescence;
mod shard;
mod short_names;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::fence::{Drain, Fence, Fenced, Frozen};
pub use self::guard::RequestGuard;
use self::guard::Stage;
use self::lease::Lease;
pub use self::quiescence::QuiescenceProbe;
use self::shard::Shard;
pub use self::short_names::ShortNames;
use crate::domain::{Apis, PairKey, Tag, UpstreamNumber};

/// A power of two; enough that workers rarely meet at a lock.
const SHARDS: usize = 64;

/// Of all requests that may wait at fences, one customer's may be this part.
const WAITING_SHARE: usize = 4;

/// The order of a customer's entries and fences: each fence begins a new generation of those that enter. Good for this
/// run only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// Before all: nothing has entered in an earlier one.
    pub const FIRST: Self = Self(0);
    /// After all.
    pub const LAST: Self = Self(u64::MAX);
}

/// Seconds since the in-flight table was made, by a clock that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick(u32);

/// The in-flight table. Shared by all workers and the eraser.
pub struct Inflight {
    shards: Box<[Mutex<Shard>; SHARDS]>,
    short_names: ShortNames,
    made: Instant,
    lease_s: u32,
    /// In milliseconds.
    straggle: AtomicU64,
    /// Requests that wait at fences, and how many may.
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
    lease: Lease,
}

impl fmt::Debug for Inflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflight").finish_non_exhaustive()
    }
}

/// A request that has entered.
#[derive(Debug)]
pub struct Entered {
    /// Its place among those on their way.
    pub passage: RequestGuard,
    /// Whether its row is durable and fresh already.
    pub known: bool,
}

/// Why a request has not entered.
#[derive(Debug)]
pub enum KeptOut {
    /// Its customer is being erased where it goes. It may wait for the fence to move, and try again.
    Fenced(Fenced),
    /// The same, and as many wait as may.
    Crowded,
    /// Nobody knows at the moment what the other gates fence.
    Closed,
}

impl Inflight {
    /// `cache_entries` bounds the known-pair cache; `lease` is how long one of its entries may be believed; `straggle`
    /// is how long the data of an exchange that was cut may still be stored by an upstream (`response_timeout`).
    #[must_use]
    pub fn new(cache_entries: usize, lease: Duration, straggle: Duration) -> Arc<Self> {
        let shards = Box::new(std::array::from_fn(|_| Mutex::new(Shard::new(cache_entries / SHARDS))));
        let inflight = Arc::new(Self {
            shards,
            short_names: ShortNames::default(),
            made: Instant::now(),
            lease_s: u32::try_from(lease.as_secs()).unwrap_or(u32::MAX),
            straggle: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            waiting_max: AtomicUsize::new(usize::MAX),
            lease: Lease::default(),
        });
        inflight.set_straggle(straggle);
        inflight
    }

    /// By which callers may name resources and instances in the keys of requests that enter.
    #[must_use]
    pub const fn short_names(&self) -> &ShortNames {
        &self.short_names
    }

    /// For exchanges that are cut from now on.
    pub fn set_straggle(&self, straggle: Duration) {
        self.straggle.store(u64::try_from(straggle.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn straggle(&self) -> Duration {
        Duration::from_millis(self.straggle.load(Relaxed))
    }

    /// How many requests may wait at fences, of all customers together; one customer's may be a quarter of them.
    pub fn set_waiting_max(&self, count: usize) {
        self.waiting_max.store(count.max(1), Relaxed);
    }

    /// One atomic step: the request is counted as on its way, unless a fence keeps it out.
    ///
    /// # Errors
    /// [`KeptOut`] while the customer is being erased there, or nobody knows.
    pub fn enter(self: &Arc<Self>, key: &PairKey, now: Instant) -> Result<Entered, KeptOut> {
        self.enter_with(key, Apis::NONE, now)
    }

    /// The same for a request under these versions of the API: its row is known only if it was written with them.
    ///
    /// # Errors
    /// [`KeptOut`] while the customer is being erased there, or nobody knows.
    pub fn enter_with(self: &Arc<Self>, key: &PairKey, apis: Apis, now: Instant) -> Result<Entered, KeptOut> {
        let tick = self.tick(now);
        let (run, gaps) = (self.lease.run(), self.lease.gaps());
        let mut shard = self.shard(key.tag).lock();
        // Under the lock: what is closed forgets everybody under it.
        if !self.is_open() {
            return Err(KeptOut::Closed);
        }
        let known = shard.known.is_fresh(key, apis, tick, self.lease_s);
        let person = shard.person(key.tag);
        if let Some(fence) = person.blocking_fence(key.upstream, now) {
            fence.note_felt();
            let max = self.waiting_max.load(Relaxed);
            if person.waiting >= (max / WAITING_SHARE).max(1) || self.waiting.load(Relaxed) >= max {
                return Err(KeptOut::Crowded);
            }
            let fenced = Fenced::behind(self, key.tag, fence);
            person.waiting += 1;
            self.waiting.fetch_add(1, Relaxed);
            return Err(KeptOut::Fenced(fenced));
        }
        let stage = if known { Stage::Recorded } else { Stage::Recording };
        let generation = person.generation;
        person.flight(key.upstream).enter(generation, stage);
        drop(shard);
        Ok(Entered { passage: RequestGuard::new(self, (key, apis), stage, generation, (tick, run, gaps)), known })
    }

    fn waits_no_more(&self, tag: Tag) {
        self.waiting.fetch_sub(1, Relaxed);
        let mut shard = self.shard(tag).lock();
        if let Some(person) = shard.people.get_mut(&tag) {
            person.waiting = person.waiting.saturating_sub(1);
        }
        shard.forget_if_over(tag);
    }

    /// Keeps new requests of this customer out, everywhere or only at some upstreams, for at most `life`, and makes the
    /// cache forget the customer.
    #[must_use]
    pub fn fence(self: &Arc<Self>, tag: Tag, upstreams: Option<Vec<UpstreamNumber>>, life: Duration) -> Fence {
        Fence::raise(self, tag, upstreams, life)
    }

    /// The same before anything has entered: it has stood since whatever was asked for before the start.
    #[must_use]
    pub fn fence_from_start(
        self: &Arc<Self>,
        tag: Tag,
        upstreams: Option<Vec<UpstreamNumber>>,
        life: Duration,
    ) -> Fence {
        Fence::raise(self, tag, upstreams, life).standing_from_start()
    }

    /// The same at some upstreams, unless another fence keeps requests out at one of them, or did until a second ago: who is
    /// kept out again and again is let in in between.
    ///
    /// # Errors
    /// When it is worth trying again.
    pub fn fence_where_let_in(
        self: &Arc<Self>,
        tag: Tag,
        upstreams: Vec<UpstreamNumber>,
        life: Duration,
    ) -> Result<Fence, Instant> {
        Fence::raise_where_let_in(self, tag, upstreams, life)
    }

    /// Begins to watch for requests of this customer to this upstream.
    #[must_use]
    pub fn watch(self: &Arc<Self>, tag: Tag, upstream: UpstreamNumber) -> QuiescenceProbe {
        QuiescenceProbe::begin(self, tag, upstream)
    }

    /// Forgets stragglers whose time is over. Called now and then, so that cut exchanges cost bounded memory.
    pub fn prune(&self) {
        let now = Instant::now();
        self.shards.iter().for_each(|shard| shard.lock().prune(now));
    }

    /// Whether the data of an exchange that was cut may still be stored somewhere.
    #[must_use]
    pub fn is_straggling(&self) -> bool {
        let now = Instant::now();
        self.shards.iter().any(|shard| shard.lock().is_straggling(now))
    }

    fn tick(&self, now: Instant) -> Tick {
        Tick(u32::try_from(now.saturating_duration_since(self.made).as_secs()).unwrap_or(u32::MAX))
    }

    fn shard(&self, tag: Tag) -> &Mutex<Shard> {
        let [.., last] = tag.0;
        self.shards.get(usize::from(last) % SHARDS).expect("the remainder is below the number of shards")
    }
}
