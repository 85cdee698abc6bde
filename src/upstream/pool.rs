//! A worker's connections to one upstream: taken for one exchange, given back after one that ended well.
//!
//! A pool belongs to one thread, as its connections do. The connection that was used last is taken first: those that are
//! not needed grow old and are closed here, before the service closes them under a request.

use std::cell::{Cell, RefCell};
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
use super::pool_limit::Places;
use super::reactor_epoch::{self, Look};
use super::{ConnectError, Connector, NoPlace, Place};
use crate::config::Limits;
use crate::http1::BufferedIo;
use crate::net::Stream;

/// A service that says for how long it keeps an idle connection is left so much earlier.
const AHEAD_OF_SERVICE: Duration = Duration::from_secs(1);

/// Idle connections a worker keeps to one upstream; beyond it the oldest are closed.
const IDLE_CONNECTIONS_MAX: usize = 256;

#[derive(Debug)]
struct Idle {
    link: BufferedIo<Stream>,
    since: Instant,
    /// When it was opened.
    opened: Instant,
    /// For how long it is believed to be alive at the other end.
    idle_max: Duration,
    put_back: Look,
}

/// What came back, in this order. An entry moves once, however often the pool is asked.
#[derive(Debug, Default)]
struct Rested {
    /// Looked at by the runtime since they came back.
    looked_at: Vec<Idle>,
    /// Not yet, when last asked.
    new: Vec<Idle>,
}

impl Rested {
    /// The last to come back, rather one that was looked at since then; whether it was.
    fn pop(&mut self, now: Instant) -> Option<(Idle, bool)> {
        if self.new.first().is_some_and(|first| !first.put_back.is_last()) {
            let looked_at = self.new.partition_point(|each| !each.put_back.is_last());
            self.looked_at.extend(self.new.drain(..looked_at));
        }
        let known = if reactor_epoch::is_recent(now) { self.looked_at.pop() } else { None };
        let unknown = |rested: &mut Self| rested.new.pop().or_else(|| rested.looked_at.pop());
        known.map(|idle| (idle, true)).or_else(|| unknown(self).map(|idle| (idle, false)))
    }

    fn push(&mut self, idle: Idle) {
        if self.looked_at.len() + self.new.len() == IDLE_CONNECTIONS_MAX {
            // The oldest.
            let from = if self.looked_at.is_empty() { &mut self.new } else { &mut self.looked_at };
            from.remove(0);
        }
        self.new.push(idle);
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Idle) -> bool) {
        self.looked_at.retain_mut(&mut keep);
        self.new.retain_mut(keep);
    }
}

/// Connections to one upstream.
#[derive(Debug)]
pub struct Pool {
    idle: RefCell<Rested>,
    http2: Rc<Connections>,
    places: Places,
    bounds: Cell<Bounds>,
}

/// What a configuration says of a pool.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    places: usize,
    idle_max: Duration,
    age_max: Duration,
}

impl Bounds {
    fn of(limits: &Limits, workers: usize) -> Self {
        Self {
            places: limits.upstream_connections_max / workers.max(1),
            idle_max: limits.upstream_idle_timeout,
            age_max: limits.upstream_connection_age,
        }
    }
}

/// A connection that is taken out of the pool for one exchange. Dropped, it is closed.
#[derive(Debug)]
pub struct Taken {
    /// The connection.
    pub link: BufferedIo<Stream>,
    /// Whether it was used before: then it may have died in the meantime.
    pub reused: bool,
    /// When it was opened.
    pub opened: Instant,
}

impl Pool {
    /// An empty pool, of one of so many workers that share the bounds.
    #[must_use]
    pub fn new(connector: Connector, limits: &Limits, workers: usize) -> Self {
        let bounds = Bounds::of(limits, workers);
        Self {
            idle: RefCell::default(),
            http2: Connections::new(connector),
            places: Places::new(bounds.places, limits.connect_timeout),
            bounds: Cell::new(bounds),
        }
    }

