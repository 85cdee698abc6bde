//! Which generation began here with which fence, wherever that was raised: an erasure that goes on elsewhere, or later, asks
//! for what had entered before its own. Bounded: of what was forgotten, more is waited for than need be.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::domain::Tag;
use crate::inflight::Generation;

/// Customers that are remembered.
const CUSTOMERS_MAX: usize = 65_536;

/// Fences of one customer that are remembered.
const FENCES_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<Tag, SmallVec<[(u64, Generation); 2]>>);

impl Numbers {
    pub(super) fn note(&mut self, tag: Tag, number: u64, generation: Generation) {
        if self.0.len() >= CUSTOMERS_MAX && !self.0.contains_key(&tag) {
            self.0.clear();
        }
        let all = self.0.entry(tag).or_default();
        if all.iter().any(|(known, _)| *known == number) {
            return;
        }
        if all.len() >= FENCES_MAX {
            all.remove(0);
        }
        all.push((number, generation));
    }

    pub(super) fn of(&self, tag: Tag, number: u64) -> Option<Generation> {
        let known = self.0.get(&tag)?.iter().find(|(known, _)| *known == number);
        known.map(|(_, generation)| *generation)
    }
}
