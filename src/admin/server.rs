//! HTTP/1.1 on the admin listener. Everything is bounded: connections, heads, bodies, and how long each may take.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::Listener;
use super::problem::{Answer, Problem};
use super::refusals::Refusals;
use super::{State, router};
use crate::telemetry::{HandshakeEnd, events};
use crate::wire::{ServerTls, Stream};

/// Connections at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 128;
/// Bytes and lines of a head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// From the end of one exchange to the last byte of the next head: also how long an idle connection is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
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
    tls: Option<Arc<ServerTls>>,
}

/// Serves the admin API until `drain` is cancelled, then lets open exchanges end and returns, at most five seconds
/// later. Cancel it last: health and metrics are wanted while the data path drains. Connections begin with a handshake
/// if there is `tls`.
pub async fn serve(listener: Listener, tls: Option<Arc<ServerTls>>, state: Arc<State>, drain: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    let gate = Arc::new(Gate { state, refusals: Refusals::default(), tls });
    while let Some(Some((stream, slot))) = drain.run_until_cancelled(accept(&listener, &slots)).await {
        connections.spawn(connection(stream, slot, Arc::clone(&gate), drain.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, with its slot. `None` never comes while the semaphore is open, and nobody closes it.
async fn accept(listener: &Listener, slots: &Arc<Semaphore>) -> Option<(Stream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok(stream) => return Some((stream, slot)),
            Err(error) => {
                events::AcceptFailed { address: "admin", error: &error.to_string() }.emit();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: Stream, _slot: OwnedSemaphorePermit, gate: Arc<Gate>, drain: CancellationToken) {
    let secured = drain.run_until_cancelled(secured(stream, gate.tls.as_deref()));
    let Some(Some(stream)) = secured.await else { return };
    let service = service_fn(move |request| {
        let gate = Arc::clone(&gate);
        async move { Ok::<_, Infallible>(exchange(gate, request).await) }
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
async fn secured(stream: Stream, tls: Option<&ServerTls>) -> Option<Stream> {
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
