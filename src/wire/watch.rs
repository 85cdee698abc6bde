//! What a worker knows of one client connection: with every tick it ends those that stand still, without a timer each.
//!
//! Times are those of the worker's last tick: what is measured here is measured in tenths of seconds and more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// After a refusal, what the client still sends is read and thrown away for so long: a socket that is closed with unread
/// data in it is reset, and the client never sees the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(10);

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a next request has come.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being handled.
    Request,
    /// A WebSocket is open.
    Tunnel,
    /// What still comes is thrown away.
    Lingering,
}

/// What a worker knows of one connection.
#[derive(Debug)]
pub struct Watch {
    now: Rc<Cell<Instant>>,
    phase: Cell<Phase>,
    /// When something last came or went, or the phase began.
    moved: Cell<Instant>,
    /// Is a body waited for, or the peer's reading of one?
    body_waits: Cell<bool>,
    /// When the service behind the gate must have answered.
    due: Cell<Option<Instant>>,
    late: Cell<bool>,
    draining: Cell<bool>,
    closing: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// A connection that was just accepted; `now` is the worker's.
    #[must_use]
    pub fn new(now: &Rc<Cell<Instant>>) -> Rc<Self> {
        Rc::new(Self {
            now: Rc::clone(now),
            phase: Cell::new(Phase::Idle),
            moved: Cell::new(now.get()),
            body_waits: Cell::new(false),
            due: Cell::new(None),
            late: Cell::new(false),
            draining: Cell::new(false),
            closing: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.body_waits.set(false);
        self.due.set(None);
        self.late.set(false);
        self.moved();
    }

    /// Nothing is going on.
    pub fn idle(&self) {
        self.enter(Phase::Idle);
    }

    /// The first byte of a head has come. It has so long from here, however its bytes are spread.
    pub fn head_began(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A request is being handled.
    pub fn request(&self) {
        self.enter(Phase::Request);
    }

    /// A WebSocket is open. Its task is woken with every tick.
    pub fn tunnel(&self) {
        self.enter(Phase::Tunnel);
    }

    /// What still comes is thrown away.
    pub fn linger(&self) {
        self.enter(Phase::Lingering);
    }

    /// Something came or went.
    pub fn moved(&self) {
        self.moved.set(self.now.get());
    }

    /// Does a body wait for its sender or its reader?
    pub fn body_waits(&self, waits: bool) {
        self.body_waits.set(waits);
    }

    /// The service must have answered by then.
    pub fn due_at(&self, due: Instant) {
        self.late.set(false);
        self.due.set(Some(due));
    }

    /// The peers have so long from now; what was said before holds.
    pub fn due_once(&self, time: Duration) {
        if self.due.get().is_none() {
            self.due_at(self.now.get() + time);
        }
    }

    /// The service has answered.
    pub fn answered(&self) {
        self.late.set(false);
        self.due.set(None);
    }

    /// Has the service not answered in time?
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late.get()
    }

    /// Looks at the time. To be called with every tick.
    pub fn look(&self, limits: &Limits) {
        let now = self.now.get();
        if self.due.get().is_some_and(|due| now > due) {
            self.due.set(None);
            self.late.set(true);
            self.wake();
        }
        let limit = match self.phase.get() {
            Phase::Lingering => LINGER,
            Phase::Idle => limits.idle_timeout,
            Phase::Tunnel => {
                self.wake();
                limits.idle_timeout
            }
            Phase::Head => limits.header_timeout,
            Phase::Request if self.body_waits.get() => limits.body_stall_timeout,
            Phase::Request => return,
        };
        if now.duration_since(self.moved.get()) > limit {
            self.end();
        }
    }

    /// No further request; what is being handled is finished.
    pub fn drain(&self) {
        self.draining.set(true);
        self.wake();
    }

    /// Ends the connection now.
    pub fn end(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Is this the connection's end?
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.closing.get() || (self.draining.get() && self.phase.get() == Phase::Idle)
    }

    /// Is there to be no further request?
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Remembers whom to wake.
    pub fn woken_by(&self, waker: &Waker) {
        let mut held = self.waker.borrow_mut();
        if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }

    /// Lets the connection's task look again.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}
