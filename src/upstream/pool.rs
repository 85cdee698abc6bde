//! A worker's connections to one upstream: taken for one exchange, given back after one that ended well.
//!
//! A pool belongs to one thread, as its connections do. The connection that was used last is taken first: those that are
//! not needed grow old and are closed here, before the service closes them under a request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use super::http2::{Connections, Wanted};
use super::turn::{self, Look};
use super::{ConnectError, Connector};
use crate::wire::{Link, Stream};

/// How long an idle connection is believed to be alive at the other end. Shorter than what servers commonly allow (Node:
/// 5 s), so that the gate closes first and no request meets a connection that is being closed.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Idle connections a worker keeps to one upstream; beyond it the oldest are closed.
const IDLE_CONNECTIONS_MAX: usize = 256;

#[derive(Debug)]
struct Idle {
    link: Link<Stream>,
    since: Instant,
    put_back: Look,
}

/// Connections to one upstream.
#[derive(Debug)]
pub struct Pool {
    idle: RefCell<Vec<Idle>>,
    http2: Rc<Connections>,
}

/// A connection that is taken out of the pool for one exchange. Dropped, it is closed.
#[derive(Debug)]
pub struct Taken {
    /// The connection.
    pub link: Link<Stream>,
    /// Was it used before? Then it may have died in the meantime.
    pub reused: bool,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self { idle: RefCell::new(Vec::new()), http2: Connections::new(connector) }
    }

    /// A connection that is there already, if one is alive and has room. `now` saves a look at the clock.
    #[must_use]
    pub fn idle(&self, wanted: Wanted, now: Instant) -> Option<Taken> {
        if let Some(link) = self.http2.stream(wanted) {
            return Some(Taken { link, reused: false });
        }
        let mut idle = self.idle.borrow_mut();
        loop {
            // Rather one that was looked at since it came back than the very last.
            let at = idle.iter().rposition(|each| turn::has_looked_since(each.put_back, now));
            let Idle { mut link, since, .. } = match at {
                Some(at) => idle.remove(at),
                None => idle.pop()?,
            };
            let fresh = now.saturating_duration_since(since) <= IDLE_MAX;
            if fresh && is_quiet(&mut link) && (at.is_some() || is_silent(&link)) {
                return Some(Taken { link, reused: true });
            }
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`ConnectError`] when it cannot be made in time.
    pub async fn connect(&self, wanted: Wanted) -> Result<Taken, ConnectError> {
        Ok(Taken { link: self.http2.connect(wanted).await?, reused: false })
    }

    /// Gives a connection back after an exchange that ended on both sides.
    pub fn put_back(&self, mut link: Link<Stream>, now: Instant) {
        // A stream carries one exchange, and what a service sends unasked is no answer to the next request.
        if matches!(link.stream(), Stream::Memory(_)) || !link.input.is_empty() || !link.is_flushed() {
            return;
        }
        link.park();
        let mut idle = self.idle.borrow_mut();
        if idle.len() == IDLE_CONNECTIONS_MAX {
            idle.remove(0);
        }
        idle.push(Idle { link, since: now, put_back: turn::last() });
    }

    /// Closes all that is idle; what is busy carries nothing further.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
        self.http2.forget();
    }

    /// Closes what has been idle for too long, or was closed by the service.
    pub fn prune(&self, now: Instant) {
        self.http2.prune(now, IDLE_MAX);
        self.idle
            .borrow_mut()
            .retain_mut(|idle| now.duration_since(idle.since) <= IDLE_MAX && is_quiet(&mut idle.link));
    }
}

/// Is the same true of what the runtime has not looked for yet? While a worker is busy that may be a while, and whatever
/// came in it would be taken for the next answer. Costs a system call, so it is asked only then.
fn is_silent(link: &Link<Stream>) -> bool {
    link.stream().socket().is_none_or(|socket| {
        let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    })
}

/// Has the service neither closed it nor said anything unasked? Costs no system call while nothing has come.
fn is_quiet(link: &mut Link<Stream>) -> bool {
    // A task that has done much is told to wait even where something has come; that would be taken for quiet here.
    let look = unconstrained(poll_fn(|cx| link.poll_fill(cx, usize::MAX)));
    pin!(look).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}
