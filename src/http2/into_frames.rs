//! A body that comes out of a pipe and goes into frames.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};

use super::{PIPE_AHEAD, Pipe, header_map};
use crate::http1::{BodyDecoder, Chunk};

/// What goes into one frame at most.
const FRAME_MAX: usize = 16 * 1024;

/// How a body is written into its frames.
pub struct IntoFrames {
    frames: SendStream<Bytes>,
    body: BodyDecoder,
    /// Whether the last frame was sent.
    ended: bool,
}

/// Why a body was not passed on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The pipe ended before it did, or had nonsense in it.
    Sender,
    /// Its reader takes no more.
    Reader,
}

// Its bytes may be a customer's: they are never shown.
impl std::fmt::Debug for IntoFrames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntoFrames").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl IntoFrames {
    /// A body of which nothing has been sent.
    #[must_use]
    pub const fn new(frames: SendStream<Bytes>, body: BodyDecoder) -> Self {
        Self { frames, body, ended: false }
    }

    /// How far the body has come, for another stream.
    #[must_use]
    pub fn into_body(self) -> BodyDecoder {
        self.body
    }

    /// Ends the stream.
    pub fn reset(&mut self, reason: Reason) {
        self.frames.send_reset(reason);
    }

    /// Ready when the peer has ended the stream.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.frames.poll_reset(cx).map(drop)
    }

    /// Moves on what has come; `sent` is shown each piece. Ready when all of it has been given to the connection.
    ///
    /// # Errors
    /// [`Broken`] where it ends before its end.
    pub fn poll(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
        mut sent: impl FnMut(&Bytes),
    ) -> Poll<Result<(), Broken>> {
        while !self.ended {
            match self.body.look(&mut pipe.input).map_err(|_| Broken::Sender)? {
                Chunk::Data(there) => sent(&ready!(self.poll_piece(pipe, there, cx))?),
                Chunk::Ended => self.end()?,
                Chunk::Starved => match ready!(pipe.poll_fill(cx, PIPE_AHEAD)) {
                    Ok(1..) => {}
                    Ok(0) if self.body.connection_ended() => {}
                    Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Sender)),
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was sent before, on another stream.
    ///
    /// # Errors
    /// [`Broken`] where nobody takes it.
    pub fn poll_again(&mut self, data: &Bytes, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        let room = ready!(self.poll_room(data.len(), cx))?.min(data.len());
        self.frames.send_data(data.slice(..room), false).map_err(|_| Broken::Reader)?;
        Poll::Ready(Ok(room))
    }

    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        self.frames.reserve_capacity(wanted.min(FRAME_MAX));
        loop {
            let room = self.frames.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            if !matches!(ready!(self.frames.poll_capacity(cx)), Some(Ok(_))) {
                return Poll::Ready(Err(Broken::Reader));
            }
        }
    }

    fn poll_piece(&mut self, pipe: &mut Pipe, there: usize, cx: &mut Context<'_>) -> Poll<Result<Bytes, Broken>> {
        let length = ready!(self.poll_room(there, cx))?.min(there);
        let data = Bytes::copy_from_slice(pipe.input.data().get(..length).unwrap_or_default());
        pipe.input.consume(length);
        self.body.took(length);
        // Where the end is known already, it goes with the last frame of the data.
        let whole = matches!(self.body.look(&mut pipe.input), Ok(Chunk::Ended)) && self.body.trailers().is_empty();
        self.frames.send_data(data.clone(), whole).map_err(|_| Broken::Reader)?;
        self.ended = whole;
        Poll::Ready(Ok(data))
    }

    fn end(&mut self) -> Result<(), Broken> {
        let trailers = self.body.trailers();
        let sent = if trailers.is_empty() {
            self.frames.send_data(Bytes::new(), true)
        } else {
            let trailers = header_map(&trailers, |_| true).ok_or(Broken::Sender)?;
            self.frames.send_trailers(trailers)
        };
        self.ended = true;
        sent.map_err(|_| Broken::Reader)
    }
}
