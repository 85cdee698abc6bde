//! A socket, what was read from it, and what is to be written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{ReadBuffer, spare};

/// What is copied rather than written by itself: a system call costs more than to copy this.
const SMALL: usize = 2 * 1024;
/// Output memory that is kept for the next message.
const OUTPUT_KEPT: usize = 16 * 1024;

/// One end of a connection.
pub struct BufferedIo<S> {
    stream: S,
    /// What was read and not yet used.
    pub input: ReadBuffer,
    output: Vec<u8>,
    /// How much of `output` has been written.
    written: usize,
    /// Whether the stream may hold back what was written to it, as TLS does while its socket takes nothing.
    held_back: bool,
    /// Whether anything has been written since this was last asked.
    pub moved: bool,
}

// Its bytes may be a customer's: they are never shown.
impl<S> std::fmt::Debug for BufferedIo<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferedIo").field("input", &self.input).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> BufferedIo<S> {
    /// A connection of which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self { stream, input: ReadBuffer::default(), output: Vec::new(), written: 0, held_back: false, moved: false }
    }

    /// The socket.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// The socket again, with what was read from it and not used: that is read from it first. What was still to be
    /// written is forgotten.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.input.data().to_vec())
    }

    /// What will be written before anything else: append to it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        if self.output.capacity() == 0 {
            self.output = spare::spare_output();
        }
        &mut self.output
    }

    /// This will be written, and nothing else yet.
    pub fn begin_with(&mut self, output: Vec<u8>) {
        spare::give(std::mem::replace(&mut self.output, output));
    }

    /// Whether everything that was to be written has left.
    #[must_use]
    pub const fn is_flushed(&self) -> bool {
        self.is_written() && !self.held_back
    }

    const fn is_written(&self) -> bool {
        self.written == self.output.len()
    }

    /// Forgets what was to be written.
    pub fn discard_output(&mut self) {
        self.output.clear();
        (self.written, self.held_back) = (0, false);
    }

    /// Nothing will be said for a while: memory is given back.
    pub fn park(&mut self) {
        self.input.park();
        self.discard_output();
        self.begin_with(Vec::new());
    }

    /// Between two messages: what is not in use is given back.
    pub fn slim(&mut self) {
        if self.is_flushed() {
            self.begin_with(Vec::new());
        }
    }

    /// Reads once; see [`ReadBuffer::poll_fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, cx, max)
    }

    /// Writes what was appended to the output, to its end.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_written() {
            ready!(self.poll_send(cx, &[]))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.held_back = false;
        Poll::Ready(Ok(()))
    }

    /// Writes what was appended to the output and then of `data` what the socket takes, in one go. Gives how much of
    /// `data` was taken, which may be nothing: call it again.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let before = self.output.get(self.written..).unwrap_or_default();
        let sent = if data.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_write(cx, before))?
        } else if before.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_write(cx, data))?
        } else {
            ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &[IoSlice::new(before), IoSlice::new(data)]))?
        };
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        (self.moved, self.held_back) = (true, true);
        let taken = sent.saturating_sub(before.len());
        self.written += sent - taken;
        if self.is_written() {
            self.output.clear();
            self.written = 0;
            if self.output.capacity() > OUTPUT_KEPT {
                self.output = Vec::new();
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// As [`Self::poll_send`], but a few bytes only join what waits to be written: the caller flushes when nothing more
    /// comes. Many small pieces, or a head and a small body, become one write.
    pub fn poll_gather(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.len() > SMALL || self.output.len() > OUTPUT_KEPT - SMALL {
            return self.poll_send(cx, data);
        }
        self.output().extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    /// Whether nobody is there any more to read what is written. Known of a pipe only.
    pub fn is_unheard(&mut self) -> bool {
        let written = Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(Waker::noop()), &[]);
        matches!(written, Poll::Ready(Err(_)))
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::BufferedIo;

    #[tokio::test]
    async fn p12_between_two_messages_nothing_is_held() {
        let (ours, _theirs) = tokio::io::duplex(1 << 20);
        let mut link = BufferedIo::new(ours);
        for pieces in [1, 7, 10_000] {
            for _ in 0..pieces {
                assert_eq!(poll_fn(|cx| link.poll_gather(cx, b"small")).await.unwrap(), 5);
            }
            link.slim();
            assert!(!link.is_flushed(), "what is to be written is kept");
            poll_fn(|cx| link.poll_flush(cx)).await.unwrap();
            link.slim();
            assert_eq!(link.output.capacity(), 0, "{pieces}");
        }
    }
}
