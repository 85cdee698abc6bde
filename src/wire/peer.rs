//! Who is at the other end of a caller's connection, as far as the connection itself says.

use std::net::{IpAddr, SocketAddr};

/// The caller of a connection. It is the same for all of its requests.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; a Unix socket has none.
    pub ip: Option<IpAddr>,
    /// Did it speak TLS?
    pub secure: bool,
    /// The name that it asked for in the TLS handshake, in lower case.
    pub server_name: Option<Box<str>>,
    /// Whom it meant to reach, before its connection was redirected to the gate.
    pub meant: Option<SocketAddr>,
}

impl Peer {
    /// Who calls from this address, without TLS.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        // On a socket for both families an IPv4 caller looks like an IPv6 one.
        Self { ip: Some(ip.to_canonical()), ..Self::default() }
    }
}
