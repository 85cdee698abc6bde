//! A client's socket, watched: the tap sees what comes in, the worker sees who stands still, and the end is polite.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::config::Limits;
use crate::domain::tap::{Incoming, RawHead, Tap};

/// After a refusal, what the client still sends is read and thrown away for so long: a socket that is closed with unread
/// data in it is reset, and the client never sees the answer (RFC 9112 §9.6).
const LINGER: std::time::Duration = std::time::Duration::from_secs(10);

/// Bytes thrown away at most.
const LINGER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the worker knows of one connection. Times are those of the worker's last tick: they are measured in seconds.
#[derive(Debug)]
pub(super) struct ConnectionState {
    tap: RefCell<Tap>,
    /// Requests that are being handled.
    busy: Cell<u32>,
    now: Rc<Cell<Instant>>,
    moved: Cell<Instant>,
    /// When the head that is arriving began.
    head_began: Cell<Instant>,
    /// When the last request that was handled had ended.
    freed: Cell<Instant>,
    /// Is an answer's body on its way?
    answering: Cell<bool>,
    reading_waits: Cell<bool>,
    writing_waits: Cell<bool>,
    lingering: Cell<bool>,
    draining: Cell<bool>,
    closing: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl ConnectionState {
    pub(super) fn new(head_bytes_max: usize, now: &Rc<Cell<Instant>>) -> Rc<Self> {
        Rc::new(Self {
            tap: RefCell::new(Tap::new(head_bytes_max)),
            busy: Cell::new(0),
            now: Rc::clone(now),
            moved: Cell::new(now.get()),
            head_began: Cell::new(now.get()),
            freed: Cell::new(now.get()),
            answering: Cell::new(false),
            reading_waits: Cell::new(false),
            writing_waits: Cell::new(false),
            lingering: Cell::new(false),
            draining: Cell::new(false),
            closing: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    pub(super) fn next_head(&self) -> Option<RawHead> {
        self.tap.borrow_mut().next_head()
    }

    /// A request begins to be handled; it ends when the guard is dropped.
    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy(Rc::clone(self))
    }

    /// Ends the connection when its time is over. To be called with every tick.
    pub(super) fn look(&self, limits: &Limits) {
        let incoming = self.tap.borrow().incoming();
        let moved = self.moved.get();
        let (since, limit) = match (self.busy.get(), incoming) {
            _ if self.lingering.get() => (moved, LINGER),
            (0, Incoming::Idle) => (moved, limits.idle_timeout),
            // A head has so long from its first byte, however its bytes are spread; not while an answer keeps it waiting.
            (0, Incoming::Head) => (self.head_began.get().max(self.freed.get()), limits.header_timeout),
            (_, Incoming::Body) if self.reading_waits.get() => (moved, limits.body_stall_timeout),
            _ if self.writing_waits.get() || self.answering.get() => (moved, limits.body_stall_timeout),
            _ => return,
        };
        if self.now.get().duration_since(since) > limit {
            self.end();
        }
    }

    /// No further request; what is being handled is finished.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        self.wake();
    }

    /// Ends the connection now.
    pub(super) fn end(&self) {
        self.closing.set(true);
        self.wake();
    }

    pub(super) const fn is_ending(&self) -> bool {
        self.closing.get()
    }

    /// Has draining been asked for since this was last asked?
    pub(super) fn take_draining(&self) -> bool {
        self.draining.replace(false)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.get() == 0 && self.tap.borrow().incoming() == Incoming::Idle
    }

    /// Remembers whom to wake.
    pub(super) fn woken_by(&self, waker: &Waker) {
        let mut held = self.waker.borrow_mut();
        if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn has_moved(&self) {
        self.moved.set(self.now.get());
    }

    fn came(&self, bytes: &[u8]) {
        let mut tap = self.tap.borrow_mut();
        let before = (tap.incoming(), tap.heads_waiting());
        tap.feed(bytes);
        let after = (tap.incoming(), tap.heads_waiting());
        if after.0 == Incoming::Head && after != before {
            self.head_began.set(self.now.get());
        }
        self.has_moved();
    }
}

/// A request that is being handled.
#[derive(Debug)]
pub(super) struct Busy(Rc<ConnectionState>);

impl Busy {
    /// The body of its answer is asked for.
    pub(super) fn answering(&self) {
        self.0.answering.set(true);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.answering.set(false);
        self.0.freed.set(self.0.now.get());
        self.0.has_moved();
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct ClientIo {
    socket: TcpStream,
    state: Rc<ConnectionState>,
    thrown_away: usize,
}

impl ClientIo {
    pub(super) fn new(socket: TcpStream, state: &Rc<ConnectionState>) -> Self {
        Self { socket, state: Rc::clone(state), thrown_away: 0 }
    }

    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        self.state.writing_waits.set(polled.is_pending());
        if polled.is_ready() {
            self.state.has_moved();
        }
    }

    /// Reads what still comes and throws it away, until the client closes.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
            self.thrown_away += buffer.filled().len();
            if buffer.filled().is_empty() || self.thrown_away > LINGER_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.state.reading_waits.set(polled.is_pending());
        if polled.is_ready() {
            self.state.came(buf.filled().get(before..).unwrap_or_default());
        }
        polled
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.state.lingering.get() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            if self.state.tap.borrow().incoming() == Incoming::Idle {
                return Poll::Ready(Ok(()));
            }
            self.state.lingering.set(true);
            self.state.has_moved();
        }
        self.poll_linger(cx)
    }
}
