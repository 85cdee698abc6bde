//! One client connection over HTTP/1.1: requests go to the proxy, deletes by label to the erasure.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::io::{Busy, ClientIo, ConnectionState};
use crate::erasure::{DeleteCall, Eraser};
use crate::proxy::{self, AnswerBody, Arrived, EraseCall, Gate, Handled};

/// The library refuses larger heads itself, without a body; ours comes first by this much.
const ABOVE_OUR_BOUND: usize = 16 * 1024;

/// What a connection needs.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    pub(super) gate: Rc<Gate>,
    pub(super) eraser: Eraser,
    pub(super) state: Rc<ConnectionState>,
    pub(super) peer: IpAddr,
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: TcpStream, serving: Serving) {
    let state = Rc::clone(&serving.state);
    let io = TokioIo::new(ClientIo::new(socket, &state));
    let header_bytes_max = serving.gate.limits().header_bytes_max;
    let service = service_fn(move |request| answer(serving.clone(), request));
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .max_buf_size(header_bytes_max + ABOVE_OUR_BOUND)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    poll_fn(|cx| {
        state.woken_by(cx.waker());
        if state.is_ending() {
            return Poll::Ready(());
        }
        if state.take_draining() {
            if state.is_idle() {
                return Poll::Ready(());
            }
            connection.as_mut().graceful_shutdown();
        }
        // How a connection ended is in its requests' log lines; the library's error says nothing more.
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}

async fn answer(serving: Serving, request: Request<Incoming>) -> Result<Response<Reply>, std::convert::Infallible> {
    let busy = serving.state.busy();
    let arrived = Arrived { request, raw: serving.state.next_head(), peer: serving.peer };
    let response = match proxy::handle(&serving.gate, arrived).await {
        Handled::Answer(response) => response,
        Handled::Erase(call) => Box::pin(erase(&serving.eraser, *call)).await,
    };
    Ok(response.map(|body| Reply { body, busy }))
}

async fn erase(eraser: &Eraser, call: EraseCall) -> Response<AnswerBody> {
    let delete = DeleteCall {
        site: std::sync::Arc::clone(&call.destination.site),
        api: call.api,
        path: call.path.clone(),
        query: call.query.clone(),
        headers: call.headers.clone(),
        forgetgate_authorization: call.forgetgate_authorization.clone(),
        prefer_wait: call.prefer_wait,
        peer: Some(call.peer),
    };
    match eraser.delete(delete).await {
        Ok(response) => call.answer(response),
        Err(refused) => call.refuse(refused.refusal, refused.status, refused.retry_after_s),
    }
}

/// An answer's body, which keeps its connection busy until it is gone.
#[derive(Debug)]
struct Reply {
    body: AnswerBody,
    busy: Busy,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.busy.answering();
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
