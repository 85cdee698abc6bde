//! Callers' connections: accepted in one place, dispatched to workers, answered by proxy or erasure, ended in order.

mod accept;
mod client_hello;
mod connect_proxy;
mod connection;
mod connection_limit;
mod current;
mod egress_policy;
mod http2;
mod intercept;
mod open_connections;
mod original_dst;
mod protocol_detect;
mod proxy_header;
mod socket;
mod tls;
mod transparent;
mod tunnel;
mod worker;

use std::io::Result;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

pub use self::accept::Bound;
use self::accept::{Acceptor, Dispatcher};
use self::connection_limit::Size;
pub use self::intercept::{CaError, MadeCa, SecretPem, make_ca};
pub use self::protocol_detect::DoorError;
use self::protocol_detect::ListenerRuntime;
use self::worker::{Making, Order, Reload};
use crate::config::{Config, Listen};
use crate::erasure::Eraser;
use crate::net::{ActivatedSockets, connections_that_fit};
use crate::proxy::Shared;
use crate::telemetry::{Registry, events};
use crate::tls::ServerIdentity;

/// How long a worker may take to turn to a new configuration: it does so between two steps of its requests.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// The workers and the acceptors of a gate that runs.
#[derive(Debug)]
pub struct Listening {
    workers: Vec<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    acceptors: Vec<Acceptor>,
    dealer: Arc<Dispatcher>,
    size: Size,
    /// The number of the next acceptor.
    next: u64,
}

/// The listeners of the next configuration, all of them ready.
#[derive(Debug)]
pub struct Prepared(Vec<Place>);

/// Where one of them comes from.
#[derive(Debug)]
enum Place {
    /// It is accepted on already; what is spoken there may be new.
    Open(u64, Arc<ListenerRuntime>),
    /// The same, and others are let in than before: those who are in have to come in again.
    Reopened(u64, Arc<ListenerRuntime>),
    /// It is bound and not yet accepted on.
    Bound(Bound),
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
    let dealer = Dispatcher::new(workers.iter().map(|(orders, _)| orders.clone()).collect());
    let size = Size::new(connections_that_fit(shared.limits.connections_max));
    let mut listening = Listening { workers, acceptors: Vec::new(), dealer, size, next: 0 };
    bound.iter().for_each(|bound| warn_of_disbelief(&bound.door, shared));
    listening.acceptors = bound.into_iter().map(|bound| listening.accept(bound)).collect();
    Ok(listening)
}

/// A listener's authority may be for other hosts than those that the upstreams name today, or its time may be over.
fn warn_of_disbelief(door: &ListenerRuntime, shared: &Shared) {
    for what in door.disbelieved(shared.routes.hosts()) {
        events::Warned { what: &what }.emit();
    }
}

/// What clients would not believe of the listeners' authorities, in sentences: for hosts that upstreams name, but for which
/// the authority is not good. Reads its files.
///
/// # Errors
/// [`CaError`] of an authority that cannot be used at all.
pub fn disbelieved(config: &Config) -> std::result::Result<Vec<String>, CaError> {
    let live = config.upstreams.iter().filter(|upstream| !upstream.retired);
    let hosts: Vec<&str> = live.flat_map(|upstream| upstream.route.hosts.iter().map(String::as_str)).collect();
    let mut all = Vec::new();
    for listen in &config.listen {
        if let Some(files) = &listen.interception.ca {
            let interceptor = intercept::Interceptor::load(files, listen.http2)?;
            all.extend(interceptor.disbelieved(&listen.address.to_string(), hosts.iter().copied()));
        }
    }
    Ok(all)
}

/// What is spoken at an open place from now on: as before, where nothing about it has changed.
fn again(acceptor: &Acceptor, listen: &Listen) -> Result<Place> {
    let door = acceptor.door();
    let door = if door.is_of(listen) {
        door
    } else {
        Arc::new(ListenerRuntime::of(listen, Some(&door)).map_err(std::io::Error::other)?)
    };
    // "open" goes by who could come in, and so do addresses that a PROXY header says.
    let lets_in = |listen: &Listen| {
        let client_ca = listen.tls.as_ref().and_then(|tls| tls.client_ca.clone());
        (client_ca, listen.proxy_protocol.clone())
    };
    let as_before = lets_in(&acceptor.door().listen) == lets_in(listen);
    Ok(if as_before { Place::Open(acceptor.number, door) } else { Place::Reopened(acceptor.number, door) })
}

