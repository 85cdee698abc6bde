//! A service that remembers every request and answers as it was told, `200 {}` if it was told nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forgetgate::config::BaseUrl;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Far above anything that a test expects; a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A request as the service got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) call: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(|value| value.to_str().unwrap())
    }
}

/// What it answers.
pub(crate) enum Reply {
    Now(Response<Full<Bytes>>),
    /// When the test says so.
    Later(oneshot::Receiver<Response<Full<Bytes>>>),
    /// The connection is closed.
    Close,
}

pub(crate) fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::from("{}")).unwrap()
}

/// One service.
pub(crate) struct Service {
    pub(crate) url: BaseUrl,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: watch::Sender<Vec<Seen>>,
    script: Mutex<VecDeque<Reply>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared: Arc<Shared> = Arc::default();
        let serving = serve(listener, Arc::clone(&shared));
        let host = "127.0.0.1".to_owned();
        let url = BaseUrl { tls: false, authority: format!("{host}:{port}"), host, port, path: "/base".into() };
        Self { url, shared, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    /// The next requests that are not spoken for yet are answered with these, in this order.
    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.script.lock().extend(replies);
    }

    pub(crate) fn will_say(&self, codes: &[u16]) {
        self.will(codes.iter().map(|code| Reply::Now(status(*code))));
    }

    /// The next request is answered when the sender is used.
    pub(crate) fn will_wait(&self) -> oneshot::Sender<Response<Full<Bytes>>> {
        let (answer, awaited) = oneshot::channel();
        self.will([Reply::Later(awaited)]);
        answer
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.call).collect()
    }

    /// Waits until it has seen so many requests in all.
    pub(crate) async fn saw(&self, count: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        let enough = timeout(LONG, seen.wait_for(|seen| seen.len() >= count)).await;
        enough.unwrap_or_else(|_| panic!("only {} of {count} requests came", self.seen().len())).unwrap().clone()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let answer = service_fn(move |request| answer(Arc::clone(&shared), request));
        tokio::spawn(async move {
            // A connection that a script closes ends with an error, which is what was wanted.
            http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await.ok();
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let reply = shared.script.lock().pop_front();
    let call = format!("{} {}", head.method, head.uri);
    shared.seen.send_modify(|seen| seen.push(Seen { call, headers: head.headers, body }));
    match reply {
        None => Ok(status(200)),
        Some(Reply::Now(response)) => Ok(response),
        Some(Reply::Later(response)) => response.await.map_err(std::io::Error::other),
        Some(Reply::Close) => Err(std::io::Error::other("told to close")),
    }
}

/// Awaits something that must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("it did not come")
}
