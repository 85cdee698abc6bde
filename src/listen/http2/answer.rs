//! An answer's head out of HTTP/1.1, on its way into HTTP/2.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::head::Behind;
use crate::http1::{AnswerHead, BodyDecoder};
use crate::http2::header_map;

/// What is made of a head that came out of the pipe.
#[derive(Debug)]
pub(super) enum Answer {
    /// An interim one.
    Interim(Response<()>),
    /// The answer, and the body behind it. `BodyDecoder::Ended` is none at all.
    Final(Response<()>, BodyDecoder),
    /// The answer that opens a tunnel.
    Tunnel(Response<()>),
}

/// Reads a head for a request of this method. `None` if HTTP/2 cannot say it, which is never the caller's fault.
pub(super) fn of(head: &AnswerHead, method: &Method, behind: Behind) -> Option<Answer> {
    let status = StatusCode::from_u16(head.status).ok()?;
    match behind {
        Behind::Tunnel { websocket: true } if status == StatusCode::SWITCHING_PROTOCOLS => {
            // The key was the gate's own, and so is what accepts it (RFC 8441 §5).
            let lines = header_map(&head.lines, |name| !name.eq_ignore_ascii_case(b"sec-websocket-accept"))?;
            return Some(Answer::Tunnel(response(StatusCode::OK, lines)));
        }
        // What HTTP/1.1 says instead of a tunnel would be one here.
        Behind::Tunnel { websocket: true } if status.is_success() => return Some(no_tunnel()),
        Behind::Tunnel { websocket: false } if status.is_success() => {
            return Some(Answer::Tunnel(response(status, header_map(&head.lines, |_| true)?)));
        }
        _ if status == StatusCode::SWITCHING_PROTOCOLS => return None,
        _ => {}
    }
    let response = response(status, header_map(&head.lines, |_| true)?);
    if status.is_informational() {
        return Some(Answer::Interim(response));
    }
    let method = if matches!(behind, Behind::Tunnel { websocket: true }) { &Method::GET } else { method };
    let body = match BodyDecoder::of_answer(head, method)? {
        BodyDecoder::Length(0) => BodyDecoder::Ended,
        body => body,
    };
    Some(Answer::Final(response, body))
}

fn response(status: StatusCode, lines: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    (*response.status_mut(), *response.headers_mut()) = (status, lines);
    response
}

fn no_tunnel() -> Answer {
    refusal(StatusCode::BAD_GATEWAY, "upstream_unreachable")
}

/// The answer to a request for a protocol that the gate does not carry (RFC 9220 §3).
pub(super) fn unknown_protocol() -> Response<()> {
    let Answer::Final(response, _) = refusal(StatusCode::NOT_IMPLEMENTED, "header_ambiguous") else {
        return Response::new(());
    };
    response
}

fn refusal(status: StatusCode, code: &'static str) -> Answer {
    let mut lines = HeaderMap::new();
    lines.insert(crate::proxy::FORGETGATE_REFUSAL, HeaderValue::from_static(code));
    lines.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    Answer::Final(response(status, lines), BodyDecoder::Ended)
}
