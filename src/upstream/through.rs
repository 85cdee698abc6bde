//! The way to a service through an HTTP proxy: a tunnel that CONNECT opens (RFC 9110 §9.3.6), also for plain http, so that
//! what goes through it is the same as without.

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use data_encoding::BASE64;

use super::addresses::Addresses;
use super::credentials::sensitive;
use super::{ConnectError, RootsError, Stage};
use crate::config::{BaseUrl, HttpProxy, ProxyLogin, Secret, from_environment};
use crate::http1::AnswerHead;

/// A proxy's answer may have a head of so many bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A proxy on the way to one service.
pub(super) struct Through {
    pub(super) addresses: Addresses,
    /// Of the service, as CONNECT names it.
    target: String,
    login: Login,
}

enum Login {
    None,
    /// A variable said it.
    Said(HeaderValue),
    /// Read for each connection, as it may be changed.
    Secret(String, Secret),
}

// A login is never shown.
impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Through").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Through {
    /// The proxy on the way to this service, if there is one.
    pub(super) fn of(proxy: &HttpProxy, service: &BaseUrl) -> Result<Option<Self>, RootsError> {
        let (at, login) = match proxy {
            HttpProxy::None => return Ok(None),
            HttpProxy::Env => {
                let Some(named) = from_environment(service, |name| std::env::var(name).ok())? else { return Ok(None) };
                let said = named.login.as_deref().and_then(basic);
                (named.url, said.map_or(Login::None, Login::Said))
            }
            HttpProxy::At { url, login: None } => (url.clone(), Login::None),
            HttpProxy::At { url, login: Some(ProxyLogin { username: name, password }) } => {
                (url.clone(), Login::Secret(name.clone(), password.clone()))
            }
        };
        let host = if service.host.contains(':') { format!("[{}]", service.host) } else { service.host.clone() };
        let target = format!("{host}:{}", service.port);
        Ok(Some(Self { addresses: Addresses::new(&at.host, at.port), target, login }))
    }

    /// Opens the tunnel on a connection to the proxy.
    pub(super) async fn open(&self, mut socket: TcpStream, deadline: Instant) -> Result<TcpStream, ConnectError> {
        match timeout_at(deadline, self.asked(&mut socket)).await {
            Ok(Ok(())) => Ok(socket),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::Timeout(Stage::Proxy)),
        }
    }

    async fn asked(&self, socket: &mut TcpStream) -> Result<(), ConnectError> {
        let target = &self.target;
        let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes());
        if let Some(login) = self.authorization()? {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(login.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        socket.write_all(&request).await.map_err(|error| ConnectError::of(&error))?;
        let (mut read, mut head) = (Vec::new(), AnswerHead::default());
        loop {
            // A byte at a time: what follows is the service's. It is a short head, and seldom read.
            let byte = socket.read_u8().await.map_err(|_| ConnectError::NoProxy)?;
            read.push(byte);
            if !read.ends_with(b"\r\n\r\n") {
                if read.len() > HEAD_BYTES_MAX {
                    return Err(ConnectError::NoProxy);
                }
                continue;
            }
            match head.read(&read) {
                Ok(true) if (200..300).contains(&head.status) => return Ok(()),
                Ok(true) if (100..200).contains(&head.status) => read.clear(),
                Ok(true) => return Err(ConnectError::Proxy(head.status)),
                Ok(false) | Err(_) => return Err(ConnectError::NoProxy),
            }
        }
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, ConnectError> {
        match &self.login {
            Login::None => Ok(None),
            Login::Said(value) => Ok(Some(value.clone())),
            Login::Secret(name, password) => {
                let password = password.read().map_err(|_| ConnectError::NoProxyPassword)?;
                let pair = Zeroizing::new(format!("{name}:{}", password.expose()));
                Ok(basic(&pair))
            }
        }
    }
}

fn basic(pair: &str) -> Option<HeaderValue> {
    sensitive("Basic", &Zeroizing::new(BASE64.encode(pair.as_bytes())))
}
