//! A worker's registry of its connections and of the streams on them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::time::Instant;

use crate::net::ConnectionTimers;

/// Who has a clock on this worker. Clones are the same books.
#[derive(Clone, Debug)]
pub(super) struct Books {
    now: Rc<Cell<Instant>>,
    watches: Watches,
    next: Rc<Cell<u64>>,
    /// The listener whose connections are entered.
    listener: u64,
}

/// Each with the number of the listener that it came in by.
type Watches = Rc<RefCell<HashMap<u64, (u64, Rc<ConnectionTimers>)>>>;

/// An entry: it leaves the books when this is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    number: u64,
    watches: Watches,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.watches.borrow_mut().remove(&self.number);
    }
}

impl Books {
    pub(super) fn new() -> Self {
        Self { now: Rc::new(Cell::new(Instant::now())), watches: Rc::default(), next: Rc::default(), listener: 0 }
    }

    /// The same books, for what comes in by this listener.
    pub(super) fn of(&self, listener: u64) -> Self {
        Self { listener, ..self.clone() }
    }

    /// One more.
    pub(super) fn enter(&self) -> (Rc<ConnectionTimers>, Entered) {
        let watch = ConnectionTimers::new(&self.now);
        let number = self.next.replace(self.next.get() + 1);
        self.watches.borrow_mut().insert(number, (self.listener, Rc::clone(&watch)));
        (watch, Entered { number, watches: Rc::clone(&self.watches) })
    }

    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    pub(super) fn each(&self, mut act: impl FnMut(u64, &ConnectionTimers)) {
        self.watches.borrow().values().for_each(|(listener, watch)| act(*listener, watch));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches.borrow().is_empty()
    }
}
