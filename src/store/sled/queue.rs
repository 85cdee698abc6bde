//! The bounded queue in front of the writer thread, and the gate at its mouth.
//!
//! Whatever is taken out, refused or thrown away answers by itself: a work that is dropped tells its asker that the store
//! is broken. So a failure is one `clear`, and nobody is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::tables::{TableError, Tables};
use crate::store::StoreError;

/// Tells the asker how it went; dropped without being called, it tells that the store is broken.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// Does something to the tables.
pub(super) type Apply = Box<dyn FnOnce(&mut Tables) -> Result<Answer, TableError> + Send>;

/// One thing to do with the tables, and how much it will write.
pub(super) struct Work {
    /// Bytes that it will write, roughly; 0 for a reader.
    pub(super) bytes: usize,
    /// Does it. An error breaks the engine.
    pub(super) apply: Apply,
}

/// Why nothing is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The engine failed and is not open again yet.
    Broken,
    /// A batch does not come to its end.
    Stalled,
}

#[derive(Default)]
struct State {
    works: VecDeque<Work>,
    broken: bool,
    stalled: bool,
    closed: bool,
}

impl State {
    fn is_open(&self) -> bool {
        !(self.broken || self.stalled || self.closed)
    }

    fn set(&mut self, refusal: Refusal, refused: bool) {
        match refusal {
            Refusal::Broken => self.broken = refused,
            Refusal::Stalled => self.stalled = refused,
        }
    }
}

pub(super) struct Queue {
    state: Mutex<State>,
    /// For the writer alone: something was put in line, or the queue was closed.
    arrived: Condvar,
    /// For all who pause: the queue was closed.
    closed: Condvar,
    bound: usize,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), closed: Condvar::new(), bound }
    }

    /// Puts a work in line.
    pub(super) fn push(&self, work: Work) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if !state.is_open() {
            return Err(StoreError::Broken);
        }
        if state.works.len() >= self.bound {
            return Err(StoreError::Overloaded);
        }
        state.works.push_back(work);
        let was_empty = state.works.len() == 1;
        drop(state);
        if was_empty {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits until something is there and takes as much as fits one batch, in order. `None` once the queue is closed and
    /// everything before that has been taken.
    pub(super) fn take(&self, works_max: usize, bytes_max: usize) -> Option<Vec<Work>> {
        let mut state = self.state.lock();
        while state.works.is_empty() {
            if state.closed {
                return None;
            }
            self.arrived.wait(&mut state);
        }
        let mut bytes = 0;
        let fits = |work: &&Work| {
            bytes += work.bytes;
            bytes <= bytes_max
        };
        // The first is taken whatever its size.
        let count = state.works.iter().take(works_max).take_while(fits).count().max(1);
        Some(state.works.drain(..count).collect())
    }

    /// Throws away what waits, and lets nothing in until this reason and any other have been lifted.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let thrown_away = {
            let mut state = self.state.lock();
            state.set(refusal, true);
            std::mem::take(&mut state.works)
        };
        drop(thrown_away);
    }

    /// Lifts one reason for refusing.
    pub(super) fn accept(&self, refusal: Refusal) {
        self.state.lock().set(refusal, false);
    }

    /// Lets nothing in any more; what is in line is still taken.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_one();
        self.closed.notify_all();
    }

    /// Waits for `pause` or the end, and says whether it is the end.
    pub(super) fn closed_within(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        self.closed.wait_while_for(&mut state, |state| !state.closed, pause);
        state.closed
    }

    /// Whether something may be put in line at this moment.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().is_open()
    }
}
