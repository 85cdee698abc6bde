//! The peer of a caller's connection, as far as the connection itself says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::loop_detection::is_our_own;
use crate::config::{Address, ListenMode};

/// The caller of a connection. It is the same for all of its requests.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; a Unix socket has none.
    pub ip: Option<IpAddr>,
    /// Whether it spoke TLS.
    pub secure: bool,
    /// The name that it asked for in the TLS handshake, in lower case. Where it asked for none and the gate showed a
    /// certificate for the host that it meant, that host.
    pub server_name: Option<Box<str>>,
    /// Whom it meant to reach, before its connection was redirected to the gate.
    pub meant: Option<SocketAddr>,
    /// Where its connection comes from, if it was redirected: it may be the gate's own.
    pub end: Option<SocketAddr>,
    /// How callers reach the listener that it came in at.
    pub mode: ListenMode,
    /// The address of that listener, as the configuration writes it.
    pub listener: Option<Arc<Address>>,
    /// The host to which it asked for a tunnel (CONNECT), in its one spelling: this is what goes on in it.
    pub tunnel: Option<Box<str>>,
}

impl Peer {
    /// Who calls from this address, without TLS.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        // On a socket for both families an IPv4 caller looks like an IPv6 one.
        Self { ip: Some(ip.to_canonical()), ..Self::default() }
    }

    /// Whether it is the gate, on one of its own connections that was redirected back to it.
    #[must_use]
    pub fn is_ourselves(&self) -> bool {
        self.end.zip(self.meant).is_some_and(|(from, meant)| is_our_own(from, meant))
    }
}
