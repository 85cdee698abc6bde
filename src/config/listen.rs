//! Where callers come in, and what is spoken there.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ListenTls;

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

/// One `[[listen]]`.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// How callers reach it.
    pub mode: ListenMode,
    /// Does every connection begin with a PROXY header (v1 or v2)?
    pub proxy_protocol: bool,
    /// What is shown and asked for in the TLS handshake that every connection begins with; `None` is no TLS.
    pub tls: Option<ListenTls>,
    /// Is HTTP/2 spoken: with TLS where it is negotiated, without by prior knowledge?
    pub http2: bool,
}

impl Listen {
    /// Does it let nobody in who shows no certificate that was signed for it?
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}
