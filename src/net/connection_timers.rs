//! What a worker knows of one client connection: with every tick it ends those that stand still, without a timer each.
//!
//! Times are those of the worker's last tick: what is measured here is measured in tenths of seconds and more.
//! See docs/decisions/005-timeouts.md.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// After a refusal, what the client still sends is read and thrown away for so long: a socket that is closed with unread
/// data in it is reset, and the client never sees the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(10);

/// The same while the gate is to end: that the answer was written is all that is still waited for.
const LINGER_DRAINING: Duration = Duration::from_millis(500);

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What comes before HTTP is going on, by clocks of its own.
    Arriving,
    /// Nothing of a first request has come.
    Fresh,
    /// Nothing of a next request has come.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being handled.
    Request,
    /// A tunnel is open in which nothing is understood.
    Tunnel,
    /// A WebSocket is open.
    WebSocket,
    /// What still comes is thrown away.
    Lingering,
}

/// What a worker knows of one connection.
#[derive(Debug)]
pub struct ConnectionTimers {
    now: Rc<Cell<Instant>>,
    phase: Cell<Phase>,
    /// When something last came or went, or the phase began.
    moved: Cell<Instant>,
    /// Bytes that the caller has sent or taken since then.
    carried: Cell<u64>,
    /// Whether a body is waited for, or the peer's reading of one.
    body_waits: Cell<bool>,
    /// How long the body of this request may stand still, where its upstream says so itself.
    stall: Cell<Option<Duration>>,
    /// When the service behind the gate must have answered.
    due: Cell<Option<Instant>>,
    late: Cell<bool>,
    draining: Cell<bool>,
    closing: Cell<bool>,
    stalled: Cell<bool>,
    /// Whether the protocol ends the connection itself.
    sees_to_end: Cell<bool>,
    left: Cell<bool>,
    /// Whether nothing has moved in a WebSocket for too long.
    quiet: Cell<bool>,
    /// Since when it is known that the caller says nothing more.
    half_closed: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl ConnectionTimers {
    /// A connection that was just accepted; `now` is the worker's.
    #[must_use]
    pub fn new(now: &Rc<Cell<Instant>>) -> Rc<Self> {
        Rc::new(Self {
            now: Rc::clone(now),
            phase: Cell::new(Phase::Arriving),
            moved: Cell::new(now.get()),
            carried: Cell::new(0),
            body_waits: Cell::new(false),
            stall: Cell::new(None),
            due: Cell::new(None),
            late: Cell::new(false),
            draining: Cell::new(false),
            closing: Cell::new(false),
            stalled: Cell::new(false),
            sees_to_end: Cell::new(false),
            left: Cell::new(false),
            quiet: Cell::new(false),
            half_closed: Cell::new(None),
            waker: RefCell::new(None),
        })
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.body_waits.set(false);
        self.stall.set(None);
        self.due.set(None);
        self.late.set(false);
        self.moved();
    }

    /// A first request is waited for, unless it has begun.
    pub fn fresh(&self) {
        if self.phase.get() != Phase::Head {
            self.enter(Phase::Fresh);
        }
    }

    /// Nothing is going on.
    pub fn idle(&self) {
        self.enter(Phase::Idle);
    }

    /// The first byte of a head has come. It has so long from here, however its bytes are spread; a first head from when
    /// it was waited for.
    pub fn head_began(&self) {
        match self.phase.get() {
            Phase::Arriving | Phase::Idle => self.enter(Phase::Head),
            Phase::Fresh => self.phase.set(Phase::Head),
            Phase::Head | Phase::Request | Phase::Tunnel | Phase::WebSocket | Phase::Lingering => {}
        }
    }

    /// A request is being handled.
    pub fn request(&self) {
        self.enter(Phase::Request);
    }

    /// A tunnel is open in which nothing is understood. Its task is woken with every tick.
    pub fn tunnel(&self) {
        self.enter(Phase::Tunnel);
    }

    /// A WebSocket is open. Its task is woken with every tick, and ends it itself: it has something to say before.
    pub fn websocket(&self) {
        self.enter(Phase::WebSocket);
    }

    /// Whether nothing has moved in the WebSocket for too long.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// The caller says nothing more, and may still read. Its task is woken with every tick from here on.
    pub fn half_closed(&self) {
        if self.half_closed.get().is_none() {
            self.half_closed.set(Some(self.now.get()));
        }
    }

    /// For how long the caller has said that it says nothing more.
    #[must_use]
    pub fn half_closed_for(&self) -> Option<Duration> {
        self.half_closed.get().map(|since| self.now.get().saturating_duration_since(since))
    }

    /// What still comes is thrown away.
    pub fn linger(&self) {
        self.enter(Phase::Lingering);
    }

    /// Something came or went.
    pub fn moved(&self) {
        self.moved.set(self.now.get());
        self.carried.set(0);
    }

    /// The caller has sent or taken so many bytes of a body: enough of them and it has moved.
    pub fn carried(&self, bytes: usize) {
        self.carried.set(self.carried.get().saturating_add(bytes as u64));
    }

    /// Whether a body waits for its sender or its reader.
    pub fn body_waits(&self, waits: bool) {
        self.body_waits.set(waits);
    }

    /// The body of this request may stand still for so long, and not as long as the limits say.
    pub fn may_stall(&self, time: Option<Duration>) {
        self.stall.set(time);
    }

    /// Whether the caller is waited for.
    #[must_use]
    pub const fn is_body_waiting(&self) -> bool {
        self.body_waits.get()
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

    /// Whether the service has not answered in time.
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
        if self.half_closed.get().is_some() {
            self.wake();
        }
        let limit = match self.phase.get() {
            Phase::Lingering if self.draining.get() => LINGER_DRAINING,
            Phase::Lingering => LINGER,
            Phase::Arriving | Phase::Idle => limits.idle_timeout,
            Phase::Fresh => limits.header_timeout.min(limits.idle_timeout),
            Phase::Tunnel => {
                self.wake();
                limits.idle_timeout
            }
            Phase::WebSocket => {
                self.quiet.set(self.quiet.get() || now.duration_since(self.moved.get()) > limits.idle_timeout);
                return self.wake();
            }
            Phase::Head => limits.header_timeout,
            Phase::Request => {
                // As long as it is the service that is waited for, the caller's clock stands still.
                let stall = self.stall.get().unwrap_or(limits.body_stall_timeout);
                if !self.body_waits.get() || self.carried.get() >= enough(limits, stall) {
                    self.moved();
                }
                stall
            }
        };
        if now.duration_since(self.moved.get()) > limit {
            self.stalled.set(self.phase.get() == Phase::Request);
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

    /// Whether this is the connection's end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let waits = matches!(self.phase.get(), Phase::Arriving | Phase::Fresh | Phase::Idle);
        self.closing.get() || (self.draining.get() && waits)
    }

    /// The protocol ends the connection itself from here on: HTTP/2 sends GOAWAY first.
    pub fn see_to_end(&self) {
        self.sees_to_end.set(true);
    }

    /// Whether this is the end, with nothing more to be said.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_ending() && !self.sees_to_end.get()
    }

    /// Whether it was ended, and not only told to finish.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether it ended because a body stood still. What the caller has not read of an answer is not kept for it then.
    #[must_use]
    pub const fn has_stalled(&self) -> bool {
        self.stalled.get()
    }

    /// The peer has taken its request back. What goes on all the same is not for it.
    pub fn leave(&self) {
        self.left.set(true);
        self.wake();
    }

    /// Whether the peer has taken its request back.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.left.get()
    }

    /// Whether there is to be no further request.
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

/// Bytes of a body after which it has moved: what `body_rate_min` makes in `body_stall_timeout`, and at least one.
fn enough(limits: &Limits, stall: Duration) -> u64 {
    let millis = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
    (limits.body_rate_min.saturating_mul(millis) / 1000).max(1)
}
