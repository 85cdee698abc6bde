//! The bounded queue in front of an engine's thread, and the gate at its mouth. Taken from by waiting or in a task.
//!
//! Whatever is taken out, refused or thrown away answers by itself: a work that is dropped tells its asker that the store
//! is broken. So a failure is one `clear`, and nobody is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::StoreError;

/// Something to do, which has a size.
pub(super) trait Work: Send {
    /// Bytes that it will write, roughly; 0 for a reader.
    fn bytes(&self) -> usize;
}

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) works: usize,
    pub(super) bytes: usize,
}

/// Why nothing is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The engine failed and is not open again yet.
    Broken,
    /// A batch does not come to its end.
    Stalled,
}

struct State<W> {
    works: VecDeque<W>,
    bytes: usize,
    broken: bool,
    stalled: bool,
    closed: bool,
}

/// What there is to take.
enum Taken<W> {
    Works(Vec<W>),
    Nothing,
    Closed,
}

impl<W: Work> State<W> {
    fn take(&mut self, works_max: usize, bytes_max: usize) -> Taken<W> {
        if self.works.is_empty() {
            return if self.closed { Taken::Closed } else { Taken::Nothing };
        }
        let mut bytes = 0;
        let fits = |work: &&W| {
            bytes += work.bytes();
            bytes <= bytes_max
        };
        // The first is taken whatever its size.
        let count = self.works.iter().take(works_max).take_while(fits).count().max(1);
        let works: Vec<W> = self.works.drain(..count).collect();
        self.bytes -= works.iter().map(Work::bytes).sum::<usize>();
        Taken::Works(works)
    }
}

impl<W> State<W> {
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

pub(super) struct Queue<W> {
    state: Mutex<State<W>>,
    /// For the writer alone, if it is a thread: something was put in line, or the queue was closed.
    arrived: Condvar,
    /// The same for a task.
    bell: Notify,
    /// For all who pause: the queue was closed.
    closed: Condvar,
    bound: Bound,
}

impl<W: Work> Queue<W> {
    pub(super) fn new(bound: Bound) -> Self {
        let state = State { works: VecDeque::new(), bytes: 0, broken: false, stalled: false, closed: false };
        let (state, arrived, closed) = (Mutex::new(state), Condvar::new(), Condvar::new());
        Self { state, arrived, bell: Notify::new(), closed, bound }
    }

    /// Puts a work in line.
    pub(super) fn push(&self, work: W) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if !state.is_open() {
            return Err(StoreError::Broken);
        }
        let bytes = state.bytes.saturating_add(work.bytes());
        // What is alone is let in whatever its size.
        if state.works.len() >= self.bound.works || (bytes > self.bound.bytes && !state.works.is_empty()) {
            return Err(StoreError::Overloaded);
        }
        state.works.push_back(work);
        state.bytes = bytes;
        let was_empty = state.works.len() == 1;
        drop(state);
        if was_empty {
            self.arrived.notify_one();
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Waits until something is there and takes as much as fits one batch, in order. `None` once the queue is closed and
    /// everything before that has been taken.
    pub(super) fn take(&self, works_max: usize, bytes_max: usize) -> Option<Vec<W>> {
        let mut state = self.state.lock();
        loop {
            match state.take(works_max, bytes_max) {
                Taken::Works(works) => return Some(works),
                Taken::Closed => return None,
                Taken::Nothing => self.arrived.wait(&mut state),
            }
        }
    }

    /// The same for a task. Nothing is lost where the future is dropped.
    pub(super) async fn taken(&self, works_max: usize, bytes_max: usize) -> Option<Vec<W>> {
        loop {
            let taken = self.state.lock().take(works_max, bytes_max);
            match taken {
                Taken::Works(works) => return Some(works),
                Taken::Closed => return None,
                Taken::Nothing => self.bell.notified().await,
            }
        }
    }

    /// Throws away what waits, and lets nothing in until this reason and any other have been lifted.
    pub(super) fn refuse(&self, refusal: Refusal) {
        let thrown_away = {
            let mut state = self.state.lock();
            state.set(refusal, true);
            state.bytes = 0;
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
        self.bell.notify_one();
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
