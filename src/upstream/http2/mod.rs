//! HTTP/2 towards the services: a worker's connections to one of them, each of which carries many exchanges.
//!
//! An exchange sees a link as over HTTP/1.1: one end of a pipe, whose other end a task of the worker's turns into a
//! stream. A request never waits for a service's limit of streams: another connection is opened instead. A connection is
//! used only once the service's settings have come, so that it is known how much it takes, and that it speaks HTTP/2.

mod call;
mod connection;
mod head;
mod kept;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

pub(super) use self::call::exchange;
use self::connection::{Connection, Slot};
use super::connect::Offer;
use super::{ConnectError, Connector};
use crate::config::Http2;
use crate::http1::BufferedIo;
use crate::net::Stream;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A message and its answer.
    Any,
    /// A WebSocket, which a service may not take over HTTP/2.
    WebSocket,
}

/// A worker's connections over HTTP/2 to one service, and the way to new ones over either version.
#[derive(Debug)]
pub(super) struct Connections {
    connector: Connector,
    open: RefCell<Vec<Rc<Connection>>>,
    /// The connection that is being made. Whoever wants one meanwhile waits for it, since it may have room for all.
    attempt: RefCell<Option<Rc<Attempt>>>,
    /// Whether the service chose HTTP/1.1 when it was last asked: then there is nothing to wait for.
    speaks_http1: Cell<bool>,
}

/// A connection that is being made.
#[derive(Debug, Default)]
struct Attempt {
    done: Notify,
    outcome: Cell<Option<Result<(), ConnectError>>>,
    /// It turned out to be one of HTTP/1.1: for whoever comes first.
    http1: RefCell<Option<Stream>>,
}

impl Connections {
    pub(super) fn new(connector: Connector) -> Rc<Self> {
        let (open, attempt) = (RefCell::default(), RefCell::default());
        Rc::new(Self { connector, open, attempt, speaks_http1: Cell::new(false) })
    }

    /// A stream on a connection that is open and has room.
    pub(super) fn stream(self: &Rc<Self>, wanted: Wanted) -> Option<BufferedIo<Stream>> {
        if self.open.borrow().is_empty() {
            return None;
        }
        Some(stream::start(self, self.slot(wanted)?))
    }

    fn slot(&self, wanted: Wanted) -> Option<Slot> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| connection.is_alive());
        // The one that was opened first: those that are not needed grow old.
        open.iter().find_map(|connection| connection.slot(wanted))
    }

    /// A link over a new connection, or over one that was made meanwhile.
    pub(super) async fn connect(self: &Rc<Self>, wanted: Wanted) -> Result<BufferedIo<Stream>, ConnectError> {
        let offer = match self.connector.http2() {
            Http2::Auto if self.connector.is_secure() => Offer::Either,
            Http2::PriorKnowledge => Offer::Http2,
            Http2::Auto | Http2::Off => return Ok(BufferedIo::new(self.connector.connect().await?)),
        };
        loop {
            if let Some(link) = self.stream(wanted) {
                return Ok(link);
            }
            if wanted == Wanted::WebSocket && self.takes_no_websocket() {
                return match offer {
                    Offer::Http2 => Err(ConnectError::NoWebSocket),
                    Offer::Either | Offer::Http1 => Ok(BufferedIo::new(self.connector.connect().await?)),
                };
            }
            let attempt = if self.speaks_http1.get() {
                let alone = Rc::new(Attempt::default());
                Rc::clone(self).make(Rc::clone(&alone), offer).await;
                alone
            } else {
                self.attempt(offer)
            };
            attempt.wait().await?;
            if let Some(stream) = attempt.http1.take() {
                return Ok(BufferedIo::new(stream));
            }
        }
    }

    /// A slot for an exchange that a service has refused before it looked at it.
    async fn another_slot(self: &Rc<Self>, wanted: Wanted) -> Option<Slot> {
        loop {
            if let Some(slot) = self.slot(wanted) {
                return Some(slot);
            }
            let attempt = self.attempt(Offer::Http2);
            attempt.wait().await.ok()?;
            if wanted == Wanted::WebSocket && self.takes_no_websocket() {
                return None;
            }
        }
    }

    fn takes_no_websocket(&self) -> bool {
        let open = self.open.borrow();
        !open.is_empty() && !open.iter().any(|connection| connection.takes_websockets())
    }

    /// The connection that is being made, or one that begins now.
    fn attempt(self: &Rc<Self>, offer: Offer) -> Rc<Attempt> {
        let mut current = self.attempt.borrow_mut();
        if let Some(attempt) = &*current {
            return Rc::clone(attempt);
        }
        let attempt = Rc::new(Attempt::default());
        *current = Some(Rc::clone(&attempt));
        // A task of its own, since whoever wanted it first may leave.
        spawn_local(Rc::clone(self).make(Rc::clone(&attempt), offer));
        attempt
    }

    async fn make(self: Rc<Self>, attempt: Rc<Attempt>, offer: Offer) {
        let outcome = match self.connector.offering(offer).await {
            Ok((stream, true)) => {
                self.speaks_http1.set(false);
                match Connection::open(stream, self.connector.within()).await {
                    Ok(connection) => {
                        self.open.borrow_mut().push(connection);
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Ok((stream, false)) => {
                self.speaks_http1.set(true);
                attempt.http1.replace(Some(stream));
                Ok(())
            }
            Err(error) => Err(error),
        };
        attempt.outcome.set(Some(outcome));
        let mut current = self.attempt.borrow_mut();
        if current.as_ref().is_some_and(|current| Rc::ptr_eq(current, &attempt)) {
            *current = None;
        }
        attempt.done.notify_waiters();
    }

    /// Puts nothing further on any connection: those without a stream are closed, the others when theirs have ended.
    pub(super) fn forget(&self) {
        self.open.borrow_mut().clear();
    }

    /// How many of the service's addresses have lately taken no connection.
    pub(super) fn resting(&self) -> usize {
        self.connector.resting()
    }

    /// Closes what has had no stream for so long, and forgets what the service has closed. What is old takes no further
    /// stream, so that a name that leads elsewhere by now is followed; those on it go on.
    pub(super) fn prune(&self, now: Instant, idle_max: Duration, age_max: Duration) {
        let stays = |connection: &Rc<Connection>| {
            connection.is_alive() && !connection.is_older(now, idle_max) && !connection.is_old(now, age_max)
        };
        self.open.borrow_mut().retain(stays);
    }
}

impl Attempt {
    async fn wait(&self) -> Result<(), ConnectError> {
        loop {
            let done = self.done.notified();
            if let Some(outcome) = self.outcome.get() {
                return outcome;
            }
            done.await;
        }
    }
}
