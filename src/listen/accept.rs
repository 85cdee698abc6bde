//! Accepting: one task a listener, sockets dealt out to the workers in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::connection_limit::ConnectionLimit;
use super::protocol_detect::ListenerRuntime;
use super::socket::Socket;
use super::worker::{AcceptedConnection, Order};
use crate::config::{Address, Listen};
use crate::net::{ActivatedSockets, BoundSocket, Peer};
use crate::telemetry::events;

/// After the system could not give a socket (no descriptors left), accepting rests for so long.
const REST: Duration = Duration::from_millis(50);

/// A listener that is bound and not yet accepted on.
#[derive(Debug)]
pub struct Bound {
    opened: BoundSocket,
    pub(super) door: Arc<ListenerRuntime>,
}

impl Bound {
    /// Opens the place that is configured, or takes it from what was open already.
    ///
    /// # Errors
    /// The system's: taken, not ours, not allowed; or a [`super::DoorError`] in it.
    pub fn to(listen: &Listen, inherited: &mut ActivatedSockets) -> std::io::Result<Self> {
        let door = Arc::new(ListenerRuntime::of(listen, None).map_err(std::io::Error::other)?);
        let opened = BoundSocket::at(&listen.address, listen.socket_mode, inherited)?;
        Ok(Self { opened, door })
    }

    /// Where it listens; the port is real, also if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.opened.address
    }
}

/// Deals sockets out in turn.
#[derive(Debug)]
pub(super) struct Dispatcher {
    workers: Vec<mpsc::UnboundedSender<Order>>,
    next: AtomicUsize,
}

impl Dispatcher {
    pub(super) fn new(workers: Vec<mpsc::UnboundedSender<Order>>) -> Arc<Self> {
        Arc::new(Self { workers, next: AtomicUsize::new(0) })
    }

    fn deal(&self, handed: AcceptedConnection) {
        let turn = self.next.fetch_add(1, Relaxed);
        if let Some(worker) = self.workers.get(turn % self.workers.len().max(1)) {
            // A worker that is gone leaves its sockets to be closed.
            drop(worker.send(Order::Serve(handed)));
        }
    }
}

/// An acceptor as those who started it see it. Dropped, it stops.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// Its number: no other ever has it.
    pub(super) number: u64,
    /// What is spoken there, for those who come from now on.
    door: Arc<ArcSwap<ListenerRuntime>>,
    _going: watch::Sender<()>,
}

impl Acceptor {
    /// Begins to accept. To be called within the runtime that accepts.
    pub(super) fn start(number: u64, bound: Bound, room: &ConnectionLimit, dealer: &Arc<Dispatcher>) -> Self {
        let door = Arc::new(ArcSwap::new(Arc::clone(&bound.door)));
        let (going, stopped) = watch::channel(());
        let accepting = Accepting { number, door: Arc::clone(&door), room: room.clone(), dealer: Arc::clone(dealer) };
        tokio::spawn(accept(bound.opened, accepting, stopped));
        Self { number, door, _going: going }
    }

    /// The same socket under another configuration.
    pub(super) fn speak(&self, door: Arc<ListenerRuntime>) {
        self.door.store(door);
    }

    /// What is spoken there now.
    pub(super) fn door(&self) -> Arc<ListenerRuntime> {
        self.door.load_full()
    }
}

/// What an acceptor works with.
struct Accepting {
    number: u64,
    door: Arc<ArcSwap<ListenerRuntime>>,
    room: ConnectionLimit,
    dealer: Arc<Dispatcher>,
}

/// Accepts until it is told to stop. It accepts first and then waits for room, so that an idle listener holds no room
/// that a busy one needs; further callers wait in the kernel's queue.
async fn accept(opened: BoundSocket, accepting: Accepting, mut stopped: watch::Receiver<()>) {
    let Accepting { number, door, room, dealer } = accepting;
    let address = opened.address.to_string();
    let failed = |error: &std::io::Error| events::AcceptFailed { address: &address, error: &error.to_string() }.emit();
    let listener = match opened.listen() {
        Ok(listener) => listener,
        Err(error) => return failed(&error),
    };
    loop {
        let next = async {
            let accepted = listener.accept().await;
            let permit = if accepted.is_ok() { room.take().await } else { None };
            (accepted, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            // Nothing is ever sent: an error is the end of the sender.
            _ = stopped.changed() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, from)) => {
                let Some(permit) = permit else { return };
                if let Some(socket) = Socket::of(stream) {
                    let (door, peer) = (door.load_full(), from.map_or_else(Peer::default, Peer::at));
                    dealer.deal(AcceptedConnection {
                        socket,
                        peer,
                        door,
                        listener: number,
                        permit,
                        room: room.clone(),
                    });
                }
            }
            Err(error) => {
                failed(&error);
                sleep(REST).await;
            }
        }
    }
}
