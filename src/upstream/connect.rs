//! One connection to one service: name, socket, TLS, and one deadline around all three.
//!
//! The name is looked up for every connection, so that a service that moves is followed. Addresses are tried in turn,
//! each with its fair share of the time that is left: a black hole at the first cannot use up the second's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::tls::{self, RootsError, TlsFault};
use crate::config::{BaseUrl, Upstream, UpstreamTls};
use crate::wire::Stream;

/// A connection that is silent for this long is asked whether it still lives. Below the 350 s after which cloud
/// balancers forget a flow, and above what would wake a radio or fill a log.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(45);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How far a connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// Looking up the name.
    #[error("name lookup")]
    Resolve,
    /// Waiting for the socket.
    #[error("connect")]
    Connect,
    /// In the TLS handshake.
    #[error("TLS handshake")]
    Tls,
}

/// No connection. Nothing of any request has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or the name service did not answer.
    #[error("name not resolved")]
    Resolve,
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// Any other word of the operating system (no route, out of descriptors, …), by its number.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    System(i32),
    /// `connect_timeout` is over.
    #[error("timeout in {0}")]
    Timeout(Stage),
    /// The socket is open, the handshake failed.
    #[error("TLS: {0}")]
    Tls(TlsFault),
}

impl ConnectError {
    fn of(error: &io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::TimedOut, _) => Self::Timeout(Stage::Connect),
            (io::ErrorKind::ConnectionRefused, _) | (_, None) => Self::Refused,
            (_, Some(number)) => Self::System(number),
        }
    }
}

/// Makes connections to one service. Clones share names and TLS sessions.
#[derive(Clone, Debug)]
pub struct Connector {
    to: Arc<To>,
}

#[derive(Debug)]
struct To {
    host: String,
    port: u16,
    authority: HeaderValue,
    within: Duration,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector to an upstream. Reads `tls.ca`, or the system's roots if the URL is https and there is none.
    pub fn new(upstream: &Upstream, connect_timeout: Duration) -> Result<Self, RootsError> {
        Self::to(&upstream.url, &upstream.tls, connect_timeout)
    }

    /// A connector to a bare URL (its path is the caller's business).
    pub fn to(url: &BaseUrl, tls: &UpstreamTls, connect_timeout: Duration) -> Result<Self, RootsError> {
        let bad_name = |_| RootsError::BadName { host: url.host.clone() };
        let tls = if url.tls {
            let connector = TlsConnector::from(tls::client_config(tls)?);
            Some(Tls { name: tls::server_name(&url.host)?, connector })
        } else {
            None
        };
        Ok(Self {
            to: Arc::new(To {
                host: url.host.clone(),
                port: url.port,
                authority: HeaderValue::from_str(&url.authority).map_err(bad_name)?,
                within: connect_timeout,
                tls,
            }),
        })
    }

    /// The `Host` of requests that go over its connections.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.to.authority
    }

    /// A new connection, ready for the first byte of a request; within `connect_timeout`, all stages together.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        let deadline = Instant::now() + self.to.within;
        let socket = self.to.socket(deadline).await?;
        let Some(tls) = &self.to.tls else {
            return Ok(Stream::Tcp(socket));
        };
        match timeout_at(deadline, tls.connector.connect(tls.name.clone(), Stream::Tcp(socket))).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream.into()))),
            Ok(Err(error)) => Err(ConnectError::Tls(TlsFault::of(&error))),
            Err(_) => Err(ConnectError::Timeout(Stage::Tls)),
        }
    }
}

impl To {
    async fn socket(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(_)) => return Err(ConnectError::Resolve),
            Err(_) => return Err(ConnectError::Timeout(Stage::Resolve)),
        };
        first_of(&addresses, deadline).await
    }
}

/// A connection to the first of these addresses that answers, ready for its first byte.
///
/// # Errors
/// Why the last did not.
pub async fn dial(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, ConnectError> {
    first_of(addresses, Instant::now() + within).await
}

/// The first address that answers, or why the last did not.
async fn first_of(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Resolve;
    for (nth, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - nth).unwrap_or(u32::MAX);
        let now = Instant::now();
        let share = now + deadline.saturating_duration_since(now) / left;
        last = match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => match prepare(&socket) {
                Ok(()) => return Ok(socket),
                Err(error) => ConnectError::of(&error),
            },
            Ok(Err(error)) => ConnectError::of(&error),
            Err(_) => ConnectError::Timeout(Stage::Connect),
        };
    }
    Err(last)
}

/// Small writes go out at once, and a peer that vanished is noticed.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::{ConnectError, Stage, first_of};

    /// A listener whose queue is full drops what comes, as a black hole does.
    fn black_hole() -> (SocketAddr, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = vec![listener];
        for _ in 0..4 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // It is under way, or dropped; either fills the queue.
            drop(socket.connect(&address));
            held.push(socket);
        }
        (address.as_socket().unwrap(), held)
    }

    async fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn every_address_has_its_turn_and_its_share_of_the_time() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open_at = open.local_addr().unwrap();
        let (silent, _held) = black_hole();
        let deadline = Instant::now() + Duration::from_millis(900);
        let socket = first_of(&[refusing().await, silent, open_at], deadline).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), open_at);
        assert!(Instant::now() < deadline);
    }

    #[tokio::test]
    async fn what_the_last_address_said_is_reported() {
        let (silent, _held) = black_hole();
        let deadline = || Instant::now() + Duration::from_millis(200);
        let refused = first_of(&[silent, refusing().await], deadline()).await.unwrap_err();
        assert_eq!(refused, ConnectError::Refused);
        let timeout = first_of(&[refusing().await, silent], deadline()).await.unwrap_err();
        assert_eq!(timeout, ConnectError::Timeout(Stage::Connect));
        assert_eq!(first_of(&[], deadline()).await.unwrap_err(), ConnectError::Resolve);
    }
}
