//! A service that speaks HTTP/2, and keeps what has reached it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

use crate::client::eventually;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) head: Parts,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    /// How its sender broke it off.
    pub(crate) cut: Option<Reason>,
}

impl Seen {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    seen: Mutex<Vec<Arc<Seen>>>,
    resets: Mutex<Vec<Reason>>,
}

/// The service.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// One stream, nothing of which has been read behind its head.
pub(crate) struct Exchange {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    shared: Arc<Shared>,
}

impl Exchange {
    /// Reads the request to its end.
    pub(crate) async fn read(self) -> (Arc<Seen>, SendResponse<Bytes>) {
        let (head, mut frames) = self.request.into_parts();
        let mut seen = Seen { head, body: Vec::new(), trailers: HeaderMap::new(), cut: None };
        while let Some(data) = frames.data().await {
            match data {
                Ok(data) => {
                    frames.flow_control().release_capacity(data.len()).unwrap();
                    seen.body.extend(&data);
                }
                Err(error) => {
                    seen.cut = Some(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
                    break;
                }
            }
        }
        if seen.cut.is_none() {
            seen.trailers = frames.trailers().await.ok().flatten().unwrap_or_default();
        }
        let seen = Arc::new(seen);
        self.shared.seen.lock().unwrap().push(Arc::clone(&seen));
        (seen, self.respond)
    }

    /// Waits until the gate resets the stream, and keeps with what word it did.
    pub(crate) async fn until_reset(mut self) {
        let reason = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await.unwrap_or(Reason::INTERNAL_ERROR);
        self.shared.resets.lock().unwrap().push(reason);
    }
}

/// Says 200 with two bytes.
pub(crate) async fn accept(exchange: Exchange) {
    let (_, respond) = exchange.read().await;
    answer(respond, 200, "{}");
}

/// Answers.
pub(crate) fn answer(mut respond: SendResponse<Bytes>, status: u16, body: &'static str) {
    let head = Response::builder().status(status).header("content-length", body.len()).body(()).unwrap();
    // The gate may have left.
    if let (Ok(mut stream), false) = (respond.send_response(head, body.is_empty()), body.is_empty()) {
        drop(stream.send_data(Bytes::from(body), true));
    }
}

impl Service {
    /// Says 200 to all.
    pub(crate) fn accepting() -> Self {
        Self::start(Builder::new(), accept)
    }

    pub(crate) fn start<F, R>(builder: Builder, handle: F) -> Self
    where
        F: Fn(Exchange) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + 'static,
    {
        Self::over(builder, async |socket: TcpStream| Some(socket), handle)
    }

    /// The same over something that is made of the socket, such as TLS.
    pub(crate) fn over<W, S, F, R>(builder: Builder, wrap: W, handle: F) -> Self
    where
        W: AsyncFn(TcpStream) -> Option<S> + Clone + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        F: Fn(Exchange) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    socket.set_nodelay(true).unwrap();
                    serving.connections.fetch_add(1, Ordering::SeqCst);
                    let (builder, wrap, handle) = (builder.clone(), wrap.clone(), handle.clone());
                    let shared = Arc::clone(&serving);
                    spawn_local(async move {
                        let Some(stream) = wrap(socket).await else { return };
                        serve(builder, stream, shared, handle).await;
                    });
                }
            });
        });
        Self { address, shared }
    }

    pub(crate) fn seen(&self) -> Vec<Arc<Seen>> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until it has seen so many requests whole.
    #[track_caller]
    pub(crate) fn saw(&self, count: usize) -> Vec<Arc<Seen>> {
        eventually("the service has seen enough", || self.seen().len() >= count);
        self.seen()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn resets(&self) -> Vec<Reason> {
        self.shared.resets.lock().unwrap().clone()
    }
}

async fn serve<S, F, R>(builder: Builder, stream: S, shared: Arc<Shared>, handle: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Exchange) -> R,
    R: Future<Output = ()> + 'static,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let exchange = Exchange { request, respond, shared: Arc::clone(&shared) };
        spawn_local(handle(exchange));
    }
}
