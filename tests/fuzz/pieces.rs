//! Bytes that come in pieces, for the readers under test, and a body read off them by the product's own decoder.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use forgetgate::http1::{BodyDecoder, Chunk, Lines, ReadBuffer};
use tokio::io::{AsyncRead, ReadBuf};

/// What the proxy reads ahead of a body at most.
pub const READ_AHEAD: usize = 64 * 1024;

/// A peer that has sent all of this and closed. At most `step` bytes come at once; before each piece there may be nothing yet.
pub struct Pieces<'b> {
    left: &'b [u8],
    step: usize,
    waits: bool,
    waited: bool,
}

impl<'b> Pieces<'b> {
    pub fn of(bytes: &'b [u8], step: usize, waits: bool) -> Self {
        Self { left: bytes, step: step.max(1), waits, waited: false }
    }

    /// What nobody has read.
    pub fn left(&self) -> &'b [u8] {
        self.left
    }

    /// The next piece, of at most so many bytes.
    pub fn next(&mut self, room: usize) -> Poll<&'b [u8]> {
        if self.waits && !std::mem::replace(&mut self.waited, true) {
            return Poll::Pending;
        }
        self.waited = false;
        let (piece, left) = self.left.split_at(self.step.min(room).min(self.left.len()));
        self.left = left;
        Poll::Ready(piece)
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().next(buf.remaining()).map(|piece| {
            buf.put_slice(piece);
            Ok(())
        })
    }
}

/// Reads once more into the buffer; how many bytes came.
pub fn fill(input: &mut ReadBuffer, stream: &mut Pieces<'_>) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        if let Poll::Ready(came) = input.poll_fill(stream, &mut cx, READ_AHEAD) {
            assert!(input.len() <= READ_AHEAD, "{} bytes are held", input.len());
            return came.expect("memory does not fail");
        }
    }
    panic!("what is there is not read");
}

/// How far a body could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The connection ended before the body did.
    Cut,
    /// It is framed wrongly.
    Broken,
}

/// A body as it was read.
pub struct Body {
    pub data: Vec<u8>,
    pub end: End,
    pub trailers: Lines,
}

/// Reads a body to its end, of which at most `taken_max` bytes are used at once, as a slow reader does.
pub fn read(mut body: BodyDecoder, input: &mut ReadBuffer, stream: &mut Pieces<'_>, taken_max: usize) -> Body {
    let mut data = Vec::new();
    let end = loop {
        match body.look(input) {
            Err(_) => break End::Broken,
            Ok(Chunk::Ended) => {
                assert!(body.has_ended(), "an end that is not remembered");
                break End::Whole;
            }
            Ok(Chunk::Data(there)) => {
                assert!((1..=input.len()).contains(&there), "{there} bytes of {}", input.len());
                assert!(body.look(input) == Ok(Chunk::Data(there)), "to look changes something");
                let taken = there.min(taken_max.max(1));
                data.extend_from_slice(&input.data()[..taken]);
                input.consume(taken);
                body.took(taken);
            }
            Ok(Chunk::Starved) => {
                assert!(input.is_empty(), "something is there, and more is asked for");
                if fill(input, stream) == 0 && !body.connection_ended() {
                    break End::Cut;
                }
            }
        }
    };
    Body { data, end, trailers: body.trailers() }
}
