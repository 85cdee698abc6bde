//! A WebSocket that was accepted: bytes pass both ways untouched, until both ends have closed.
//!
//! A stop, an erasure of its customer where the operator wants that, or that nothing moves in it for too long, ends it with a
//! close frame between two frames.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::caller::{Caller, READ_AHEAD};
use super::exchange::{Exchange, PIECES_AT_ONCE};
use super::service::Service;
use crate::domain::websocket::{Frames, Sender};
use crate::http1::BufferedIo;
use crate::telemetry::EndReason;

/// How long the ends of a WebSocket in which nothing moved have to say goodbye.
const GOODBYE_IF_QUIET: Duration = Duration::from_secs(10);

/// One direction of a tunnel.
#[derive(Debug)]
struct Way {
    sender: Sender,
    frames: Frames,
    bytes: u64,
    state: WayState,
    /// Whether nothing can be written to its reader any more. What the reader has said before still has to reach the
    /// other end.
    is_deaf: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayState {
    Open,
    /// There will be nothing more of it: what still comes is thrown away. A close frame of ours may be the last.
    GoingAway,
    /// Its sender has closed: the last bytes are being written.
    Ending,
    Ended,
}

/// The sender of a way broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BrokeOff;

/// How far a tunnel has come.
#[derive(Debug)]
pub(super) struct Tunnel {
    up: Way,
    down: Way,
    going_away: bool,
    /// Whether nothing has moved in it for too long: then it is going away, too.
    is_quiet: bool,
}

impl Way {
    fn new(sender: Sender) -> Self {
        Self { sender, frames: Frames::default(), bytes: 0, state: WayState::Open, is_deaf: false }
    }

    /// Between two frames nothing is lost by a close frame; behind one of the sender's own it would be one too many.
    /// Gives whether anything changed.
    fn go_away<S: AsyncRead + AsyncWrite + Unpin>(&mut self, to: &mut BufferedIo<S>) -> bool {
        if self.state != WayState::Open || !self.frames.is_between() {
            return false;
        }
        if !self.frames.is_closed() {
            to.output().extend_from_slice(self.sender.going_away());
        }
        self.state = WayState::GoingAway;
        true
    }

    /// Its reader has left.
    fn deafen(&mut self) {
        (self.state, self.is_deaf) = (WayState::GoingAway, true);
    }

    /// Moves what has come, so much at once that the other way has its turn too. Ready when the way has ended.
    fn poll<A, B>(
        &mut self,
        from: &mut BufferedIo<A>,
        to: &mut BufferedIo<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BrokeOff>>
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        for _ in 0..PIECES_AT_ONCE {
            match self.state {
                WayState::Ended => return Poll::Ready(Ok(())),
                WayState::Ending => {
                    self.is_deaf |= ready!(to.poll_flush(cx)).is_err();
                    // A reader that has left already need not be told.
                    drop(ready!(to.poll_shutdown(cx)));
                    self.state = WayState::Ended;
                }
                WayState::Open | WayState::GoingAway if from.input.is_empty() => {
                    if !self.is_deaf && ready!(to.poll_flush(cx)).is_err() {
                        self.deafen();
                    }
                    match ready!(from.poll_fill(cx, READ_AHEAD)) {
                        Ok(1..) => {}
                        Ok(0) => self.state = if self.is_deaf { WayState::Ended } else { WayState::Ending },
                        Err(_) => return Poll::Ready(Err(BrokeOff)),
                    }
                }
                WayState::GoingAway => {
                    let length = from.input.len();
                    from.input.consume(length);
                }
                WayState::Open => match ready!(to.poll_send(cx, from.input.data())) {
                    Ok(taken) => {
                        self.frames.feed(from.input.data().get(..taken).unwrap_or_default());
                        from.input.consume(taken);
                        self.bytes += taken as u64;
                    }
                    Err(_) => self.deafen(),
                },
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Tunnel {
    pub(super) fn new() -> Self {
        Self { up: Way::new(Sender::Client), down: Way::new(Sender::Server), going_away: false, is_quiet: false }
    }

    /// Moves both ways on. Ready when both have ended, or one of them cannot go on.
    pub(super) fn poll(
        &mut self,
        exchange: &mut Exchange,
        caller: &mut Caller<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<EndReason> {
        if exchange.is_given_up() {
            return Poll::Ready(EndReason::TimedOut);
        }
        self.is_quiet |= caller.watch.is_quiet();
        self.going_away |= self.is_quiet || caller.watch.is_draining() || exchange.is_to_close_for_an_erasure();
        let Some(Service { link, .. }) = &mut exchange.upstream.service else {
            return Poll::Ready(EndReason::UpstreamGone);
        };
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
        let (up_ended, down_ended) = (up.is_ready(), down.is_ready());
        match (up, down) {
            (Poll::Ready(Err(BrokeOff)), _) => return Poll::Ready(EndReason::ClientGone),
            (_, Poll::Ready(Err(BrokeOff))) => return Poll::Ready(EndReason::UpstreamGone),
            (Poll::Ready(Ok(())), _) if self.down.is_deaf => return Poll::Ready(EndReason::ClientGone),
            (_, Poll::Ready(Ok(()))) if self.up.is_deaf => return Poll::Ready(EndReason::UpstreamGone),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(self.ended()),
            (_, Poll::Pending) | (Poll::Pending, _) => {}
        }
        // One end has closed, or was told to: the other has a while to say goodbye.
        if up_ended || down_ended || self.going_away || self.up.is_deaf || self.down.is_deaf {
            if caller.watch.is_late() {
                return Poll::Ready(EndReason::TimedOut);
            }
            let within = exchange.upstream.response_timeout();
            // Where nothing has moved for long, nobody may be there to say it.
            let within = if self.is_quiet { within.min(GOODBYE_IF_QUIET) } else { within };
            caller.watch.due_once(within);
        }
        Poll::Pending
    }

    /// Both ends have closed: because they wanted to, or because the gate did.
    const fn ended(&self) -> EndReason {
        match (self.is_quiet, self.going_away) {
            (true, _) => EndReason::TimedOut,
            (false, true) => EndReason::GateEnded,
            (false, false) => EndReason::Done,
        }
    }

    /// Whether the caller has said all that it will.
    pub(super) fn is_heard_out(&self) -> bool {
        self.up.state == WayState::Ended
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::{Sender, Way};
    use crate::http1::BufferedIo;

    /// A service that says its last word and leaves while the caller is still sending is heard to its end.
    #[tokio::test]
    async fn p8_that_nobody_hears_one_end_does_not_silence_the_other() {
        let ((caller, mut client), (service, mut server)) = (duplex(64), duplex(1 << 16));
        let (mut caller, mut service) = (BufferedIo::new(caller), BufferedIo::new(service));
        let (mut up, mut down) = (Way::new(Sender::Client), Way::new(Sender::Server));
        let last_word = vec![7; 1 << 15];
        server.write_all(&last_word).await.unwrap();
        drop(server);
        client.write_all(b"frame").await.unwrap();
        let moving = poll_fn(|cx| {
            assert!(up.poll(&mut caller, &mut service, cx).is_pending(), "the caller has not closed");
            down.poll(&mut service, &mut caller, cx)
        });
        let mut heard = Vec::new();
        let (ended, read) = tokio::join!(moving, client.read_to_end(&mut heard));
        assert_eq!((ended, read.unwrap(), up.is_deaf), (Ok(()), last_word.len(), true));
    }
}
