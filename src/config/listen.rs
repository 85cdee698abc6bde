//! Where callers come in, and what is spoken there.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::{IpRange, ListenTls, describe};

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

/// How callers reach a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenMode {
    /// They address the gate.
    #[default]
    Reverse,
    /// They address the service, and the system redirects them.
    Transparent,
    /// They take the gate for their HTTP proxy.
    Forward,
}

/// `listen.others`: what becomes of TLS to a host that no upstream names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// It is refused.
    #[default]
    Refuse,
    /// It is passed on as it is: nothing in it is seen.
    Tunnel,
}

/// `listen.ca`: the authority that issues certificates for the hosts that upstreams name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaFiles {
    /// Its certificate in PEM, and those above it if it is not a root.
    #[serde(serialize_with = "describe::path")]
    pub cert: PathBuf,
    /// Its private key in PEM; a file that others can read is refused.
    #[serde(serialize_with = "describe::path")]
    pub key: PathBuf,
}

/// What only listeners have whose callers mean another host than the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interception {
    /// Without it TLS to a host that an upstream names is refused.
    pub ca: Option<CaFiles>,
    /// All other hosts.
    pub others: Others,
    /// The ports to which a forward listener makes tunnels.
    pub tunnel_ports: Vec<u16>,
}

impl Default for Interception {
    /// No authority, nothing to other hosts; tunnels, where they are allowed, to HTTPS's own port.
    fn default() -> Self {
        Self { ca: None, others: Others::Refuse, tunnel_ports: vec![443] }
    }
}

/// `proxy_protocol` of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProxyProtocol {
    /// Proxies whose headers are believed; empty: all that reach the listener.
    pub from: Vec<IpRange>,
}

impl ProxyProtocol {
    /// Whether a header from there is believed. Who comes over a Unix socket has no address: its file's mode decides.
    #[must_use]
    pub fn believes(&self, ip: Option<IpAddr>) -> bool {
        let Some(ip) = ip else { return true };
        self.from.is_empty() || self.from.iter().any(|range| range.has(ip))
    }
}

/// One `[[listen]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// How callers reach it.
    pub mode: ListenMode,
    /// Who may connect, if it is a Unix socket: the mode of its file.
    pub socket_mode: u32,
    /// Whether every connection begins with a PROXY header (v1 or v2), and from whom it is accepted.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What is shown and asked for in the TLS handshake that every connection begins with; `None` is no TLS.
    pub tls: Option<ListenTls>,
    /// Whether HTTP/2 is spoken: with TLS where it is negotiated, without TLS by prior knowledge.
    pub http2: bool,
    /// How TLS is treated that is meant for another host than the gate.
    pub interception: Interception,
}

impl Listen {
    /// The files that are read with the configuration, and only then.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.interception.ca.iter().flat_map(|CaFiles { cert, key }| [cert, key])
    }

    /// Whether a client certificate is required.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A listener as the file writes it: a key that has no meaning for it is left out.
#[derive(Serialize)]
struct Written<'a> {
    address: &'a Address,
    mode: ListenMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket_mode: Option<String>,
    #[serde(serialize_with = "proxy_protocol")]
    proxy_protocol: &'a Option<ProxyProtocol>,
    tls: &'a Option<ListenTls>,
    http2: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'a Option<CaFiles>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<Others>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel_ports: Option<&'a [u16]>,
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { address, mode, socket_mode, proxy_protocol, tls, http2, interception } = self;
        let intercepts = *mode != ListenMode::Reverse;
        let written = Written {
            address,
            mode: *mode,
            socket_mode: matches!(address, Address::Unix(_)).then(|| format!("{socket_mode:04o}")),
            proxy_protocol,
            tls,
            http2: *http2,
            ca: intercepts.then_some(&interception.ca),
            others: intercepts.then_some(interception.others),
            tunnel_ports: (*mode == ListenMode::Forward).then_some(&interception.tunnel_ports),
        };
        written.serialize(to)
    }
}

fn proxy_protocol<S: Serializer>(protocol: &Option<ProxyProtocol>, to: S) -> Result<S::Ok, S::Error> {
    match protocol {
        Some(named) if !named.from.is_empty() => named.serialize(to),
        all_or_none => all_or_none.is_some().serialize(to),
    }
}
