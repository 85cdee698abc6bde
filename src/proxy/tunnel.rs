//! A WebSocket that was accepted: bytes pass both ways untouched, until both ends have closed.
//!
//! A stop, or an erasure of its customer where the operator wants that, ends it with a close frame between two frames.

use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::caller::{Caller, READ_AHEAD};
use super::exchange::Exchange;
use super::service::Service;
use crate::domain::websocket::{Frames, Sender};
use crate::telemetry::EndReason;
use crate::wire::Link;

/// One direction of a tunnel.
#[derive(Debug)]
struct Way {
    sender: Sender,
    frames: Frames,
    bytes: u64,
    state: WayState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayState {
    Open,
    /// A close frame of ours is the last of it; what still comes is thrown away.
    GoingAway,
    /// Its sender has closed: the last bytes are being written.
    Ending,
    Ended,
}

/// How far a tunnel has come.
#[derive(Debug)]
pub(super) struct Tunnel {
    up: Way,
    down: Way,
    going_away: bool,
}

impl Way {
    fn new(sender: Sender) -> Self {
        Self { sender, frames: Frames::default(), bytes: 0, state: WayState::Open }
    }

    /// Between two frames nothing is lost by a close frame; behind one of the sender's own it would be one too many.
    /// Gives whether anything changed.
    fn go_away<S: AsyncRead + AsyncWrite + Unpin>(&mut self, to: &mut Link<S>) -> bool {
        if self.state != WayState::Open || !self.frames.is_between() {
            return false;
        }
        if !self.frames.is_closed() {
            to.output().extend_from_slice(self.sender.going_away());
        }
        self.state = WayState::GoingAway;
        true
    }

    /// Moves what has come. Ready when the way has ended; an error is the writer's or the reader's.
    fn poll<A, B>(&mut self, from: &mut Link<A>, to: &mut Link<B>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                WayState::Ended => return Poll::Ready(Ok(())),
                WayState::Ending => {
                    ready!(to.poll_flush(cx))?;
                    ready!(to.poll_shutdown(cx))?;
                    self.state = WayState::Ended;
                }
                WayState::Open | WayState::GoingAway if from.input.is_empty() => {
                    ready!(to.poll_flush(cx))?;
                    if ready!(from.poll_fill(cx, READ_AHEAD))? == 0 {
                        self.state = WayState::Ending;
                    }
                }
                WayState::GoingAway => {
                    let length = from.input.len();
                    from.input.consume(length);
                }
                WayState::Open => {
                    let taken = ready!(to.poll_send(cx, from.input.data()))?;
                    self.frames.feed(from.input.data().get(..taken).unwrap_or_default());
                    from.input.consume(taken);
                    self.bytes += taken as u64;
                }
            }
        }
    }
}

impl Tunnel {
    pub(super) fn new() -> Self {
        Self { up: Way::new(Sender::Client), down: Way::new(Sender::Server), going_away: false }
    }

    /// Moves both ways on. Ready when both have ended, or one of them cannot go on.
    pub(super) fn poll(
        &mut self,
        exchange: &mut Exchange,
        caller: &mut Caller<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<EndReason> {
        self.going_away |= caller.watch.is_draining() || exchange.is_to_close_for_an_erasure();
        let Some(Service { link, .. }) = &mut exchange.service else { return Poll::Ready(EndReason::UpstreamGone) };
        let before = self.up.bytes + self.down.bytes;
        let (up, down) = loop {
            let (up, down) = (self.up.poll(caller.link, link, cx), self.down.poll(link, caller.link, cx));
            // Both ends are told, and what that makes to be written is written at once.
            if !(self.going_away && (self.up.go_away(link) | self.down.go_away(caller.link))) {
                break (up, down);
            }
        };
        let (bytes_in, bytes_out) = (self.up.bytes, self.down.bytes);
        exchange.carried(bytes_in, bytes_out);
        if bytes_in + bytes_out != before {
            caller.watch.moved();
        }
        let ended = match (&up, &down) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(EndReason::Done),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(EndReason::UpstreamGone),
            (up, down) => up.is_ready() || down.is_ready(),
        };
        // One end has closed, or was told to: the other has a while to say goodbye.
        if ended || self.going_away {
            if caller.watch.is_late() {
                return Poll::Ready(EndReason::TimedOut);
            }
            caller.watch.due_once(exchange.gate.limits().response_timeout);
        }
        Poll::Pending
    }
}
