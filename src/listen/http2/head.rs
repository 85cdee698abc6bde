//! A request's head out of HTTP/2, written as HTTP/1.1 (RFC 9113 §8.2, §8.3; RFC 8441).
//!
//! Whatever two readers could understand differently is written so that the one reader there is sees both: an `:authority`
//! and a `host` that differ become two `Host` lines, which are refused.

use data_encoding::BASE64;
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRAILER};
use http::request::Parts;
use http::{HeaderValue, Method};

use crate::http2::{has_blank_ends, is_for_one_hop, write_lines};

/// How a request goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// There is nothing.
    Nothing,
    /// A body as long as the head says.
    Length,
    /// A body of which nobody has said how long it is.
    Chunked,
    /// Whatever comes, once the answer has opened a tunnel.
    Tunnel {
        /// Whether it is a WebSocket: then it was asked for as HTTP/1.1 does.
        websocket: bool,
    },
}

/// Why there is no such request in HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// It is malformed.
    Malformed,
    /// It asks for a protocol that the gate does not carry.
    UnknownProtocol,
}

/// Appends the whole head. `ended` says that nothing follows it.
pub(super) fn write(parts: &Parts, ended: bool, out: &mut Vec<u8>) -> Result<Behind, NoRequest> {
    let sound = |(name, value): (&http::HeaderName, &HeaderValue)| {
        !is_for_one_hop(name.as_str().as_bytes()) && !has_blank_ends(value)
    };
    if !parts.headers.iter().all(sound) {
        return Err(NoRequest::Malformed);
    }
    let behind = match parts.extensions.get::<Protocol>() {
        Some(protocol) if protocol.as_str() == "websocket" => Behind::Tunnel { websocket: true },
        Some(_) => return Err(NoRequest::UnknownProtocol),
        None if parts.method == Method::CONNECT => Behind::Tunnel { websocket: false },
        None if ended => Behind::Nothing,
        // A length leaves no place for trailers.
        None if parts.headers.contains_key(CONTENT_LENGTH) && !parts.headers.contains_key(TRAILER) => Behind::Length,
        None => Behind::Chunked,
    };
    request_line(parts, behind, out)?;
    hosts(parts, out);
    lines(parts, behind, out);
    framing(parts, behind, out);
    out.extend_from_slice(b"\r\n");
    Ok(behind)
}

fn request_line(parts: &Parts, behind: Behind, out: &mut Vec<u8>) -> Result<(), NoRequest> {
    let (method, target) = match behind {
        Behind::Tunnel { websocket: false } => {
            (&parts.method, parts.uri.authority().ok_or(NoRequest::Malformed)?.as_str())
        }
        Behind::Tunnel { websocket: true } => (&Method::GET, target(parts)?),
        Behind::Nothing | Behind::Length | Behind::Chunked => (&parts.method, target(parts)?),
    };
    for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

fn target(parts: &Parts) -> Result<&str, NoRequest> {
    parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str).ok_or(NoRequest::Malformed)
}

/// One `Host`, or all that were said if they are not the same.
fn hosts(parts: &Parts, out: &mut Vec<u8>) {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let said = parts.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let differs = said.filter(|host| authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host)));
    for host in authority.into_iter().chain(differs) {
        out.extend_from_slice(b"Host: ");
        out.extend_from_slice(host);
        out.extend_from_slice(b"\r\n");
    }
}

fn lines(parts: &Parts, behind: Behind, out: &mut Vec<u8>) {
    let websocket = behind == Behind::Tunnel { websocket: true };
    let mut cookies = Some(());
    for (name, value) in &parts.headers {
        if name == COOKIE {
            if cookies.take().is_some() {
                cookie(parts, out);
            }
            continue;
        }
        let goes = *name != HOST
            && !(websocket && *name == SEC_WEBSOCKET_KEY)
            && !(behind == Behind::Chunked && *name == CONTENT_LENGTH);
        if goes {
            write_lines([(name, value)], out);
        }
    }
}

/// The crumbs of a cookie are one line to HTTP/1.1 (RFC 9113 §8.2.3).
fn cookie(parts: &Parts, out: &mut Vec<u8>) {
    let crumbs: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    out.extend_from_slice(b"cookie: ");
    out.extend_from_slice(&crumbs.join(&b"; "[..]));
    out.extend_from_slice(b"\r\n");
}

fn framing(parts: &Parts, behind: Behind, out: &mut Vec<u8>) {
    let says_length = parts.headers.contains_key(CONTENT_LENGTH);
    match behind {
        Behind::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        // There servers of HTTP/1.1 expect to be told (RFC 9110 §8.6).
        Behind::Nothing if !says_length && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {
            out.extend_from_slice(b"Content-Length: 0\r\n");
        }
        Behind::Tunnel { websocket: true } => {
            out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
            out.extend_from_slice(BASE64.encode(&fastrand::u128(..).to_be_bytes()).as_bytes());
            out.extend_from_slice(b"\r\n");
            if !parts.headers.contains_key(SEC_WEBSOCKET_VERSION) {
                out.extend_from_slice(b"Sec-WebSocket-Version: 13\r\n");
            }
        }
        Behind::Nothing | Behind::Length | Behind::Tunnel { websocket: false } => {}
    }
}
