//! A body that comes in frames and goes into a pipe.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;

use super::{Pipe, has_blank_ends, write_lines};
use crate::http1::BodyEncoder;

/// How a body is read out of its frames.
pub struct FromFrames {
    frames: RecvStream,
    /// What has come and is not yet in the pipe.
    piece: Bytes,
    framing: BodyEncoder,
    state: State,
    /// Whether the pipe is told of the end by its own end, as a tunnel's is.
    shuts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Flushing,
    Shutting,
    Ended,
}

/// Why a body was not passed on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its sender broke off.
    Sender,
    /// What it sent is against the protocol.
    Malformed,
    /// Nobody reads it any more.
    Reader,
}

// Its bytes may be a customer's: they are never shown.
impl std::fmt::Debug for FromFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromFrames").field("state", &self.state).finish_non_exhaustive()
    }
}

impl FromFrames {
    /// The body of a message: in chunks, or as long as its head says.
    #[must_use]
    pub const fn message(frames: RecvStream, chunked: bool) -> Self {
        Self { frames, piece: Bytes::new(), framing: BodyEncoder::new(chunked), state: State::Data, shuts: false }
    }

    /// What comes through a tunnel.
    #[must_use]
    pub const fn tunnel(frames: RecvStream) -> Self {
        let framing = BodyEncoder::new(false);
        Self { frames, piece: Bytes::new(), framing, state: State::Data, shuts: true }
    }

    /// Moves on what has come. Ready when all of it is in the pipe.
    ///
    /// # Errors
    /// [`Cut`] where it ends before its end.
    pub fn poll(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        loop {
            if !self.piece.is_empty() {
                ready!(self.poll_piece(pipe, cx))?;
                continue;
            }
            match self.state {
                State::Data => {
                    let Poll::Ready(data) = self.frames.poll_data(cx) else {
                        // What there is goes out while the rest is waited for.
                        ready!(pipe.poll_flush(cx)).map_err(|_| Cut::Reader)?;
                        return Poll::Pending;
                    };
                    match data {
                        Some(Ok(data)) => self.piece = data,
                        Some(Err(_)) => return Poll::Ready(Err(Cut::Sender)),
                        None => self.state = State::Trailers,
                    }
                }
                State::Trailers => ready!(self.poll_trailers(pipe, cx))?,
                State::Flushing => {
                    ready!(pipe.poll_flush(cx)).map_err(|_| Cut::Reader)?;
                    self.state = if self.shuts { State::Shutting } else { State::Ended };
                }
                State::Shutting => {
                    ready!(pipe.poll_shutdown(cx)).map_err(|_| Cut::Reader)?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_piece(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let length = self.framing.announce(self.piece.len(), pipe.output());
        let data = self.piece.get(..length).unwrap_or_default();
        let taken = ready!(pipe.poll_gather(cx, data)).map_err(|_| Cut::Reader)?;
        self.piece.advance(taken);
        self.framing.sent(taken, pipe.output());
        // Only now may the sender send more.
        self.frames.flow_control().release_capacity(taken).map_err(|_| Cut::Sender)?;
        Poll::Ready(Ok(()))
    }

    fn poll_trailers(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        let trailers = ready!(self.frames.poll_trailers(cx)).map_err(|_| Cut::Sender)?.unwrap_or_default();
        if trailers.values().any(has_blank_ends) {
            return Poll::Ready(Err(Cut::Malformed));
        }
        self.framing.end(pipe.output(), |out| write_lines(&trailers, out));
        self.state = State::Flushing;
        Poll::Ready(Ok(()))
    }
}
