//! One lock for each name in use.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Whoever holds it is the only one.
pub(super) type Guard = OwnedMutexGuard<()>;

/// The locks.
#[derive(Debug)]
pub(super) struct Locks<K>(Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>);

/// Names beyond which those that are not in use are thrown away.
const IDLE_MAX: usize = 256;

impl<K: Eq + Hash> Locks<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) async fn lock(&self, name: K) -> Guard {
        let lock = {
            let mut all = self.0.lock();
            // Twice as many as are in use at most: so each costs the same on average.
            if all.len() >= IDLE_MAX && all.len() == all.capacity() {
                all.retain(|_, lock| lock.strong_count() > 0);
            }
            let found = all.get(&name).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                let new = Arc::default();
                all.insert(name, Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }
}
