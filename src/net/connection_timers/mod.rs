//! What a worker knows of one client connection: with every tick it ends those that stand still, without a timer each.
//!
//! Times are those of the worker's last tick: what is measured here is measured in tenths of seconds and more. What becomes of
//! a connection is `State`'s to say; here are its clock and whom to wake. See docs/decisions/005-timeouts.md.

mod state;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use self::state::{End, Phase, State, Wake};
use crate::config::Limits;

/// What a worker knows of one connection.
#[derive(Debug)]
pub struct ConnectionTimers {
    now: Rc<Cell<Instant>>,
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

impl ConnectionTimers {
    /// A connection that was just accepted; `now` is the worker's.
    #[must_use]
    pub fn new(now: &Rc<Cell<Instant>>) -> Rc<Self> {
        Rc::new(Self { now: Rc::clone(now), state: Cell::new(State::new(now.get())), waker: RefCell::new(None) })
    }

    fn change<T>(&self, transition: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.state.get();
        let given = transition(&mut state, self.now.get());
        self.state.set(state);
        given
    }

    fn enter(&self, phase: Phase) {
        self.change(|state, now| state.enter(phase, now));
    }

    /// A first request is waited for, unless it has begun.
    pub fn fresh(&self) {
        self.change(State::fresh);
    }

    /// Nothing is going on.
    pub fn idle(&self) {
        self.enter(Phase::Idle);
    }

    /// The first byte of a head has come. It has so long from here, however its bytes are spread; a first head from when
    /// it was waited for.
    pub fn head_began(&self) {
        self.change(State::head_began);
    }

    /// A request is being handled.
    pub fn request(&self) {
        self.enter(Phase::REQUEST);
    }

    /// A tunnel is open in which nothing is understood. Its task is woken with every tick.
    pub fn tunnel(&self) {
        self.enter(Phase::Tunnel);
    }

    /// A WebSocket is open. Its task is woken with every tick, and ends it itself: it has something to say before.
    pub fn websocket(&self) {
        self.enter(Phase::WEBSOCKET);
    }

    /// Whether nothing has moved in the WebSocket for too long.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.state.get().is_quiet()
    }

    /// The caller says nothing more, and may still read. Its task is woken with every tick from here on.
    pub fn half_closed(&self) {
        self.change(State::half_closed);
    }

    /// For how long the caller has said that it says nothing more.
    #[must_use]
    pub fn half_closed_for(&self) -> Option<Duration> {
        self.state.get().half_closed.map(|since| self.now.get().saturating_duration_since(since))
    }

    /// What still comes is thrown away.
    pub fn linger(&self) {
        self.enter(Phase::Lingering);
    }

    /// Something came or went.
    pub fn moved(&self) {
        self.change(State::moved);
    }

    /// The caller has sent or taken so many bytes of a body: enough of them and it has moved.
    pub fn carried(&self, bytes: usize) {
        self.change(|state, _| state.carried(bytes as u64));
    }

    /// Whether a body waits for its sender or its reader.
    pub fn body_waits(&self, waits: bool) {
        self.change(|state, _| state.body_waits(waits));
    }

    /// The body of this request may stand still for so long, and not as long as the limits say.
    pub fn may_stall(&self, time: Option<Duration>) {
        self.change(|state, _| state.may_stall(time));
    }

    /// Whether the caller is waited for.
    #[must_use]
    pub const fn is_body_waiting(&self) -> bool {
        self.state.get().is_body_waiting()
    }

    /// The service must have answered by then.
    pub fn due_at(&self, due: Instant) {
        self.change(|state, _| state.due_at(due));
    }

    /// The peers have so long from now; what was said before holds.
    pub fn due_once(&self, time: Duration) {
        self.change(|state, now| state.due_once(now + time));
    }

    /// The service has answered.
    pub fn answered(&self) {
        self.change(|state, _| state.answered());
    }

    /// Whether the service has not answered in time.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.state.get().is_late()
    }

    /// Looks at the time. To be called with every tick.
    pub fn look(&self, limits: &Limits) {
        if self.change(|state, now| state.tick(now, limits)) == Wake::Yes {
            self.wake();
        }
    }

    /// No further request; what is being handled is finished.
    pub fn drain(&self) {
        self.change(|state, _| state.draining = true);
        self.wake();
    }

    /// Whether this is the connection's end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.state.get().is_ending()
    }

    /// The protocol ends the connection itself from here on: HTTP/2 sends GOAWAY first.
    pub fn see_to_end(&self) {
        self.change(|state, _| state.sees_to_end = true);
    }

    /// Whether this is the end, with nothing more to be said.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        let state = self.state.get();
        state.is_ending() && !state.sees_to_end
    }

    /// Whether it was ended, and not only told to finish.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        !matches!(self.state.get().end, End::Open)
    }

    /// Whether it ended because a body stood still. What the caller has not read of an answer is not kept for it then.
    #[must_use]
    pub const fn has_stalled(&self) -> bool {
        matches!(self.state.get().end, End::Stalled)
    }

    /// The peer has taken its request back. What goes on all the same is not for it.
    pub fn leave(&self) {
        self.change(|state, _| state.left = true);
        self.wake();
    }

    /// Whether the peer has taken its request back.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.state.get().left
    }

    /// Whether there is to be no further request.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.state.get().draining
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
