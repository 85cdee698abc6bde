//! Where a service is: its name looked up, and its addresses in the order in which they are tried.
//!
//! Connections are spread over the addresses in turn. One that does not take them rests: it goes to the end of the order
//! for some seconds, and then one connection asks whether it is back. None is ever left out, so that a service of which
//! all rest is still tried. See docs/decisions/009-addresses.md.

mod lookup;
mod race;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use self::lookup::{Lookup, Resolver};
pub(super) use self::race::first_of;
use super::{ConnectError, Stage};

/// How long an address rests.
const REST: Duration = Duration::from_secs(10);
/// Addresses that are kept in mind; more rest no more.
const RESTING_MAX: usize = 256;

/// The addresses of one service. Shared by all that connect to it.
#[derive(Debug)]
pub(super) struct Addresses {
    lookup: Lookup,
    order: Mutex<Order>,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self::found_by(match host.parse::<IpAddr>() {
            Ok(ip) => Resolver::Literal(SocketAddr::new(ip, port)),
            Err(_) => Resolver::System { host: host.into(), port },
        })
    }

    fn found_by(resolver: Resolver) -> Self {
        Self { lookup: Lookup::new(resolver), order: Mutex::default() }
    }

    /// A connection to one of them.
    pub(super) async fn connect(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let found = match timeout_at(deadline, self.lookup.addresses()).await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(ConnectError::Resolve),
            Err(_) => return Err(ConnectError::Timeout(Stage::Resolve)),
        };
        let order = self.order.lock().of(&found, Instant::now());
        first_of(&order, deadline, |address, takes| self.order.lock().note(address, takes, Instant::now())).await
    }

    /// What its name leads to at this moment.
    pub(super) async fn found(&self) -> Option<std::sync::Arc<[SocketAddr]>> {
        self.lookup.addresses().await
    }

    /// How many addresses rest at this moment.
    pub(super) fn resting(&self) -> usize {
        self.order.lock().resting.len()
    }
}

/// Which address is tried first.
#[derive(Debug, Default)]
struct Order {
    /// Who rests, and until when. An entry whose time is over stays until a connection has asked there.
    resting: HashMap<SocketAddr, Instant>,
    turn: usize,
}

impl Order {
    /// These addresses in their order for the next connection.
    fn of(&mut self, found: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        // Whoever asks after an address that the name no longer has? Nobody would, and it would rest for good.
        self.resting.retain(|address, until| *until > now || found.contains(address));
        let (awake, mut resting): (Vec<SocketAddr>, Vec<SocketAddr>) =
            found.iter().partition(|address| !self.resting.contains_key(address));
        self.turn = self.turn.wrapping_add(1);
        let mut order = Vec::with_capacity(found.len());
        // One connection asks one that has rested: for all others it goes on resting meanwhile.
        let rested = resting.iter().position(|address| self.resting.get(address).is_some_and(|until| *until <= now));
        if let Some(place) = rested {
            let asked = resting.remove(place);
            self.resting.insert(asked, now + REST);
            order.push(asked);
        }
        let turn = self.turn.checked_rem(awake.len()).unwrap_or(0);
        order.extend(awake.iter().cycle().skip(turn).take(awake.len()));
        order.extend(resting);
        order
    }

    /// An address has taken a connection, or not.
    fn note(&mut self, address: SocketAddr, takes: bool, now: Instant) {
        if takes {
            self.resting.remove(&address);
        } else if self.resting.len() < RESTING_MAX {
            self.resting.insert(address, now + REST);
        } else {
            // Addresses that names had long ago.
            self.resting.retain(|_, until| *until > now);
        }
    }
}
