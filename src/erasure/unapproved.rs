//! Requests that have joined erasures which wait for approval: nobody has proved their authority, and each is kept with
//! its erasure. Whether there is room is asked before it is known whom a request is about: the answer tells nothing (P10).

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

/// For all erasures together, in one run. What an erasure is asked for in so many ways is written with it each time.
const JOINED_MAX: usize = 256;

/// How many have joined which erasure.
#[derive(Debug, Default)]
pub(super) struct Unapproved(Mutex<HashMap<Uuid, usize>>);

impl Unapproved {
    /// Whether as many have joined as may.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().values().sum::<usize>() >= JOINED_MAX
    }

    /// One more has joined.
    pub(super) fn joined(&self, id: Uuid) {
        *self.0.lock().entry(id).or_default() += 1;
    }

    /// A person has decided.
    pub(super) fn decided(&self, id: Uuid) {
        self.0.lock().remove(&id);
    }
}
