//! A worker's own connections to one upstream: a stack of idle ones, the last used first.
//!
//! A pool belongs to one thread, so it needs no lock. A connection comes back only when both bodies of its exchange have
//! ended, and is thrown away after [`IDLE_MAX`], which is shorter than what servers commonly allow (Node: 5 s).

use std::cell::RefCell;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{ConnectError, Connector};

/// How long an idle connection is believed to be alive at the other end.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Idle connections beyond which the oldest are closed.
const IDLE_CONNECTIONS_MAX: usize = 256;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// It could not be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// HTTP did not begin on it.
    #[error("the connection broke before a request was sent")]
    Handshake,
}

struct Idle<B> {
    sender: SendRequest<B>,
    connection: Connection,
    since: Instant,
}

/// Connections to one upstream.
pub struct Pool<B> {
    connector: Connector,
    idle: RefCell<Vec<Idle<B>>>,
    response_head_bytes_max: usize,
}

impl<B> std::fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("connector", &self.connector).finish_non_exhaustive()
    }
}

/// A connection that is taken out of the pool for one exchange.
#[derive(Debug)]
pub struct Taken<B> {
    /// What sends the request.
    pub sender: SendRequest<B>,
    /// The connection's other half. Dropped, it ends the connection at once, and with it whatever was still being sent.
    pub connection: Connection,
    /// Was it used before? Then it may have died in the meantime.
    pub reused: bool,
}

/// The task that moves a connection's bytes; it ends when this is dropped.
pub type Connection = AbortOnDropHandle<()>;

impl<B> Pool<B>
where
    B: http_body::Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// An empty pool.
    #[must_use]
    pub fn new(connector: Connector, response_head_bytes_max: usize) -> Self {
        Self { connector, idle: RefCell::new(Vec::new()), response_head_bytes_max }
    }

    /// An idle connection, if one is alive. `now` saves a look at the clock.
    #[must_use]
    pub fn idle(&self, now: Instant) -> Option<Taken<B>> {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|each| !each.sender.is_closed());
        // The last used first. One that is not ready has not been polled since its last exchange: it will be, later.
        let at = idle.iter().rposition(|each| each.sender.is_ready() && now.duration_since(each.since) <= IDLE_MAX)?;
        let Idle { sender, connection, .. } = idle.remove(at);
        Some(Taken { sender, connection, reused: true })
    }

    /// A new connection. Its other half runs as a task of this worker.
    ///
    /// # Errors
    /// [`PoolError`] when it cannot be made in time.
    pub async fn connect(&self) -> Result<Taken<B>, PoolError> {
        let stream = self.connector.connect().await?;
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_buf_size(self.response_head_bytes_max)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| PoolError::Handshake)?;
        // Its end is seen by whoever holds the sender; there is nothing to do with the result here.
        let connection = AbortOnDropHandle::new(spawn_local(async move { drop(connection.await) }));
        Ok(Taken { sender, connection, reused: false })
    }

    /// Gives a connection back after an exchange that ended on both sides.
    pub fn put_back(&self, sender: SendRequest<B>, connection: Connection, now: Instant) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(Idle { sender, connection, since: now });
        }
    }

    /// Closes what has been idle for too long.
    pub fn prune(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| now.duration_since(idle.since) <= IDLE_MAX && !idle.sender.is_closed());
    }
}
