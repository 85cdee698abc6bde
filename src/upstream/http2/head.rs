//! A request's head as it goes into HTTP/2, and an answer's as it comes out of it (RFC 9113 §8.2, §8.3; RFC 8441).

use h2::RecvStream;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, TRAILER};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use crate::domain::websocket::accept_of;
use crate::http1::{BodyDecoder, Head, decimal};
use crate::http2::{FromFrames, has_blank_ends, header_map, write_lines};
use crate::upstream::Connector;

/// Lines of a WebSocket's handshake that HTTP/2 does without.
const HANDSHAKE_KEY: &str = "sec-websocket-key";

/// What goes out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) request: Request<()>,
    /// What follows it.
    pub(super) body: BodyDecoder,
    /// What accepts the WebSocket that it asks for.
    pub(super) accept: Option<String>,
}

/// The request that a head asks for. The gate has written it: it is sound, and there is one framing.
pub(super) fn request(head: &Head, connector: &Connector) -> Option<Outgoing> {
    let upgrade = head.lines.first("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let key = head.lines.first(HANDSHAKE_KEY).filter(|_| upgrade);
    let goes = |name: &[u8]| {
        let key = upgrade && name.eq_ignore_ascii_case(HANDSHAKE_KEY.as_bytes());
        !key && !name.eq_ignore_ascii_case(b"host")
    };
    let lines = header_map(&head.lines, goes)?;
    let mut request = message(head.method.clone(), &head.uri, lines, connector)?;
    let body = if upgrade {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        BodyDecoder::ToEnd
    } else if head.lines.first("transfer-encoding").is_some() {
        BodyDecoder::chunked()
    } else {
        BodyDecoder::Length(head.lines.first("content-length").and_then(decimal).unwrap_or_default())
    };
    Some(Outgoing { request, body, accept: key.map(accept_of) })
}

/// A request with the service's own authority. Made of parts, never of a text: that would be read in another way.
pub(super) fn message(method: Method, target: &Uri, lines: HeaderMap, connector: &Connector) -> Option<Request<()>> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if connector.is_secure() { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(Authority::try_from(connector.authority().as_bytes()).ok()?);
    uri.path_and_query = target.path_and_query().cloned();
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = lines;
    Some(request)
}

/// Writes the head of an answer as HTTP/1.1. Gives its body, if one follows; `None` if there is no such answer.
pub(super) fn answer(
    answer: Response<RecvStream>,
    method: &Method,
    accept: Option<&str>,
    out: &mut Vec<u8>,
) -> Option<Option<FromFrames>> {
    let (parts, frames) = answer.into_parts();
    if parts.headers.values().any(has_blank_ends) {
        return None;
    }
    if let (Some(accept), true) = (accept, parts.status.is_success()) {
        status_line(StatusCode::SWITCHING_PROTOCOLS, out);
        write_lines(parts.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH), out);
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
        out.extend_from_slice(accept.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        return Some(Some(FromFrames::tunnel(frames)));
    }
    status_line(parts.status, out);
    let bare = *method == Method::HEAD || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let says_length = parts.headers.contains_key(CONTENT_LENGTH);
    // A length leaves no place for trailers.
    let chunked = !bare && !frames.is_end_stream() && (!says_length || parts.headers.contains_key(TRAILER));
    write_lines(parts.headers.iter().filter(|(name, _)| !(chunked && *name == CONTENT_LENGTH)), out);
    if chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if !bare && !says_length {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let follows = !bare && !frames.is_end_stream();
    Some(follows.then(|| FromFrames::message(frames, chunked)))
}

fn status_line(status: StatusCode, out: &mut Vec<u8>) {
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The value as a header's, for calls of the gate's own.
pub(super) fn length_value(bytes: usize) -> HeaderValue {
    HeaderValue::from(bytes)
}