    /// The same connections under other bounds. `connect_timeout` is the connector's, and so as it was.
    pub fn rebound(&self, limits: &Limits, workers: usize) {
        let next = Bounds::of(limits, workers);
        let before = self.bounds.replace(next);
        self.places.resize(before.places, next.places);
    }

    /// A place for one exchange, if one is free; to be held for as long as it has a connection.
    #[must_use]
    pub fn free_place(&self) -> Option<Place> {
        self.places.free()
    }

    /// The next place that comes free.
    ///
    /// # Errors
    /// [`NoPlace`] after `connect_timeout`.
    pub async fn next_place(&self) -> Result<Place, NoPlace> {
        self.places.wait().await
    }

    /// A connection that is there already, if one is alive and has room. `now` saves a look at the clock.
    #[must_use]
    pub fn idle(&self, wanted: Wanted, now: Instant) -> Option<Taken> {
        if let Some(link) = self.http2.stream(wanted) {
            return Some(Taken { link, reused: false, opened: now });
        }
        let mut idle = self.idle.borrow_mut();
        loop {
            let (Idle { mut link, since, opened, idle_max, .. }, looked_at) = idle.pop(now)?;
            let fresh = now.saturating_duration_since(since) <= idle_max;
            if fresh && is_quiet(&mut link) && (looked_at || is_silent(&link)) {
                return Some(Taken { link, reused: true, opened });
            }
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`ConnectError`] when it cannot be made in time.
    pub async fn connect(&self, wanted: Wanted) -> Result<Taken, ConnectError> {
        let link = self.http2.connect(wanted).await?;
        Ok(Taken { link, reused: false, opened: Instant::now() })
    }

    /// Gives a connection back after an exchange that ended on both sides. `kept` is for how long the service says that it
    /// keeps it.
    pub fn put_back(&self, mut link: BufferedIo<Stream>, opened: Instant, kept: Option<Duration>, now: Instant) {
        // A stream carries one exchange, and what a service sends unasked is no answer to the next request.
        if matches!(link.stream(), Stream::Memory(_)) || !link.input.is_empty() || !link.is_flushed() {
            return;
        }
        let Bounds { idle_max, age_max, .. } = self.bounds.get();
        let idle_max = kept.map_or(idle_max, |kept| idle_max.min(kept.saturating_sub(AHEAD_OF_SERVICE)));
        // One that is old goes, so that a name that leads elsewhere by now is followed.
        if idle_max.is_zero() || now.saturating_duration_since(opened) > age_max {
            return;
        }
        link.park();
        self.idle.borrow_mut().push(Idle { link, since: now, opened, idle_max, put_back: reactor_epoch::last() });
    }

    /// How many of the service's addresses have lately taken no connection.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.http2.resting()
    }

    /// Closes all that is idle; what is busy carries nothing further.
    pub fn clear(&self) {
        *self.idle.borrow_mut() = Rested::default();
        self.http2.forget();
    }

    /// Closes what has been idle for too long, or was closed by the service.
    pub fn prune(&self, now: Instant) {
        let Bounds { idle_max, age_max, .. } = self.bounds.get();
        self.http2.prune(now, idle_max, age_max);
        self.idle.borrow_mut().retain(|idle| {
            now.saturating_duration_since(idle.since) <= idle.idle_max.min(idle_max) && is_quiet(&mut idle.link)
        });
    }
}

/// Peeks at the socket for bytes that the runtime has not reported. While a worker is busy that may be a while, and
/// whatever came in it would be taken for the next answer. Costs a system call, so it is asked only then.
fn is_silent(link: &BufferedIo<Stream>) -> bool {
    link.stream().socket().is_none_or(|socket| {
        let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    })
}

/// Whether the service has neither closed it nor said anything unasked. Costs no system call while nothing has come.
fn is_quiet(link: &mut BufferedIo<Stream>) -> bool {
    // A task that has done much is told to wait even where something has come; that would be taken for quiet here.
    let look = unconstrained(poll_fn(|cx| link.poll_fill(cx, usize::MAX)));
    pin!(look).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}