impl Listening {
    fn accept(&mut self, bound: Bound) -> Acceptor {
        self.next += 1;
        Acceptor::start(self.next, bound, self.size.room(), &self.dealer)
    }

    /// Makes the listeners of a new configuration ready, and changes nothing: those whose address is listened at already
    /// keep their socket, the others are bound.
    ///
    /// # Errors
    /// Each that cannot be had, by its place among the listeners: the system's errors, or a [`DoorError`] in one.
    pub fn prepare(&self, listens: &[Listen]) -> std::result::Result<Prepared, Vec<(usize, std::io::Error)>> {
        let (mut places, mut failed) = (Vec::new(), Vec::new());
        let mut open: Vec<&Acceptor> = self.acceptors.iter().collect();
        for (nth, listen) in listens.iter().enumerate() {
            let at = open.iter().position(|acceptor| acceptor.door().listen.address == listen.address);
            let place = match at.map(|at| open.remove(at)) {
                Some(acceptor) => again(acceptor, listen),
                None => Bound::to(listen, &mut ActivatedSockets::default()).map(Place::Bound),
            };
            match place {
                Ok(place) => places.push(place),
                Err(error) => failed.push((nth, error)),
            }
        }
        if failed.is_empty() { Ok(Prepared(places)) } else { Err(failed) }
    }

    /// What is shown in handshakes, and where.
    pub fn tls(&self) -> impl Iterator<Item = (String, Arc<ServerIdentity>)> {
        self.acceptors.iter().filter_map(|acceptor| {
            let door = acceptor.door();
            Some((format!("listener {}", door.listen.address), Arc::clone(door.tls.as_ref()?)))
        })
    }

    /// Turns to a new configuration: what begins from now on is served under it. When this returns all workers have turned.
    pub async fn reload(&mut self, prepared: Prepared, shared: &Arc<Shared>, registry: &Registry) {
        self.size.resize(connections_that_fit(shared.limits.connections_max)).await;
        let mut before = std::mem::take(&mut self.acceptors);
        let mut closed = Vec::new();
        for place in prepared.0 {
            if let Place::Reopened(number, _) = &place {
                closed.push(*number);
            }
            let acceptor = match place {
                Place::Bound(bound) => Some(self.accept(bound)),
                Place::Open(number, door) | Place::Reopened(number, door) => {
                    let at = before.iter().position(|acceptor| acceptor.number == number);
                    at.map(|at| before.remove(at)).inspect(|acceptor| acceptor.speak(door))
                }
            };
            self.acceptors.extend(acceptor);
        }
        closed.extend(before.iter().map(|acceptor| acceptor.number));
        let closed: Arc<[u64]> = closed.into();
        drop(before);
        self.acceptors.iter().for_each(|acceptor| warn_of_disbelief(&acceptor.door(), shared));
        let (done, mut all_done) = mpsc::channel(1);
        for (number, (orders, _)) in self.workers.iter().enumerate() {
            let (shared, counters) = (Arc::clone(shared), registry.worker(number));
            let reload = Reload { shared, counters, closed: Arc::clone(&closed), _done: done.clone() };
            // A worker that is gone serves nobody.
            drop(orders.send(Order::Reload(reload)));
        }
        drop(done);
        // One that is late turns all the same.
        timeout(TURN_WITHIN, all_done.recv()).await.ok();
    }

    /// Stops accepting and lets what is on its way finish, at most for `limit`. Gives `false` if something was cut.
    pub async fn drain(self, limit: Duration) -> bool {
        drop(self.acceptors);
        let until = Instant::now() + limit;
        for (orders, _) in &self.workers {
            // A worker that is gone has nothing to finish.
            drop(orders.send(Order::Drain(until)));
        }
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|(_, thread)| thread.join().is_ok()));
        joined.await.unwrap_or(false) && Instant::now() < until
    }
}
