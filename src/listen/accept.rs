//! Accepting: one task a listener, sockets dealt out to the workers in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::arrival::Door;
use super::socket::Socket;
use super::worker::{Handed, Order};
use crate::config::{Address, Listen};
use crate::telemetry::events;
use crate::wire::{Inherited, Opened, Peer};

/// After the system could not give a socket (no descriptors left), accepting rests for so long.
const REST: Duration = Duration::from_millis(50);

/// A listener that is bound and not yet accepted on.
#[derive(Debug)]
pub struct Bound {
    opened: Opened,
    door: Arc<Door>,
}

impl Bound {
    /// Opens the place that is configured, or takes it from what was open already.
    ///
    /// # Errors
    /// The system's: taken, not ours, not allowed; or a [`super::CaError`] in it, of the listener's authority.
    pub fn to(listen: &Listen, inherited: &mut Inherited) -> std::io::Result<Self> {
        let door = Arc::new(Door::of(listen).map_err(std::io::Error::other)?);
        let opened = Opened::at(&listen.address, listen.socket_mode, inherited)?;
        Ok(Self { opened, door })
    }

    /// Where it listens; the port is real, also if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.opened.address
    }

    /// The hosts for which clients will not believe the certificates that are shown here, and why.
    pub(super) fn disbelieved<'h>(&self, hosts: impl Iterator<Item = &'h str>) -> Vec<(&'h str, String)> {
        let Some(interceptor) = &self.door.interceptor else { return Vec::new() };
        hosts.filter_map(|host| Some((host, interceptor.objection(host)?))).collect()
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
    let Bound { opened, door } = bound;
    let address = opened.address.to_string();
    let failed = |error: &std::io::Error| events::AcceptFailed { address: &address, error: &error.to_string() }.emit();
    let listener = match opened.listen() {
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
            Ok((stream, from)) => {
                if let Some(socket) = Socket::of(stream) {
                    let peer = from.map_or_else(Peer::default, Peer::at);
                    dealer.deal(Handed { socket, peer, door: Arc::clone(&door), permit });
                }
            }
            Err(error) => {
                failed(&error);
                sleep(REST).await;
            }
        }
    }
}
