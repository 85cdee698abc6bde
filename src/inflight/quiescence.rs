//! Observes one customer's requests at one upstream, without keeping any out.

use std::sync::Arc;

use tokio::time::Instant;

use super::fence::until;
use super::{Generation, Inflight};
use crate::domain::{Tag, UpstreamNumber};

/// Sees whether anything labelled with one customer's ID is on its way to one upstream, from its making on.
#[derive(Debug)]
pub struct QuiescenceProbe {
    inflight: Arc<Inflight>,
    tag: Tag,
    upstream: UpstreamNumber,
    /// The customer's at the beginning.
    generation: Generation,
    /// The number of entries at the beginning; `None` if it was not quiet even then.
    entries: Option<u64>,
}

impl QuiescenceProbe {
    pub(super) fn begin(inflight: &Arc<Inflight>, tag: Tag, upstream: UpstreamNumber) -> Self {
        let now = Instant::now();
        let mut shard = inflight.shard(tag).lock();
        let crowd = shard.crowd(upstream, Generation::LAST, now).is_some();
        let person = shard.person(tag);
        person.pins += 1;
        let generation = person.generation;
        let flight = person.flight(upstream);
        let quiet = flight.is_quiet() && !flight.stragglers.any(now) && !crowd;
        let entries = quiet.then_some(flight.entries);
        drop(shard);
        Self { inflight: Arc::clone(inflight), tag, upstream, generation, entries }
    }

    /// In which generation of the customer the watch began: before each fence of a later one.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether nothing has been on its way there since the watch began.
    #[must_use]
    pub fn quiet(&self) -> bool {
        let shard = self.inflight.shard(self.tag).lock();
        let flight = shard.people.get(&self.tag).and_then(|person| person.existing_flight(self.upstream));
        self.entries.is_some() && flight.map(|flight| flight.entries) == self.entries
    }

    /// Waits until nothing is on its way there that entered before this generation.
    pub async fn gone(&self, before: Generation) {
        until(&self.inflight, self.tag, |person| {
            let flight = person.existing_flight(self.upstream);
            flight.is_none_or(|flight| !flight.has_before(before)).then_some(())
        })
        .await;
    }
}

impl Drop for QuiescenceProbe {
    fn drop(&mut self) {
        let mut shard = self.inflight.shard(self.tag).lock();
        if let Some(person) = shard.people.get_mut(&self.tag) {
            person.pins -= 1;
        }
        shard.forget_if_over(self.tag);
    }
}
