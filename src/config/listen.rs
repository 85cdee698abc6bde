//! Where callers come in, and what is spoken there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::IpRange;

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

/// How callers reach a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenMode {
    /// They address the gate.
    #[default]
    Reverse,
    /// They address the service, and the system redirects them.
    Transparent,
    /// They take the gate for their HTTP proxy.
    Forward,
}

/// `proxy_protocol` of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Proxies whose headers are believed; empty: all that reach the listener.
    pub from: Vec<IpRange>,
}

impl ProxyProtocol {
    /// Is a header believed that comes from there? Who comes over a Unix socket has no address: its file's mode decides.
    #[must_use]
    pub fn believes(&self, ip: Option<IpAddr>) -> bool {
        let Some(ip) = ip else { return true };
        self.from.is_empty() || self.from.iter().any(|range| range.has(ip))
    }
}

/// One `[[listen]]`.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// How callers reach it.
    pub mode: ListenMode,
    /// Who may connect, if it is a Unix socket: the mode of its file.
    pub socket_mode: u32,
    /// Does every connection begin with a PROXY header (v1 or v2), and whose is believed?
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Is HTTP/2 spoken: with TLS where it is negotiated, without by prior knowledge?
    pub http2: bool,
}
