//! A worker is a thread: one current-thread runtime, its own upstream connections, its own counters. A request never
//! leaves it, so nothing on its way needs a lock that another worker could hold.

use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::Serving;
use super::connection_limit::ConnectionLimit;
use super::current::Current;
use super::open_connections::{Books, Entered};
use super::protocol_detect::{ListenerRuntime, arrive};
use super::socket::Socket;
use crate::erasure::Eraser;
use crate::net::Peer;
use crate::proxy::{Gate, Shared};
use crate::telemetry::WorkerCounters;
use crate::upstream::looked;

/// How often a worker looks at its clock and its connections.
const TICK: Duration = Duration::from_millis(200);

/// How often, while draining, it looks whether all has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// A socket on its way from the acceptor to a worker. It counts against `connections_max` until the permit is dropped.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    /// What is spoken where it came in.
    pub(super) door: Arc<ListenerRuntime>,
    /// The number of the listener.
    pub(super) listener: u64,
    pub(super) permit: OwnedSemaphorePermit,
    /// Where its streams have places, if it is one of HTTP/2.
    pub(super) room: ConnectionLimit,
}

/// A new configuration.
#[derive(Clone, Debug)]
pub(super) struct Reload {
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<WorkerCounters>,
    /// Numbers of the listeners that are no more, or let others in now: their connections end with what is being handled on them.
    pub(super) closed: Arc<[u64]>,
    /// Dropped once it is in force.
    pub(super) _done: mpsc::Sender<Never>,
}

/// Nothing is ever sent: that all senders are gone is what is heard.
#[derive(Debug)]
pub(super) enum Never {}

/// What a worker is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Serve this.
    Serve(AcceptedConnection),
    /// Serve what comes from now on under this configuration.
    Reload(Reload),
    /// Finish what is being handled, at most until then, and end.
    Drain(Instant),
}

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) eraser: Eraser,
}

/// Starts a worker.
pub(super) fn start(making: Making, orders: mpsc::UnboundedReceiver<Order>) -> io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().on_thread_unpark(looked).build()?;
    std::thread::Builder::new().name(format!("worker-{}", making.number)).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, Worker::new(making).run(orders));
        drop(local);
        // A name service that hangs holds a thread, which a stop does not wait for.
        runtime.shutdown_background();
    })
}

/// A connection that counts, until its task ends, however it does.
struct Open {
    counters: Arc<WorkerCounters>,
    _entered: Entered,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.connection_closed();
    }
}

struct Worker {
    current: Current,
    /// Gates of configurations before, under which requests are still being handled.
    former: Vec<Weak<Gate>>,
    eraser: Eraser,
    books: Books,
}

impl Worker {
    fn new(making: Making) -> Self {
        let current = Current::new(Gate::new(making.shared, making.counters));
        Self { current, former: Vec::new(), eraser: making.eraser, books: Books::new() }
    }

    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Serve(handed)) => self.serve(handed),
                    Some(Order::Reload(reload)) => self.reload(reload),
                    Some(Order::Drain(until)) => return self.drain(until).await,
                    None => return,
                },
                _ = tick.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        self.books.set_now(Instant::now());
        // What was taken out of a former gate's pools comes back to them, and must not stay.
        self.former.retain(|former| former.upgrade().inspect(|gate| gate.tick()).is_some());
        // Last, so that what it says of its upstreams is what is shown of them.
        let gate = self.current.gate();
        gate.tick();
        self.books.each(|_, connection| connection.look(gate.limits()));
    }

    fn reload(&mut self, reload: Reload) {
        let next = self.current.gate().next(reload.shared, reload.counters);
        let former = self.current.replace(next);
        self.former.push(Rc::downgrade(&former));
        self.books.each(|listener, connection| {
            if reload.closed.contains(&listener) {
                connection.drain();
            }
        });
    }

    fn serve(&self, handed: AcceptedConnection) {
        let AcceptedConnection { socket, peer, door, listener, permit, room } = handed;
        // A socket that cannot be had any more belongs to a client that has left.
        let Ok(stream) = socket.into_stream() else { return };
        let books = self.books.of(listener);
        let (watch, entered) = books.enter();
        let (current, eraser) = (self.current.clone(), self.eraser.clone());
        let serving = Box::new(Serving { current, eraser, watch, peer, books, door, room });
        let counters = Arc::clone(self.current.gate().counters());
        counters.connection_opened();
        let open = Open { counters, _entered: entered, _permit: permit };
        spawn_local(async move {
            arrive(stream, serving).await;
            drop(open);
        });
    }

    /// No new requests; what is on its way is finished. The hard end is the caller's: it drops what is left.
    async fn drain(mut self, until: Instant) {
        self.books.each(|_, connection| connection.drain());
        let mut look = interval(DRAIN_LOOK);
        while Instant::now() < until && !(self.books.is_empty() && self.current.gate().in_flight() == 0) {
            look.tick().await;
            self.look();
        }
    }
}
