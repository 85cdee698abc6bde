//! The gate in force on a worker. A connection asks for it with each request; a request keeps it to its end.

use std::cell::RefCell;
use std::rc::Rc;

use crate::proxy::Gate;

/// The gate in force. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Current(Rc<RefCell<Rc<Gate>>>);

impl Current {
    pub(super) fn new(gate: Rc<Gate>) -> Self {
        Self(Rc::new(RefCell::new(gate)))
    }

    /// The one for what begins now.
    pub(super) fn gate(&self) -> Rc<Gate> {
        Rc::clone(&self.0.borrow())
    }

    /// From now on it is this; gives the one before.
    pub(super) fn replace(&self, gate: Rc<Gate>) -> Rc<Gate> {
        self.0.replace(gate)
    }
}
