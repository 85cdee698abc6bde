//! A caller that speaks HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Error, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::PATIENCE;

/// Runs what a test does, on a runtime of its own, and fails when that takes too long.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, test).await.expect("nothing takes that long") })
}

/// A connection.
pub(crate) struct Caller {
    pub(crate) send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(crate) driver: JoinHandle<Result<(), Error>>,
}

/// An answer, as far as it came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    /// Why it broke off.
    pub(crate) cut: Option<Error>,
}

impl Caller {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::with(address, &Builder::new()).await
    }

    pub(crate) async fn with(address: SocketAddr, builder: &Builder) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (send, connection) = builder.handshake(socket).await.unwrap();
        Self { send, driver: tokio::spawn(connection) }
    }

    /// A connection whose gate has said that it takes extended CONNECT.
    pub(crate) async fn extended(address: SocketAddr) -> Self {
        let caller = Self::to(address).await;
        while !caller.send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        caller
    }

    /// Begins a request.
    pub(crate) async fn begin(
        &self,
        request: Request<()>,
        ended: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let mut send = self.send.clone().ready().await.unwrap();
        send.send_request(request, ended).unwrap()
    }

    /// Sends a request with nothing behind its head.
    pub(crate) async fn ask(&self, request: Request<()>) -> Got {
        let (answer, _) = self.begin(request, true).await;
        Got::of(answer.await.unwrap()).await
    }

    /// Sends a request with this body.
    pub(crate) async fn post(&self, request: Request<()>, body: impl Into<Bytes>) -> Got {
        let (answer, mut stream) = self.begin(request, false).await;
        stream.send_data(body.into(), true).unwrap();
        Got::of(answer.await.unwrap()).await
    }
}

impl Got {
    pub(crate) async fn of(answer: Response<RecvStream>) -> Self {
        let (parts, mut frames) = answer.into_parts();
        let mut got = Self {
            status: parts.status.as_u16(),
            head: parts.headers,
            body: Vec::new(),
            trailers: HeaderMap::new(),
            cut: None,
        };
        while let Some(data) = frames.data().await {
            match data {
                Ok(data) => {
                    frames.flow_control().release_capacity(data.len()).unwrap();
                    got.body.extend(&data);
                }
                Err(error) => {
                    got.cut = Some(error);
                    return got;
                }
            }
        }
        match frames.trailers().await {
            Ok(trailers) => got.trailers = trailers.unwrap_or_default(),
            Err(error) => got.cut = Some(error),
        }
        got
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str) {
        let said = self.head.get("forgetgate-refusal").map(|code| code.to_str().unwrap());
        assert_eq!((self.status, said), (status, Some(code)), "{self:?}");
    }
}

/// A request's head: `target` begins with the method.
pub(crate) fn request(target: &str, lines: &[(&str, &str)]) -> Request<()> {
    let (method, path) = target.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(format!("http://gate{path}"));
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}
