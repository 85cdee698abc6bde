//! What a caller on the data path gets for a delete.
//!
//! An upstream's answer goes back as it came, but for what belongs to one connection only. A success always has a JSON
//! body, since old clients parse it.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use uuid::Uuid;

use crate::domain::refusal::{Code, Refusal};
use crate::upstream::{Answer, BodyEnd};

/// The header that names the erasure.
const ERASURE: HeaderName = HeaderName::from_static("forgetgate-erasure");

/// A delete that was not accepted, for the one place that makes responses of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The status; not always the code's own.
    pub status: u16,
    /// For `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Refused {
    /// The home of a delete gives no answer. Nothing was recorded, and trying again is right.
    pub(super) fn no_home() -> Self {
        Self { refusal: Code::UpstreamUnreachable.into(), status: 503, retry_after_s: Some(1) }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, status: refusal.code.status(), retry_after_s: refusal.code.retry_after_s() }
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

/// `{}` with this status.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"{}"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The upstream's answer, as it goes on.
pub(super) fn passed_on(answer: Answer) -> Response<Bytes> {
    let mut response = answer.response;
    drop_connection_headers(response.headers_mut());
    let no_body = response.body().is_empty() || answer.end != BodyEnd::Whole;
    if response.status().is_success() && no_body {
        *response.body_mut() = Bytes::from_static(b"{}");
        response.headers_mut().remove(CONTENT_ENCODING);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            *response.status_mut() = StatusCode::OK;
            response.extensions_mut().remove::<ReasonPhrase>();
        }
    }
    response
}

/// Says which erasure it was.
pub(super) fn naming(mut response: Response<Bytes>, id: Uuid) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(ERASURE, value);
    }
    response
}

/// Headers of one connection, those that `Connection` names, and the length, which is counted anew.
fn drop_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    headers.remove(ERASURE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str, end: BodyEnd) -> Answer {
        let response = Response::builder()
            .status(status)
            .header("Connection", "close, X-Hop")
            .header("X-Hop", "1")
            .header("X-Global-Transaction-Id", "abc")
            .header("Content-Length", "99")
            .body(Bytes::from_static(body.as_bytes()));
        Answer { response: response.unwrap(), end }
    }

    fn gone(response: &Response<Bytes>) -> bool {
        ["connection", "x-hop", "content-length"].iter().all(|name| !response.headers().contains_key(*name))
    }

    #[test]
    fn an_answer_goes_back_as_it_came_but_for_its_connections_own_headers() {
        for (status, body) in [(202, "{\"ok\":true}"), (404, ""), (401, "<html>"), (301, "")] {
            let response = passed_on(answer(status, body, BodyEnd::Whole));
            assert_eq!((response.status().as_u16(), &response.body()[..]), (status, body.as_bytes()));
            assert_eq!(response.headers()["x-global-transaction-id"], "abc");
            assert!(gone(&response));
        }
    }

    #[test]
    fn a_success_always_has_a_body_that_old_clients_can_parse() {
        for (status, end, seen) in [(204, BodyEnd::Whole, 200), (202, BodyEnd::Whole, 202), (200, BodyEnd::Cut, 200)] {
            let body = if end == BodyEnd::Cut { "{\"o" } else { "" };
            let response = passed_on(answer(status, body, end));
            assert_eq!((response.status().as_u16(), &response.body()[..]), (seen, &b"{}"[..]));
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        }
    }
}
