//! One shard: the customers for whom something is going on, and its share of the known-pair cache.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use tokio::time::Instant;

use super::Generation;
use super::customer::{CustomerState, Stragglers};
use super::guard::Stage;
use super::pair_cache::{PairCache, TagMap};
use crate::domain::{PairKey, Tag, UpstreamNumber};

/// Customers who are kept in mind for their cut exchanges alone. Beyond these, what is cut counts for every customer of
/// the shard at that upstream: erasures may wait longer for it, and memory stays bounded.
const STRAGGLING_MAX: usize = 1024;

/// A shard's contents.
pub(super) struct Shard {
    pub(super) people: TagMap<CustomerState>,
    pub(super) known: PairCache,
    /// The generation of the last fence. A customer who was forgotten and comes back goes on from here.
    generation: Generation,
    /// Straggling customers since the last pruning, counted once a cut.
    straggling: usize,
    crowd: BTreeMap<UpstreamNumber, Stragglers>,
}

impl Shard {
    pub(super) fn new(cache_entries: usize) -> Self {
        Self {
            people: TagMap::default(),
            known: PairCache::new(cache_entries),
            generation: Generation(1),
            straggling: 0,
            crowd: BTreeMap::new(),
        }
    }

    /// The customer, kept in mind from now on.
    pub(super) fn person(&mut self, tag: Tag) -> &mut CustomerState {
        let generation = self.generation;
        self.people.entry(tag).or_insert_with(|| CustomerState::new(generation))
    }

    /// A request is counted out.
    pub(super) fn leaves(&mut self, key: &PairKey, generation: Generation, stage: Stage) {
        let mut person = match self.people.entry(key.tag) {
            Entry::Occupied(person) => person,
            Entry::Vacant(new) => new.insert_entry(CustomerState::new(self.generation)),
        };
        person.get_mut().flight(key.upstream).moved(generation, stage, None);
        person.get().ring();
        if person.get().is_over() {
            person.remove();
        }
    }

    pub(super) fn forget_if_over(&mut self, tag: Tag) {
        if self.people.get(&tag).is_some_and(CustomerState::is_over) {
            self.people.remove(&tag);
        }
    }

    /// The cache forgets the customer, and a new generation begins: gives it.
    pub(super) fn forget_all_of(&mut self, tag: Tag) -> Generation {
        self.known.evict(tag);
        self.generation = Generation(self.generation.0 + 1);
        let generation = self.generation;
        self.person(tag).generation = generation;
        generation
    }

    /// The cache forgets everybody, and what is being recorded teaches it nothing.
    pub(super) fn forget_everybody(&mut self) {
        self.known.clear();
        self.generation = Generation(self.generation.0 + 1);
        let generation = self.generation;
        self.people.values_mut().for_each(|person| person.generation = generation);
    }

    /// An exchange was cut: what it carried may still be stored until then.
    pub(super) fn straggles(&mut self, key: &PairKey, generation: Generation, until: Instant) {
        if self.straggling < STRAGGLING_MAX {
            self.straggling += 1;
            self.person(key.tag).flight(key.upstream).stragglers.add(generation, until);
        } else {
            self.crowd.entry(key.upstream).or_default().add(generation, until);
        }
    }

    /// Until when something may arrive at this upstream that is not remembered by its customer.
    pub(super) fn crowd(&self, upstream: UpstreamNumber, before: Generation, now: Instant) -> Option<Instant> {
        self.crowd.get(&upstream).and_then(|stragglers| stragglers.until(before, now))
    }

    pub(super) fn prune(&mut self, now: Instant) {
        self.crowd.retain(|_, stragglers| {
            stragglers.prune(now);
            !stragglers.is_empty()
        });
        let mut straggling = 0;
        self.people.retain(|_, person| {
            person.rests_until = person.rests_until.filter(|until| now < *until);
            for flight in &mut person.flights {
                flight.stragglers.prune(now);
                straggling += usize::from(!flight.stragglers.is_empty());
            }
            !person.is_over()
        });
        self.straggling = straggling;
    }

    pub(super) fn is_straggling(&self, now: Instant) -> bool {
        let late = |person: &CustomerState| person.flights.iter().any(|flight| flight.stragglers.any(now));
        self.crowd.values().any(|stragglers| stragglers.any(now)) || self.people.values().any(late)
    }
}
