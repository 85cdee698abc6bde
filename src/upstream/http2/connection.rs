//! One connection over HTTP/2 to a service, driven by a task of its own, and the places on it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection as Driver, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Wanted;
use crate::http2::{ERRORS_MAX, RESET_MEMORY, SEND_BUFFER, SERVICE_WINDOW, STREAM_WINDOW, STREAMS_MAX};
use crate::net::Stream;
use crate::upstream::{ConnectError, Stage};

/// The largest list of an answer's lines, as HTTP/2 counts them.
const HEADER_LIST_MAX: u32 = 128 * 1024;

/// A connection whose settings have come.
pub(super) struct Connection {
    sender: RefCell<SendRequest<Bytes>>,
    streams: Cell<usize>,
    opened: Instant,
    /// When its last stream ended.
    since: Cell<Instant>,
    /// Whether it has ended, or takes nothing more.
    ended: Rc<Cell<bool>>,
    /// Dropped, the connection is closed.
    _driver: AbortOnDropHandle<()>,
}

// The library would show what waits to be sent.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// A place for one stream on a connection.
#[derive(Debug)]
pub(super) struct Slot(Rc<Connection>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.since.set(Instant::now());
    }
}

impl Slot {
    /// The service takes nothing more on this connection: what is on it goes on, nothing else is put there.
    pub(super) fn retire(&self) {
        self.0.ended.set(true);
    }

    pub(super) fn sender(&self) -> std::cell::RefMut<'_, SendRequest<Bytes>> {
        self.0.sender.borrow_mut()
    }
}

/// Begins HTTP/2, and waits for the service's settings.
pub(super) async fn begin<S>(
    stream: S,
    within: Duration,
) -> Result<(SendRequest<Bytes>, Driver<S, Bytes>), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(SERVICE_WINDOW)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(ERRORS_MAX))
        .max_concurrent_reset_streams(ERRORS_MAX)
        .reset_stream_duration(RESET_MEMORY)
        .max_concurrent_streams(0)
        // None before the service has said how many: so its settings are seen to have come.
        .initial_max_send_streams(0)
        .enable_push(false);
    let settled = async {
        let (sender, mut driver) = builder.handshake(stream).await.map_err(|_| ConnectError::NotHttp2)?;
        poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
            Poll::Ready(_) => Poll::Ready(Err(ConnectError::NotHttp2)),
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        Ok((sender, driver))
    };
    timeout(within, settled).await.unwrap_or(Err(ConnectError::Timeout(Stage::Http2)))
}

impl Connection {
    /// Begins HTTP/2 on a stream that was just connected.
    pub(super) async fn open(stream: Stream, within: Duration) -> Result<Rc<Self>, ConnectError> {
        let (sender, driver) = begin(stream, within).await?;
        let ended = Rc::new(Cell::new(false));
        let says = Rc::clone(&ended);
        let driver = spawn_local(async move {
            // Why it ended, its streams know.
            drop(driver.await);
            says.set(true);
        });
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            streams: Cell::new(0),
            opened: Instant::now(),
            since: Cell::new(Instant::now()),
            ended,
            _driver: AbortOnDropHandle::new(driver),
        }))
    }

    /// Whether it may still be used: not once the service has said goodbye.
    pub(super) fn is_alive(&self) -> bool {
        !self.ended.get() && !matches!(self.poll_ready(), Poll::Ready(Err(_)))
    }

    fn poll_ready(&self) -> Poll<Result<(), h2::Error>> {
        self.sender.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()))
    }

    pub(super) fn takes_websockets(&self) -> bool {
        self.sender.borrow().is_extended_connect_protocol_enabled()
    }

    /// A place on it, if there is one.
    pub(super) fn slot(self: &Rc<Self>, wanted: Wanted) -> Option<Slot> {
        let max = self.sender.borrow().current_max_send_streams().min(STREAMS_MAX as usize);
        // What has ended here may still be on its way out.
        let room = self.streams.get() < max && matches!(self.poll_ready(), Poll::Ready(Ok(())));
        let fits = room && (wanted == Wanted::Any || self.takes_websockets());
        fits.then(|| {
            self.streams.set(self.streams.get() + 1);
            Slot(Rc::clone(self))
        })
    }

    /// Whether it was opened longer ago than this.
    pub(super) fn is_old(&self, now: Instant, age_max: Duration) -> bool {
        now.saturating_duration_since(self.opened) > age_max
    }

    /// Whether it has had no stream for longer than this.
    pub(super) fn is_older(&self, now: Instant, idle_max: Duration) -> bool {
        self.streams.get() == 0 && now.saturating_duration_since(self.since.get()) > idle_max
    }
}
