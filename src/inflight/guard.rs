//! A request that has entered: it counts as under way until its passage is dropped.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Generation, Inflight, Tick};
use crate::domain::{Apis, PairKey};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its row is not known to be durable yet.
    Recording,
    /// It is, and nothing of the request has been sent.
    Recorded,
    /// Bytes of it may be at the upstream.
    Forwarded,
}

/// A request's place among those on their way. Dropping it counts the request out; if its bytes had left and its end
/// was not seen, what it carried counts as a straggler for as long as the upstream may still store it.
#[derive(Debug)]
pub struct RequestGuard {
    inflight: Arc<Inflight>,
    key: PairKey,
    apis: Apis,
    stage: Stage,
    generation: Generation,
    entered: Tick,
    /// In which run of the lease, and after how many gaps in it.
    run: u32,
    gaps: u32,
}

impl RequestGuard {
    pub(super) fn new(
        inflight: &Arc<Inflight>,
        (key, apis): (&PairKey, Apis),
        stage: Stage,
        generation: Generation,
        (entered, run, gaps): (Tick, u32, u32),
    ) -> Self {
        Self { inflight: Arc::clone(inflight), key: *key, apis, stage, generation, entered, run, gaps }
    }

    /// The row is durable now. The cache learns it, for a lease from the request's entry, unless an erasure has begun
    /// since then. `false`: meanwhile there was no word from the other gates, so that an erasure may have read the rows without
    /// this one; nothing may be sent.
    pub fn recorded(&mut self) -> bool {
        if self.stage != Stage::Recording {
            return true;
        }
        if !self.inflight.was_open_since(self.gaps) {
            return false;
        }
        self.stage = Stage::Recorded;
        let mut shard = self.inflight.shard(self.key.tag).lock();
        let person = shard.person(self.key.tag);
        person.flight(self.key.upstream).moved(self.generation, Stage::Recording, Some(Stage::Recorded));
        person.ring();
        if person.generation == self.generation {
            shard.known.learn(&self.key, self.apis, self.entered);
        }
        true
    }

    /// From now on bytes of the request may be at the upstream.
    pub fn forwarded(&mut self) {
        self.stage = Stage::Forwarded;
    }

    /// Whether it may send anything, or more, now. Where it may not, the other gates have stopped waiting for it.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        self.inflight.goes_on(self.run)
    }

    /// Whether its customer is being erased at its upstream.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        let shard = self.inflight.shard(self.key.tag).lock();
        let person = shard.people.get(&self.key.tag);
        person.and_then(|person| person.blocking_fence(self.key.upstream, Instant::now())).is_some()
    }

    /// Provably nothing of it was sent after all.
    pub fn unsent(&mut self) {
        if self.stage == Stage::Forwarded {
            self.stage = Stage::Recorded;
        }
    }

    /// The exchange has really ended.
    pub fn ended(mut self) {
        self.unsent();
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut shard = self.inflight.shard(self.key.tag).lock();
        if self.stage == Stage::Forwarded {
            let until = Instant::now() + self.inflight.straggle();
            shard.straggles(&self.key, self.generation, until);
        }
        shard.leaves(&self.key, self.generation, self.stage);
    }
}
