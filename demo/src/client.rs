//! The story's application: one request, one connection, HTTP/1.1 on loopback.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than the longest wait that the story asks for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// Header lines beside `Host` and `Content-Length`.
    pub(crate) lines: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Call {
    /// A POST with this body.
    pub(crate) fn post(target: impl Into<String>, content_type: &str, body: impl Into<Bytes>) -> Self {
        let lines = vec![("Content-Type", content_type.to_owned())];
        Self { method: Method::POST, target: target.into(), lines, body: body.into() }
    }

    /// The same call with one more header line.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.lines.push((name, value.into()));
        self
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends a call and reads the whole answer.
pub(crate) async fn send(addr: SocketAddr, call: Call) -> io::Result<Answer> {
    let exchange = async {
        let response = exchanged(addr, call).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let reason = head.extensions.get::<hyper::ext::ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
        let reason = match reason {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => head.status.canonical_reason().unwrap_or_default().to_owned(),
        };
        Ok(Answer { status: head.status.as_u16(), reason, headers: head.headers, body })
    };
    tokio::time::timeout(PATIENCE, exchange).await?
}

async fn exchanged(addr: SocketAddr, call: Call) -> io::Result<Response<Incoming>> {
    let socket = TokioIo::new(TcpStream::connect(addr).await?);
    let builder = hyper::client::conn::http1::Builder::new().title_case_headers(true).handshake(socket);
    let (mut sender, connection) = builder.await.map_err(io::Error::other)?;
    // The connection ends with the answer's body; what goes wrong on it is the sender's error too.
    tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = call.method;
    *request.uri_mut() = call.target.parse().map_err(io::Error::other)?;
    let host = ("Host", addr.to_string());
    for (name, value) in std::iter::once(host).chain(call.lines) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        request.headers_mut().append(name, HeaderValue::try_from(value).map_err(io::Error::other)?);
    }
    sender.send_request(request).await.map_err(io::Error::other)
}
