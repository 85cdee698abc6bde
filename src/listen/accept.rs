//! Accepting: one task a listener, sockets dealt out to the workers in turn.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::arrival::Door;
use super::worker::{Handed, Order};
use crate::config::Listen;
use crate::telemetry::events;
use crate::wire::{Peer, ServerTls};

/// Connections that the kernel may keep waiting.
const BACKLOG: i32 = 4096;

/// After the system could not give a socket (no descriptors left), accepting rests for so long.
const REST: Duration = Duration::from_millis(50);

/// A listener that is bound and not yet accepted on.
#[derive(Debug)]
pub struct Bound {
    listener: StdTcpListener,
    door: Arc<Door>,
    /// Where it listens; the port is real, also if 0 was asked for.
    pub address: SocketAddr,
}

impl Bound {
    /// Binds an address. Every connection begins with a handshake if there is `tls`.
    ///
    /// # Errors
    /// The system's: taken, not ours, not allowed.
    pub fn to(address: SocketAddr, listen: &Listen, tls: Option<Arc<ServerTls>>) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = StdTcpListener::from(socket);
        let address = listener.local_addr()?;
        Ok(Self { listener, door: Arc::new(Door { listen: listen.clone(), tls }), address })
    }
}

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))))
    }
}

/// Deals sockets out in turn.
#[derive(Debug)]
pub(super) struct Dealer {
    workers: Vec<mpsc::UnboundedSender<Order>>,
    next: AtomicUsize,
}

impl Dealer {
    pub(super) fn new(workers: Vec<mpsc::UnboundedSender<Order>>) -> Arc<Self> {
        Arc::new(Self { workers, next: AtomicUsize::new(0) })
    }

    fn deal(&self, handed: Handed) {
        let turn = self.next.fetch_add(1, Relaxed);
        if let Some(worker) = self.workers.get(turn % self.workers.len().max(1)) {
            // A worker that is gone leaves its sockets to be closed.
            drop(worker.send(Order::Serve(handed)));
        }
    }
}

/// Accepts until it is told to stop. While there is no room the kernel's queue holds the callers.
pub(super) async fn accept(bound: Bound, room: Room, dealer: Arc<Dealer>, mut stopped: watch::Receiver<bool>) {
    let address = bound.address.to_string();
    let failed = |error: &std::io::Error| events::AcceptFailed { address: &address, error: &error.to_string() }.emit();
    let listener = match TcpListener::from_std(bound.listener) {
        Ok(listener) => listener,
        Err(error) => return failed(&error),
    };
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = Arc::clone(&room.0).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let accepted = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = next => accepted,
        };
        let Some((accepted, permit)) = accepted else { return };
        match accepted {
            Ok((socket, peer)) => {
                if let Some(socket) = plain(socket) {
                    dealer.deal(Handed { socket, peer: Peer::at(peer.ip()), door: Arc::clone(&bound.door), permit });
                }
            }
            Err(error) => {
                failed(&error);
                sleep(REST).await;
            }
        }
    }
}

/// A socket that no runtime holds, so that a worker's may: small answers leave at once.
fn plain(socket: TcpStream) -> Option<std::net::TcpStream> {
    socket.set_nodelay(true).ok()?;
    socket.into_std().ok()
}
