//! Who is on the way for whom. Requests enter here before they are recorded and forwarded; erasures fence here.
//!
//! It lies beneath proxy and erasure, which do not know each other. Entering is one step under one lock: the request is
//! counted, the fence is read and the known-pair cache is asked, so that no erasure can slip in between. Shards are
//! chosen by tag, so a customer's requests on all workers meet in one place and two customers hardly ever do.

mod fence;
mod known;
mod person;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::fence::{Drain, Fence, Fenced, Watch};
use self::known::{Known, TagMap};
use self::person::Person;
use crate::domain::{PairKey, Tag, UnixSeconds, UpstreamNumber};

/// A power of two; enough that workers rarely meet at a lock.
const SHARDS: usize = 64;

struct Shard {
    people: TagMap<Person>,
    known: Known,
}

impl Shard {
    fn forget_if_over(&mut self, tag: Tag) {
        if self.people.get(&tag).is_some_and(Person::is_over) {
            self.people.remove(&tag);
        }
    }
}

/// The barrier. Shared by all workers and the eraser.
pub struct Barrier {
    shards: Box<[Mutex<Shard>; SHARDS]>,
    lease_s: u64,
    /// In milliseconds.
    straggle: AtomicU64,
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

/// A request that has entered.
#[derive(Debug)]
pub struct Entered {
    /// Its place among those on their way.
    pub passage: Passage,
    /// Is its row durable and fresh already?
    pub known: bool,
}

impl Barrier {
    /// `cache_entries` bounds the known-pair cache; `lease` is how long one of its entries may be believed; `straggle`
    /// is how long the data of an exchange that was cut may still be stored by an upstream (`response_timeout`).
    #[must_use]
    pub fn new(cache_entries: usize, lease: Duration, straggle: Duration) -> Arc<Self> {
        let shard = |_| Mutex::new(Shard { people: TagMap::default(), known: Known::new(cache_entries / SHARDS) });
        let shards = Box::new(std::array::from_fn(shard));
        let barrier = Arc::new(Self { shards, lease_s: lease.as_secs(), straggle: AtomicU64::new(0) });
        barrier.set_straggle(straggle);
        barrier
    }

    /// For exchanges that are cut from now on.
    pub fn set_straggle(&self, straggle: Duration) {
        self.straggle.store(u64::try_from(straggle.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn straggle(&self) -> Duration {
        Duration::from_millis(self.straggle.load(Relaxed))
    }

    /// One atomic step: the request is counted as on its way, unless a fence keeps it out.
    ///
    /// # Errors
    /// [`Fenced`] while the customer is being erased there; wait for it to move and try again.
    pub fn enter(self: &Arc<Self>, key: &PairKey, now: UnixSeconds) -> Result<Entered, Fenced> {
        let mut shard = self.shard(key.tag).lock();
        let Shard { people, known } = &mut *shard;
        let person = people.entry(key.tag).or_default();
        if let Some(fence) = person.blocking_fence(key.upstream) {
            return Err(Fenced::behind(fence));
        }
        let is_known = known.is_fresh(key, now, self.lease_s);
        let flight = person.flight(key.upstream);
        flight.entries = flight.entries.wrapping_add(1);
        let stage = if is_known { Stage::Recorded } else { Stage::Recording };
        match stage {
            Stage::Recording => flight.recording += 1,
            Stage::Recorded | Stage::Forwarded => flight.on_the_way += 1,
        }
        let fences_ever = person.fences_ever;
        drop(shard);
        let passage = Passage { barrier: Arc::clone(self), key: *key, stage, fences_ever };
        Ok(Entered { passage, known: is_known })
    }

    /// Keeps new requests of this customer out everywhere, and makes the cache forget the customer.
    #[must_use]
    pub fn fence(self: &Arc<Self>, tag: Tag) -> Fence {
        Fence::raise(self, tag)
    }

    /// Begins to watch for requests of this customer to this upstream.
    #[must_use]
    pub fn watch(self: &Arc<Self>, tag: Tag, upstream: UpstreamNumber) -> Watch {
        Watch::begin(self, tag, upstream)
    }

    /// Forgets stragglers whose time is over. Called now and then, so that cut exchanges cost bounded memory.
    pub fn prune(&self) {
        let now = Instant::now();
        for shard in self.shards.iter() {
            shard.lock().people.retain(|_, person| {
                for flight in &mut person.flights {
                    flight.stragglers_until = flight.stragglers_until.filter(|until| *until > now);
                }
                !person.is_over()
            });
        }
    }

    /// May the data of an exchange that was cut still be stored somewhere?
    #[must_use]
    pub fn is_straggling(&self) -> bool {
        let now = Instant::now();
        let late = |person: &Person| {
            person.flights.iter().any(|flight| flight.stragglers_until.is_some_and(|until| until > now))
        };
        self.shards.iter().any(|shard| shard.lock().people.values().any(late))
    }

    fn shard(&self, tag: Tag) -> &Mutex<Shard> {
        let [.., last] = tag.0;
        self.shards.get(usize::from(last) % SHARDS).expect("the remainder is below the number of shards")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Recording,
    Recorded,
    Forwarded,
}

/// A request's place among those on their way. Dropping it counts the request out; if its bytes had left and its end
/// was not seen, what it carried counts as a straggler for as long as the upstream may still store it.
#[derive(Debug)]
pub struct Passage {
    barrier: Arc<Barrier>,
    key: PairKey,
    stage: Stage,
    fences_ever: u32,
}

impl Passage {
    /// The row is durable now. The cache learns it, unless an erasure has begun since the request entered.
    pub fn recorded(&mut self, now: UnixSeconds) {
        if self.stage != Stage::Recording {
            return;
        }
        self.stage = Stage::Recorded;
        let mut shard = self.barrier.shard(self.key.tag).lock();
        let Shard { people, known } = &mut *shard;
        let Some(person) = people.get_mut(&self.key.tag) else { return };
        let flight = person.flight(self.key.upstream);
        flight.recording -= 1;
        flight.on_the_way += 1;
        if person.fences_ever == self.fences_ever {
            known.learn(&self.key, now);
        }
        person.ring();
    }

    /// From now on bytes of the request may be at the upstream.
    pub fn forwarded(&mut self) {
        self.stage = Stage::Forwarded;
    }

    /// Is its customer being erased where it goes to?
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let shard = self.barrier.shard(self.key.tag).lock();
        let fence = shard.people.get(&self.key.tag).and_then(|person| person.blocking_fence(self.key.upstream));
        fence.is_some()
    }

    /// Provably nothing of it was sent after all.
    pub fn unsent(&mut self) {
        if self.stage == Stage::Forwarded {
            self.stage = Stage::Recorded;
        }
    }

    /// The exchange has really ended.
    pub fn ended(mut self) {
        self.stage = match self.stage {
            Stage::Recording => Stage::Recording,
            Stage::Recorded | Stage::Forwarded => Stage::Recorded,
        };
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut shard = self.barrier.shard(self.key.tag).lock();
        let Some(person) = shard.people.get_mut(&self.key.tag) else { return };
        let flight = person.flight(self.key.upstream);
        match self.stage {
            Stage::Recording => flight.recording -= 1,
            Stage::Recorded => flight.on_the_way -= 1,
            Stage::Forwarded => {
                flight.on_the_way -= 1;
                let until = Instant::now() + self.barrier.straggle();
                flight.stragglers_until = flight.stragglers_until.max(Some(until));
            }
        }
        person.ring();
        shard.forget_if_over(self.key.tag);
    }
}
