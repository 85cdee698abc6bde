//! The caller's side of one request: its connection, and how much of its body has come.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::http1::{BodyDecoder, BufferedIo, Chunk, Malformed};
use crate::net::{ConnectionTimers, Peer, Stream};

/// Bytes of a body, or of requests behind this one, that are read ahead.
pub(super) const READ_AHEAD: usize = 64 * 1024;

/// How the interim answer is written that tells a caller to send its body (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A caller's connection while one of its requests is handled.
#[derive(Debug)]
pub struct Caller<'c> {
    /// The connection.
    pub link: &'c mut BufferedIo<Stream>,
    /// What its worker knows of it.
    pub watch: &'c Rc<ConnectionTimers>,
    /// Who it is.
    pub peer: &'c Peer,
}

/// Why nothing more can be had of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It has left.
    Gone,
    /// It frames its body wrongly.
    Malformed,
}

impl From<Malformed> for Lost {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Caller<'_> {
    /// Looks whether the caller is still there. Ready only when it is not. One that says nothing more (`shutdown`, `nc -N`)
    /// still reads its answer; whether it has left as well shows when something is written, or by a clock of who asks.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What comes meanwhile is a next request: it waits, and if it is long the rest of it is not read.
        while self.watch.half_closed_for().is_none() && self.link.input.len() < READ_AHEAD {
            match ready!(self.link.poll_fill(cx, READ_AHEAD)) {
                Ok(1..) => {}
                Ok(0) if self.may_still_read() => self.watch.half_closed(),
                // Over TLS, an end that is not said is the socket's.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.may_still_read() => {
                    self.watch.half_closed();
                }
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        if self.watch.half_closed_for().is_some() && !self.may_still_read() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether there is a socket that was not reset. In a stream of HTTP/2 an end is the end.
    fn may_still_read(&self) -> bool {
        self.link.stream().socket().is_some_and(|socket| matches!(socket.take_error(), Ok(None)))
    }

    /// Writes what is to be written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.link.poll_flush(cx);
        if polled.is_pending() {
            self.watch.body_waits(true);
        } else {
            self.watch.moved();
        }
        polled
    }

    /// See [`BufferedIo::poll_gather`].
    pub(super) fn poll_gather(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.link.poll_gather(cx, data);
        match &polled {
            Poll::Ready(Ok(taken)) => self.watch.carried(*taken),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.body_waits(true),
        }
        polled
    }
}

/// The body of a request. It is never shown (P7).
pub(super) struct Inbound {
    pub(super) body: BodyDecoder,
    /// What was read of it to find its customer: it is sent on first.
    pub(super) ahead: Vec<u8>,
    pub(super) ahead_sent: usize,
    /// Whether the caller waits to be told to send it.
    pub(super) continue_due: bool,
}

impl Inbound {
    pub(super) const fn new(body: BodyDecoder, continue_due: bool) -> Self {
        Self { body, ahead: Vec::new(), ahead_sent: 0, continue_due }
    }

    /// Whether there is nothing more of it to be read.
    pub(super) fn has_come(&self) -> bool {
        self.body.has_ended()
    }

    /// Reads more, and tells the caller to send it if that is what it waits for.
    pub(super) fn poll_more(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if std::mem::take(&mut self.continue_due) && caller.link.input.is_empty() {
            caller.link.output().extend_from_slice(CONTINUE);
        }
        // Not waited for: the caller may be one that writes all before it reads.
        if !caller.link.is_flushed() && matches!(caller.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Lost::Gone));
        }
        let polled = caller.link.poll_fill(cx, READ_AHEAD);
        caller.watch.body_waits(polled.is_pending());
        match ready!(polled) {
            Ok(bytes @ 1..) => {
                caller.watch.carried(bytes);
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Lost::Gone)),
        }
    }

    /// Reads the body ahead to its end, if it has at most so many bytes. `false` if it has more.
    pub(super) fn poll_ahead(
        &mut self,
        caller: &mut Caller<'_>,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Result<bool, Lost>> {
        loop {
            match self.body.look(&mut caller.link.input)? {
                Chunk::Ended => return Poll::Ready(Ok(true)),
                Chunk::Starved => ready!(self.poll_more(caller, cx))?,
                Chunk::Data(length) if self.ahead.len() + length > bytes_max => return Poll::Ready(Ok(false)),
                Chunk::Data(length) => {
                    self.ahead.extend_from_slice(caller.link.input.data().get(..length).unwrap_or_default());
                    caller.link.input.consume(length);
                    self.body.took(length);
                }
            }
        }
    }

    /// Reads what is left and throws it away.
    pub(super) fn poll_rest(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            match self.body.look(&mut caller.link.input)? {
                Chunk::Ended => return Poll::Ready(Ok(())),
                Chunk::Starved => ready!(self.poll_more(caller, cx))?,
                Chunk::Data(length) => {
                    caller.link.input.consume(length);
                    self.body.took(length);
                }
            }
        }
    }
}
