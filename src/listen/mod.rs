//! Where callers come in: sockets are accepted in one place and dealt out to workers, each request is answered by proxy
//! or erasure, and the end is in order.

mod accept;
mod addresses;
mod arrival;
mod books;
mod connection;
mod forward;
mod hello;
mod http2;
mod intercept;
mod original;
mod proxy_header;
mod redirected;
mod socket;
mod tunnel;
mod worker;

use std::io::Result;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::accept::Bound;
pub use self::intercept::{CaError, MadeCa, SecretPem, make_ca};
use self::worker::{Making, Order};
use crate::erasure::Eraser;
use crate::proxy::Shared;
use crate::telemetry::{Registry, events};

/// The workers and the acceptors of a gate that runs.
#[derive(Debug)]
pub struct Listening {
    workers: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    stop: watch::Sender<bool>,
}

/// Starts the workers, then accepts on what is bound. To be called within the runtime that accepts.
///
/// # Errors
/// When the system gives no thread.
pub fn start(bound: Vec<Bound>, shared: &Arc<Shared>, registry: &Registry, eraser: &Eraser) -> Result<Listening> {
    let mut workers = Vec::with_capacity(shared.workers);
    for number in 0..shared.workers {
        let (orders, received) = mpsc::unbounded_channel();
        let (shared, counters, eraser) = (Arc::clone(shared), registry.worker(number), eraser.clone());
        workers.push((orders, worker::start(Making { number, shared, counters, eraser }, received)?));
    }
    for each in &bound {
        warn_of_disbelief(each, shared);
    }
    let (stop, stopped) = watch::channel(false);
    let room = accept::Room::new(shared.limits.connections_max);
    let dealer = accept::Dealer::new(workers.iter().map(|(orders, _)| orders.clone()).collect());
    for each in bound {
        tokio::spawn(accept::accept(each, room.clone(), Arc::clone(&dealer), stopped.clone()));
    }
    Ok(Listening { workers, stop })
}

/// A listener's authority may be for other hosts than those that the upstreams name today, or its time may be over.
fn warn_of_disbelief(bound: &Bound, shared: &Shared) {
    for (host, why) in bound.disbelieved(shared.routes.hosts()) {
        let address = bound.address();
        let what = format!("at {address} TLS to {host} will fail, since clients do not believe its ca about it: {why}");
        events::Warned { what: &what }.emit();
    }
}

impl Listening {
    /// Stops accepting and lets what is on its way finish, at most for `limit`. Gives `false` if something was cut.
    pub async fn drain(self, limit: Duration) -> bool {
        self.stop.send_replace(true);
        let until = Instant::now() + limit;
        for (orders, _) in &self.workers {
            // A worker that is gone has nothing to finish.
            drop(orders.send(Order::Drain(until)));
        }
        let joined =
            tokio::task::spawn_blocking(move || self.workers.into_iter().all(|(_, thread)| thread.join().is_ok()));
        joined.await.unwrap_or(false) && Instant::now() < until
    }
}
