//! One connection to one service: name, socket, TLS, and one deadline around all three.
//!
//! The name is looked up for new connections, so that a service that moves is followed; see `addresses` for how, and for
//! which of its addresses is tried first.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::addresses::{Addresses, first_of};
use super::through::Through;
use super::tls::{self, ClientTls, RootsError};
use crate::config::{BaseUrl, Http2, HttpProxy, Renew, Upstream, UpstreamTls};
use crate::net::Stream;
use crate::tls::HandshakeFault;

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
    /// Waiting for the HTTP proxy on the way.
    #[error("CONNECT through the proxy")]
    Proxy,
    /// In the TLS handshake.
    #[error("TLS handshake")]
    Tls,
    /// Waiting for the settings of HTTP/2.
    #[error("beginning of HTTP/2")]
    Http2,
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
    /// The HTTP proxy on the way opens no tunnel.
    #[error("the proxy answered {0} to CONNECT")]
    Proxy(u16),
    /// What is there does not answer as an HTTP proxy.
    #[error("the proxy does not answer as an HTTP proxy")]
    NoProxy,
    /// What the gate logs in at the proxy with cannot be read.
    #[error("the proxy's password cannot be read")]
    NoProxyPassword,
    /// The socket is open, the handshake failed.
    #[error("TLS: {0}")]
    Tls(HandshakeFault),
    /// What the service says is not the beginning of HTTP/2.
    #[error("service does not speak HTTP/2")]
    NotHttp2,
    /// The service speaks nothing but HTTP/2, and takes no WebSocket in it.
    #[error("service takes no WebSocket over HTTP/2")]
    NoWebSocket,
}

impl ConnectError {
    pub(super) fn of(error: &io::Error) -> Self {
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
    addresses: Addresses,
    /// The proxy on the way.
    through: Option<Through>,
    authority: HeaderValue,
    within: Duration,
    tls: Option<Tls>,
    http2: Http2,
}

/// What a connection may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// HTTP/1.1 and nothing else.
    Http1,
    /// Whichever of the two the service chooses.
    Either,
    /// HTTP/2 and nothing else.
    Http2,
}

struct Tls {
    name: ServerName<'static>,
    config: ClientTls,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector to an upstream. Reads `tls.ca`, or the system's roots if the URL is https and there is none.
    pub fn new(upstream: &Upstream, connect_timeout: Duration) -> Result<Self, RootsError> {
        let url = &upstream.url;
        let config = if url.tls { Some(tls::client_tls(&upstream.tls)?) } else { None };
        Self::with(url, upstream.http2, config, connect_timeout)?.by(Through::of(&upstream.proxy, url)?)
    }

    /// The same to a bare URL, through the proxy that is on the way to it.
    pub fn behind(
        proxy: &HttpProxy,
        url: &BaseUrl,
        tls: &UpstreamTls,
        connect_timeout: Duration,
    ) -> Result<Self, RootsError> {
        Self::to(url, tls, connect_timeout)?.by(Through::of(proxy, url)?)
    }

    fn by(self, through: Option<Through>) -> Result<Self, RootsError> {
        // Nobody else knows it yet.
        let to = Arc::into_inner(self.to).ok_or(RootsError::NoSystemRoots)?;
        Ok(Self { to: Arc::new(To { through, ..to }) })
    }

    /// A connector to a bare URL (its path is the caller's business).
    pub fn to(url: &BaseUrl, tls: &UpstreamTls, connect_timeout: Duration) -> Result<Self, RootsError> {
        let config = if url.tls { Some(tls::client_tls(tls)?) } else { None };
        Self::with(url, Http2::Off, config, connect_timeout)
    }

    /// A connector that believes the certificates in these files and no others; `tls.ca` is not read.
    pub fn pinned(
        url: &BaseUrl,
        believed: &[PathBuf],
        tls: &UpstreamTls,
        connect_timeout: Duration,
    ) -> Result<Self, RootsError> {
        Self::with(url, Http2::Off, Some(tls::pinned_tls(believed, tls)?), connect_timeout)
    }

    fn with(
        url: &BaseUrl,
        http2: Http2,
        config: Option<ClientTls>,
        connect_timeout: Duration,
    ) -> Result<Self, RootsError> {
        let bad_name = |_| RootsError::BadName { host: url.host.clone() };
        let name = || tls::server_name(&url.host);
        let tls = config.map(|config| Ok::<_, RootsError>(Tls { name: name()?, config })).transpose()?;
        Ok(Self {
            to: Arc::new(To {
                addresses: Addresses::new(&url.host, url.port),
                through: None,
                authority: HeaderValue::from_str(&url.authority).map_err(bad_name)?,
                within: connect_timeout,
                tls,
                http2,
            }),
        })
    }

    /// Whether it is a clone of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.to, &other.to)
    }

    /// The `Host` of requests that go over its connections.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.to.authority
    }

    /// What has to follow its files, if there is any TLS.
    #[must_use]
    pub fn renewed(&self) -> Option<&dyn Renew> {
        self.to.tls.as_ref().map(|tls| &tls.config as &dyn Renew)
    }

    /// How many of the service's addresses have lately taken no connection.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.to.first().resting()
    }

    /// Whether HTTP/2 is spoken to the service.
    #[must_use]
    pub fn http2(&self) -> Http2 {
        self.to.http2
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.to.tls.is_some()
    }

    /// How long a connection may take.
    pub(super) fn within(&self) -> Duration {
        self.to.within
    }

    /// A new connection, ready for the first byte of a request of HTTP/1.1; within `connect_timeout`, all stages together.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        Ok(self.offering(Offer::Http1).await?.0)
    }

    /// A new connection, and whether HTTP/2 was chosen for it.
    pub(super) async fn offering(&self, offer: Offer) -> Result<(Stream, bool), ConnectError> {
        let deadline = Instant::now() + self.to.within;
        let socket = self.to.socket(deadline).await?;
        let Some(tls) = &self.to.tls else {
            return Ok((Stream::Tcp(socket), offer == Offer::Http2));
        };
        let connector = TlsConnector::from(tls.config.current().offering(offer));
        let connecting = connector.connect(tls.name.clone(), Stream::Tcp(socket));
        match timeout_at(deadline, connecting).await {
            Ok(Ok(stream)) => {
                let chosen = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok((Stream::Tls(Box::new(stream.into())), chosen || offer == Offer::Http2))
            }
            Ok(Err(error)) => Err(ConnectError::Tls(HandshakeFault::of(&error))),
            Err(_) => Err(ConnectError::Timeout(Stage::Tls)),
        }
    }
}

impl To {
    async fn socket(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let socket = self.first().connect(deadline).await?;
        prepare(&socket).map_err(|error| ConnectError::of(&error))?;
        match &self.through {
            Some(through) => through.open(socket, deadline).await,
            None => Ok(socket),
        }
    }

    /// What is connected to: the service, or the proxy on the way to it.
    fn first(&self) -> &Addresses {
        self.through.as_ref().map_or(&self.addresses, |through| &through.addresses)
    }
}

/// A connection to the first of these addresses that answers, ready for its first byte.
///
/// # Errors
/// Why the last did not.
pub async fn dial(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, ConnectError> {
    let socket = first_of(addresses, Instant::now() + within, |_, _| {}).await?;
    prepare(&socket).map_err(|error| ConnectError::of(&error))?;
    Ok(socket)
}

/// Small writes go out at once, and a peer that vanished is noticed.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
