//! One request on a connection of its own: for the deletes that the gate makes itself, for IAM, and for keys of tokens.
//!
//! The error says whether the service may have got the request, because an erasure has to know. Once a status has been
//! seen it is never lost: a body that is too long, cut or late only shortens [`Answer::response`], since a delete that
//! was accepted stays accepted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::connect::{ConnectError, Connector};
use super::{Site, http2};
use crate::config::Http2;
use crate::net::{OwnConnection, Stream};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a call may take and how much of an answer is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the open connection to the last byte of the answer. Opening it has the connector's own timeout.
    pub within: Duration,
    /// Bytes of the answer's body that are kept.
    pub body_bytes_max: usize,
}

/// What came back: always a status, and the body as far as it came.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers as they came (case kept in the extensions), and at most `body_bytes_max` of the body.
    pub response: Response<Bytes>,
    /// Whether that is all of the body.
    pub end: BodyEnd,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it is there.
    Whole,
    /// There was more than `body_bytes_max`; what fits is kept.
    TooLong,
    /// The connection ended, or spoke nonsense, before the body did.
    Cut,
    /// The time was over before the body was.
    Late,
}

/// What went wrong on an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Ended without an answer.
    #[error("closed without an answer")]
    Closed,
    /// No whole head of an answer in time.
    #[error("timeout")]
    Timeout,
    /// What came is not HTTP/1.
    #[error("answer is not HTTP")]
    NotHttp,
    /// A head of more than 64 KiB or 100 lines.
    #[error("head of the answer is too large")]
    HeadTooLarge,
}

/// No status was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection: nothing was sent.
    #[error("no connection")]
    Connect(#[source] ConnectError),
    /// The connection was lost, or the time was over, before the first byte of the request went out.
    #[error("request not sent")]
    NotSent(#[source] Fault),
    /// When the connection stood, the request was not to be sent any more: see [`Leave`].
    #[error("request withheld")]
    Withheld,
    /// The service may have got the request, and may have acted on it.
    #[error("no answer to a request that may have been sent")]
    MaybeSent(#[source] Fault),
}

impl CallError {
    /// Whether the service may have seen the request.
    #[must_use]
    pub fn maybe_sent(&self) -> bool {
        matches!(self, Self::MaybeSent(_))
    }
}

/// Whether the request may be sent. Asked once, when the connection stands and the first byte would go out next:
/// whatever was decided by then counts, however long connecting took.
pub type Leave = Arc<dyn Fn() -> bool + Send + Sync>;

/// What [`Transport::exchange`] returns.
pub type Exchanging<'a> = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send + 'a>>;

/// Carries the gate's own calls to an upstream. The one that is used is [`Network`]; a simulation has its own.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request, if `leave` still says so, and reads its answer; all of it, connecting included, takes at most
    /// `bounds.within`.
    fn exchange<'a>(
        &'a self,
        site: &'a Site,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
        leave: Leave,
    ) -> Exchanging<'a>;
}

/// Connections over the network, as the upstream's configuration says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

/// Of a request: nothing has been sent; something has; nothing will be, since the time is over.
const OPEN: u8 = 0;
const LEFT: u8 = 1;
const SHUT: u8 = 2;

impl Transport for Network {
    fn exchange<'a>(
        &'a self,
        site: &'a Site,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
        leave: Leave,
    ) -> Exchanging<'a> {
        Box::pin(async move {
            let way = Arc::new(AtomicU8::new(OPEN));
            let door = Arc::clone(&way);
            let leave: Leave = Arc::new(move || {
                leave() && door.compare_exchange(OPEN, LEFT, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            });
            if let Ok(answer) = timeout(bounds.within, call(&site.connector, request, bounds, leave)).await {
                return answer;
            }
            let shut = way.compare_exchange(OPEN, SHUT, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            Err(if shut { CallError::NotSent(Fault::Timeout) } else { CallError::MaybeSent(Fault::Timeout) })
        })
    }
}

/// Sends `request` on a new connection and reads its answer. Of the URI only path and query count; `Host` and the
/// framing are written here, anything that the caller put there is replaced. Dropping the future closes the connection.
///
/// # Errors
/// [`CallError`]; `Withheld` where `leave` said no.
pub async fn call(
    connector: &Connector,
    request: Request<Full<Bytes>>,
    bounds: Bounds,
    leave: Leave,
) -> Result<Answer, CallError> {
    if connector.http2() == Http2::PriorKnowledge {
        return http2::exchange(connector, request, bounds, leave).await;
    }
    let stream = connector.connect().await.map_err(CallError::Connect)?;
    // Redirected back to the gate it would be answered by the gate, and the answer taken for the service's.
    let _ours = OwnConnection::of(&stream);
    let deadline = Instant::now() + bounds.within;
    let withheld = Arc::new(AtomicBool::new(false));
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(AtTheDoor { stream, leave: Some(leave), withheld: Arc::clone(&withheld) }))
        .await
        .map_err(|error| CallError::NotSent(fault_of(&error)))?;
    // The connection ends with the call, also when the caller of the call is dropped.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = for_the_wire(request, connector.authority());
    match timeout_at(deadline, sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(collect(response, deadline, bounds.body_bytes_max).await),
        Ok(Err(_)) if withheld.load(Ordering::SeqCst) => Err(CallError::Withheld),
        Ok(Err(mut error)) => {
            let unsent = error.take_message().is_some();
            let fault = fault_of(error.error());
            Err(if unsent { CallError::NotSent(fault) } else { CallError::MaybeSent(fault) })
        }
        Err(_) => Err(CallError::MaybeSent(Fault::Timeout)),
    }
}

/// A connection that asks for leave when its first byte is about to be written.
struct AtTheDoor {
    stream: Stream,
    leave: Option<Leave>,
    withheld: Arc<AtomicBool>,
}

impl AtTheDoor {
    /// The way out, if the request may be sent.
    fn way_out(&mut self) -> io::Result<Pin<&mut Stream>> {
        if let Some(leave) = self.leave.take()
            && !leave()
        {
            self.withheld.store(true, Ordering::SeqCst);
        }
        if self.withheld.load(Ordering::SeqCst) {
            return Err(io::Error::other("the request is withheld"));
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl AsyncRead for AtTheDoor {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, to)
    }
}

impl AsyncWrite for AtTheDoor {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.way_out()?.poll_write(task, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.way_out()?.poll_write_vectored(task, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// Origin-form, our `Host`, framing by hyper alone, and the connection for this one request.
fn for_the_wire(mut request: Request<Full<Bytes>>, authority: &HeaderValue) -> Request<Full<Bytes>> {
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    headers.insert(HOST, authority.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

async fn collect(response: Response<Incoming>, deadline: Instant, max: usize) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut kept = BytesMut::new();
    let end = loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                let room = max - kept.len();
                if data.len() > room {
                    kept.extend_from_slice(&data.slice(..room));
                    break BodyEnd::TooLong;
                }
                kept.extend_from_slice(&data);
            }
            Ok(Some(Err(_))) => break BodyEnd::Cut,
            Ok(None) => break BodyEnd::Whole,
            Err(_) => break BodyEnd::Late,
        }
    };
    Answer { response: Response::from_parts(head, kept.freeze()), end }
}

fn fault_of(error: &hyper::Error) -> Fault {
    if error.is_parse_too_large() {
        Fault::HeadTooLarge
    } else if error.is_parse() {
        Fault::NotHttp
    } else {
        Fault::Closed
    }
}
