//! One request over HTTP/2 on a connection of its own, for the gate's own calls to a service that speaks nothing else.

use bytes::{Bytes, BytesMut};
use h2::{Error, RecvStream};
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::connection::begin;
use super::head::{length_value, message};
use super::stream::is_unread;
use crate::net::OwnConnection;
use crate::upstream::call::{Answer, BodyEnd, Bounds, CallError, Fault, Leave};
use crate::upstream::connect::Offer;
use crate::upstream::{ConnectError, Connector};

/// Sends `request`, and reads its answer; see [`crate::upstream::call()`].
pub(in crate::upstream) async fn exchange(
    connector: &Connector,
    request: Request<Full<Bytes>>,
    bounds: Bounds,
    leave: Leave,
) -> Result<Answer, CallError> {
    let (stream, _) = connector.offering(Offer::Http2).await.map_err(CallError::Connect)?;
    let _ours = OwnConnection::of(&stream);
    let deadline = Instant::now() + bounds.within;
    let (mut sender, driver) = begin(stream, connector.within()).await.map_err(CallError::Connect)?;
    // The connection ends with the call, also when the caller of the call is dropped.
    let _driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(driver.await) }));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut lines = parts.headers;
    lines.remove(http::header::HOST);
    lines.remove(http::header::TRANSFER_ENCODING);
    lines.remove(http::header::CONNECTION);
    lines.remove(http::header::CONTENT_LENGTH);
    if !body.is_empty() {
        lines.insert(http::header::CONTENT_LENGTH, length_value(body.len()));
    }
    let no_request = CallError::Connect(ConnectError::NotHttp2);
    let request = message(parts.method, &parts.uri, lines, connector).ok_or(no_request)?;
    if !leave() {
        return Err(CallError::Withheld);
    }
    let (answer, mut frames) =
        sender.send_request(request, body.is_empty()).map_err(|_| CallError::NotSent(Fault::Closed))?;
    if !body.is_empty() {
        frames.send_data(body, true).map_err(|error| failed(&error))?;
    }
    match timeout_at(deadline, answer).await {
        Ok(Ok(response)) => Ok(collect(response, deadline, bounds.body_bytes_max).await),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(CallError::MaybeSent(Fault::Timeout)),
    }
}

fn failed(error: &Error) -> CallError {
    let fault = if error.is_library() { Fault::NotHttp } else { Fault::Closed };
    if is_unread(error) { CallError::NotSent(fault) } else { CallError::MaybeSent(fault) }
}

async fn collect(response: Response<RecvStream>, deadline: Instant, max: usize) -> Answer {
    let (head, mut frames) = response.into_parts();
    let mut kept = BytesMut::new();
    let end = loop {
        match timeout_at(deadline, frames.data()).await {
            Ok(Some(Ok(data))) => {
                // What is kept is bounded, so the window may be.
                drop(frames.flow_control().release_capacity(data.len()));
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
