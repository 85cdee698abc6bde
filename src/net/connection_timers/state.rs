//! What a connection is busy with, and what its clocks say of that: a state machine without a socket and without a clock of its own.
//!
//! A phase has what only it needs, and nothing of it reaches the next one. Each transition is a method: the table of all of
//! them is in the tests. An event that means nothing in a phase changes nothing there.

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
pub(super) enum Phase {
    /// What comes before HTTP is going on, by clocks of its own.
    Arriving,
    /// Nothing of a first request has come.
    Fresh,
    /// Nothing of a next request has come.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being handled.
    Request {
        /// Until when the service behind the gate must have answered.
        due: Due,
        /// How long the body of this request may stand still, where its upstream says so itself.
        stall: Option<Duration>,
        /// Bytes that the caller has sent or taken since it last moved.
        carried: u64,
        /// Whether a body is waited for, or the peer's reading of one.
        body_waits: bool,
    },
    /// A tunnel is open in which nothing is understood.
    Tunnel,
    /// A WebSocket is open.
    WebSocket {
        /// Until when the peers must have said goodbye.
        due: Due,
        /// Whether nothing has moved in it for too long.
        quiet: bool,
    },
    /// What still comes is thrown away.
    Lingering,
}

/// What the other side must have done by some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// It has until then.
    By(Instant),
    /// It did not.
    Late,
}

/// Whether the connection was ended by a clock. It is never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was not.
    Open,
    /// It was.
    Closing,
    /// It was, because a body stood still.
    Stalled,
}

/// Whether the connection's task is to look again.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    No,
    Yes,
}

/// A connection's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// When something last came or went, or the phase began. Each phase has a clock, and a first head that of the wait for it.
    pub(super) moved: Instant,
    /// Since when it is known that the caller says nothing more: true of its socket, whatever the phase.
    pub(super) half_closed: Option<Instant>,
    pub(super) end: End,
    /// Whether there is to be no further request: so whatever is going on now.
    pub(super) draining: bool,
    /// Whether the protocol ends the connection itself: HTTP/2 does so from its preface to its end.
    pub(super) sees_to_end: bool,
    /// Whether the peer has taken its request back: what the gate goes on with afterwards is not for it, in any phase.
    pub(super) left: bool,
}

impl Phase {
    pub(super) const REQUEST: Self = Self::Request { due: Due::Nothing, stall: None, carried: 0, body_waits: false };
    pub(super) const WEBSOCKET: Self = Self::WebSocket { due: Due::Nothing, quiet: false };

    const fn due_mut(&mut self) -> Option<&mut Due> {
        match self {
            Self::Request { due, .. } | Self::WebSocket { due, .. } => Some(due),
            Self::Arriving | Self::Fresh | Self::Idle | Self::Head | Self::Tunnel | Self::Lingering => None,
        }
    }
}

impl State {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Arriving,
            moved: now,
            half_closed: None,
            end: End::Open,
            draining: false,
            sees_to_end: false,
            left: false,
        }
    }

    pub(super) const fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.moved) = (phase, now);
    }

    pub(super) fn fresh(&mut self, now: Instant) {
        if self.phase != Phase::Head {
            self.enter(Phase::Fresh, now);
        }
    }

    pub(super) const fn head_began(&mut self, now: Instant) {
        match self.phase {
            Phase::Arriving | Phase::Idle => self.enter(Phase::Head, now),
            Phase::Fresh => self.phase = Phase::Head,
            Phase::Head | Phase::Request { .. } | Phase::Tunnel | Phase::WebSocket { .. } | Phase::Lingering => {}
        }
    }

    pub(super) const fn moved(&mut self, now: Instant) {
        self.moved = now;
        if let Phase::Request { carried, .. } = &mut self.phase {
            *carried = 0;
        }
    }

    pub(super) const fn carried(&mut self, bytes: u64) {
        if let Phase::Request { carried, .. } = &mut self.phase {
            *carried = carried.saturating_add(bytes);
        }
    }

    pub(super) const fn body_waits(&mut self, waits: bool) {
        if let Phase::Request { body_waits, .. } = &mut self.phase {
            *body_waits = waits;
        }
    }

    pub(super) const fn may_stall(&mut self, time: Option<Duration>) {
        if let Phase::Request { stall, .. } = &mut self.phase {
            *stall = time;
        }
    }

    pub(super) const fn due_at(&mut self, time: Instant) {
        if let Some(due) = self.phase.due_mut() {
            *due = Due::By(time);
        }
    }

    /// What was said before holds, and so does that it was too late.
    pub(super) const fn due_once(&mut self, time: Instant) {
        if let Some(due @ Due::Nothing) = self.phase.due_mut() {
            *due = Due::By(time);
        }
    }

    pub(super) const fn answered(&mut self) {
        if let Some(due) = self.phase.due_mut() {
            *due = Due::Nothing;
        }
    }

    pub(super) fn half_closed(&mut self, now: Instant) {
        self.half_closed.get_or_insert(now);
    }

    /// The time goes on. Whoever was ended and is still there is woken again.
    pub(super) fn tick(&mut self, now: Instant, limits: &Limits) -> Wake {
        let mut wakes = self.half_closed.is_some() || matches!(self.phase, Phase::Tunnel | Phase::WebSocket { .. });
        if let Some(due) = self.phase.due_mut()
            && let Due::By(time) = *due
            && now > time
        {
            *due = Due::Late;
            wakes = true;
        }
        if self.end == End::Open && self.is_over(now, limits) {
            self.end = if matches!(self.phase, Phase::Request { .. }) { End::Stalled } else { End::Closing };
        }
        if wakes || self.end != End::Open { Wake::Yes } else { Wake::No }
    }

    /// Whether the phase has lasted for too long without anything that moved.
    fn is_over(&mut self, now: Instant, limits: &Limits) -> bool {
        let still = now.saturating_duration_since(self.moved);
        let limit = match &mut self.phase {
            Phase::Lingering if self.draining => LINGER_DRAINING,
            Phase::Lingering => LINGER,
            Phase::Arriving | Phase::Idle | Phase::Tunnel => limits.idle_timeout,
            Phase::Fresh => limits.header_timeout.min(limits.idle_timeout),
            Phase::Head => limits.header_timeout,
            Phase::Request { stall, carried, body_waits, .. } => {
                let stall = stall.unwrap_or(limits.body_stall_timeout);
                // As long as it is the service that is waited for, the caller's clock stands still.
                if !*body_waits || *carried >= enough(limits, stall) {
                    self.moved(now);
                    return false;
                }
                stall
            }
            // It has something to say before its end.
            Phase::WebSocket { quiet, .. } => {
                *quiet |= still > limits.idle_timeout;
                return false;
            }
        };
        still > limit
    }

    pub(super) const fn is_ending(&self) -> bool {
        let waits = matches!(self.phase, Phase::Arriving | Phase::Fresh | Phase::Idle);
        !matches!(self.end, End::Open) || (self.draining && waits)
    }

    pub(super) const fn is_body_waiting(&self) -> bool {
        matches!(self.phase, Phase::Request { body_waits: true, .. })
    }

    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::WebSocket { quiet: true, .. })
    }

    pub(super) const fn is_late(&self) -> bool {
        matches!(self.phase, Phase::Request { due: Due::Late, .. } | Phase::WebSocket { due: Due::Late, .. })
    }
}

/// Bytes of a body after which it has moved: what `body_rate_min` makes in `body_stall_timeout`, and at least one.
fn enough(limits: &Limits, stall: Duration) -> u64 {
    let millis = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
    (limits.body_rate_min.saturating_mul(millis) / 1000).max(1)
}
