//! HTTP/1.1 on the admin listener. Everything is bounded: connections, heads, bodies, and how long each may take.
//!
//! Whoever comes is let in: where all places are taken, the connection that has said nothing for the longest time ends. So
//! health is told however many connections somebody holds open. See docs/decisions/015-admin-connections.md.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::Listener;
use super::problem::{Answer, Problem};
use super::refusals::Refusals;
use super::{State, router};
use crate::net::Stream;
use crate::telemetry::{HandshakeEnd, events};
use crate::tls::ServerIdentity;

/// Connections at once.
const CONNECTIONS_MAX: usize = 128;
/// Bytes and lines of a head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// From the end of one exchange to the last byte of the next head: also how long an idle connection is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
/// A TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller is kept waiting. What was begun goes on.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long open exchanges may take after the drain began.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// After a failed accept: the process may be out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
struct Gate {
    state: Arc<State>,
    refusals: Refusals,
    tls: Option<Arc<ServerIdentity>>,
}

/// Serves the admin API until `drain` is cancelled, then lets open exchanges end and returns, at most five seconds
/// later. Cancel it last: health and metrics are wanted while the data path drains. Connections begin with a handshake
/// if there is `tls`.
pub async fn serve(listener: Listener, tls: Option<Arc<ServerIdentity>>, state: Arc<State>, drain: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let held = Arc::new(Held::default());
    let connections = TaskTracker::new();
    let gate = Arc::new(Gate { state, refusals: Refusals::default(), tls });
    while let Some(Some((stream, slot))) = drain.run_until_cancelled(accept(&listener, &slots, &held)).await {
        let place = Arc::new(held.enter(slot));
        let (ended, serving) = (place.ended.clone(), connection(stream, place, Arc::clone(&gate), drain.clone()));
        connections.spawn(ended.run_until_cancelled_owned(serving));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, with its slot. `None` never comes while the semaphore is open, and nobody closes it.
async fn accept(listener: &Listener, slots: &Arc<Semaphore>, held: &Held) -> Option<(Stream, OwnedSemaphorePermit)> {
    loop {
        match listener.accept().await {
            Ok(stream) => {
                if slots.available_permits() == 0 {
                    held.end_the_oldest();
                }
                return Some((stream, Arc::clone(slots).acquire_owned().await.ok()?));
            }
            Err(error) => {
                events::AcceptFailed { address: "admin", error: &error.to_string() }.emit();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that are open, in the order in which they last did something.
#[derive(Default)]
struct Held(Mutex<Order>);

#[derive(Default)]
struct Order {
    /// The number of the next that does something.
    next: u64,
    /// Those of which nothing has come, or nothing further.
    silent: BTreeMap<u64, CancellationToken>,
    /// Those on which a call is being answered: they end only where there is no other.
    busy: BTreeMap<u64, CancellationToken>,
}

/// An open connection among those that are held.
struct Place {
    held: Arc<Held>,
    number: AtomicU64,
    ended: CancellationToken,
    _slot: OwnedSemaphorePermit,
}

impl Held {
    fn enter(self: &Arc<Self>, slot: OwnedSemaphorePermit) -> Place {
        let ended = CancellationToken::new();
        let number = AtomicU64::new(self.0.lock().put(ended.clone(), false));
        Place { held: Arc::clone(self), number, ended, _slot: slot }
    }

    fn end_the_oldest(&self) {
        let mut order = self.0.lock();
        let oldest = order.silent.pop_first().or_else(|| order.busy.pop_first());
        if let Some((_, ended)) = oldest {
            ended.cancel();
        }
    }
}

impl Order {
    fn put(&mut self, ended: CancellationToken, busy: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        let among = if busy { &mut self.busy } else { &mut self.silent };
        among.insert(number, ended);
        number
    }

    fn take(&mut self, number: u64) -> bool {
        self.silent.remove(&number).or_else(|| self.busy.remove(&number)).is_some()
    }
}

impl Place {
    fn is(&self, busy: bool) {
        let mut order = self.held.0.lock();
        // One that is to end stays so.
        if order.take(self.number.load(Relaxed)) {
            self.number.store(order.put(self.ended.clone(), busy), Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.0.lock().take(self.number.load(Relaxed));
    }
}

async fn connection(stream: Stream, place: Arc<Place>, gate: Arc<Gate>, drain: CancellationToken) {
    let secured = drain.run_until_cancelled(secured(stream, gate.tls.as_deref()));
    let Some(Some(stream)) = secured.await else { return };
    let service = service_fn(move |request| {
        let (gate, place) = (Arc::clone(&gate), Arc::clone(&place));
        async move {
            place.is(true);
            let answer = exchange(gate, request).await;
            place.is(false);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is the caller's affair: there is nobody to tell.
    if drain.run_until_cancelled(connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        drop(timeout(DRAIN_WITHIN, connection).await);
    }
}

/// The connection behind its handshake. `None` is one that has ended.
async fn secured(stream: Stream, tls: Option<&ServerIdentity>) -> Option<Stream> {
    let Some(tls) = tls else { return Some(stream) };
    let failed = |reason: &str| events::HandshakeFailed { reason }.emit();
    match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
        Ok(Ok((stream, _))) => Some(stream),
        Ok(Err(fault)) => {
            failed(fault.counted().as_str());
            None
        }
        Err(_) => {
            failed(HandshakeEnd::Timeout.as_str());
            None
        }
    }
}

/// One exchange, in a task of its own: a caller who leaves ends nothing that was begun, and a panic is an answer.
async fn exchange(gate: Arc<Gate>, request: Request<Incoming>) -> Answer {
    let answering = tokio::spawn(async move { router::answer(&gate.state, &gate.refusals, request).await });
    match timeout(ANSWER_WITHIN, answering).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            events::TaskPanicked { task: "admin call" }.emit();
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the gate failed at this call").answer()
        }
        Err(_) => {
            Problem::unavailable("timeout", "it takes longer than thirty seconds; what was begun goes on").answer()
        }
    }
}
