//! What holds where the file says nothing. The one place for defaults; `check` prints what became of them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Address, Admin, Authorize, Engine, Erasure, Limits, Log, LogFormat, Metrics, OpenWebsockets, Store};

impl Address {
    /// Whether only this machine can reach it.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether only this machine or a private network can reach it.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        match self {
            Self::Tcp(SocketAddr::V4(at)) => at.ip().is_private() || at.ip().is_loopback() || at.ip().is_link_local(),
            Self::Tcp(SocketAddr::V6(at)) => {
                at.ip().is_loopback() || at.ip().is_unique_local() || at.ip().is_unicast_link_local()
            }
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Default for Log {
    /// Text, `info`, one line a request.
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned(), access: true }
    }
}

impl Default for Admin {
    /// 127.0.0.1:8081, without a token or TLS.
    fn default() -> Self {
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)));
        Self { address, token: None, metrics: Metrics::default(), tls: None }
    }
}

impl Default for Store {
    /// sled in `var/forgetgate` with its key beside it; rows believed for ten minutes; 900,000 pairs known: their tables are
    /// nearly full then, and a million would take twice the memory.
    fn default() -> Self {
        Self {
            engine: Engine::Sled,
            path: PathBuf::from("var/forgetgate"),
            key_file: PathBuf::from("var/forgetgate.key"),
            lease: Duration::from_secs(600),
            cache_entries: 900_000,
            cache_bytes: 8 << 20,
            snapshot: None,
            postgres: None,
        }
    }
}

impl Default for Erasure {
    /// The home upstream's answer is the proof; due in 30 days; 60 a minute; 10 s at the in-flight table; WebSockets are waited for.
    fn default() -> Self {
        Self {
            authorize: Authorize::Home,
            deadline: Duration::from_secs(30 * 86_400),
            erasures_per_minute: 60,
            barrier_timeout: Duration::from_secs(10),
            retention: Duration::from_secs(1_095 * 86_400),
            open_websockets: OpenWebsockets::Wait,
        }
    }
}

impl Default for Limits {
    /// Generous to honest callers of speech and document services, and finite.
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            in_flight_max: 4_096,
            headers_max: 100,
            header_bytes_max: 64 << 10,
            inspected_body_bytes_max: 1 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            body_stall_timeout: Duration::from_secs(60),
            body_rate_min: 16,
            connect_timeout: Duration::from_secs(5),
            upstream_connections_max: 1_024,
            upstream_idle_timeout: Duration::from_secs(4),
            upstream_connection_age: Duration::from_secs(300),
            response_timeout: Duration::from_secs(300),
            answer_stall_timeout: Duration::from_secs(300),
            event_stream_timeout: Duration::from_secs(3_600),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
