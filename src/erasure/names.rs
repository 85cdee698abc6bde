//! Other names of erasures that are not over: one for each request that has joined, kept for as long as its erasure. Whoever may
//! ask may ask without end, so that there is a bound for each erasure. Counted in memory, for one run.

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

/// Of one erasure in one run. What comes after them is accepted under the erasure's own name.
const NAMES_MAX: usize = 256;

/// How many have joined which erasure.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<Uuid, usize>>);

impl Names {
    /// Whether as many have joined as get names of their own.
    pub(super) fn are_full(&self, id: Uuid) -> bool {
        self.0.lock().get(&id).is_some_and(|joined| *joined >= NAMES_MAX)
    }

    /// One more has got one.
    pub(super) fn given(&self, id: Uuid) {
        *self.0.lock().entry(id).or_default() += 1;
    }

    /// The erasure is over.
    pub(super) fn over(&self, id: Uuid) {
        self.0.lock().remove(&id);
    }
}
