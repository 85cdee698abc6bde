//! What is refused whatever the upstream: heads that the next hop could frame or address differently.
//!
//! Sources: RFC 9112 §3.2, §6.1, §6.3; RFC 9110 §7.6.1. The HTTP library accepts more than that.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};

use crate::domain::refusal::{Code, Refusal};
use crate::domain::tap::RawHead;

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// Chunked.
    Unknown,
}

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadBounds {
    pub(super) headers_max: usize,
    pub(super) header_bytes_max: usize,
}

const fn ambiguous(sentence: &'static str) -> Refusal {
    Refusal::new(Code::HeaderAmbiguous, sentence)
}

/// Looks at the whole head. `raw` is what the tap saw of it.
pub(super) fn check(parts: &Parts, raw: Option<RawHead>, bounds: HeadBounds) -> Result<BodyLength, Refusal> {
    let raw = raw.ok_or(Code::HeaderTooLarge)?;
    if raw.bytes > bounds.header_bytes_max || parts.headers.len() > bounds.headers_max {
        return Err(Code::HeaderTooLarge.into());
    }
    if raw.fragment {
        return Err(Refusal::new(
            Code::PathAmbiguous,
            "The request target has a # in it, which no request target may have",
        ));
    }
    if parts.method == Method::CONNECT {
        return Err(Refusal::new(Code::UpstreamUnknown, "The gate is no forward proxy: CONNECT has no route"));
    }
    check_host(parts)?;
    body_length(parts, raw)
}

fn check_host(parts: &Parts) -> Result<(), Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(ambiguous("The request has two Host lines")),
        (None, None) if parts.version == Version::HTTP_10 => return Ok(()),
        (None, None) => return Err(ambiguous("The request has no Host line")),
        (Some(host), None) => host,
    };
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    let same = authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes());
    if !same || authority.as_str().contains('@') {
        return Err(ambiguous("The request target and the Host line name different hosts"));
    }
    Ok(())
}

fn body_length(parts: &Parts, raw: RawHead) -> Result<BodyLength, Refusal> {
    let headers = &parts.headers;
    if raw.codings > 0 {
        if raw.lengths > 0 {
            return Err(ambiguous("The request has both Transfer-Encoding and Content-Length"));
        }
        return if is_just_chunked(headers) {
            Ok(BodyLength::Unknown)
        } else {
            Err(ambiguous("The only Transfer-Encoding that is taken is chunked, once"))
        };
    }
    match headers.get(CONTENT_LENGTH) {
        None => Ok(BodyLength::None),
        Some(_) if raw.lengths > 1 => Err(ambiguous("The request has two Content-Length lines")),
        Some(value) => {
            Ok(BodyLength::Known(decimal(value).ok_or_else(|| ambiguous("Content-Length is not a number"))?))
        }
    }
}

/// Is an answer's body framed in the one way that all read alike? The library takes any list of codings that ends in
/// `chunked`, and what stands before it would be lost with the line.
pub(super) fn is_sound_answer(headers: &HeaderMap) -> bool {
    !headers.contains_key(TRANSFER_ENCODING) || is_just_chunked(headers)
}

fn is_just_chunked(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let first = lines.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    first && lines.next().is_none()
}

fn decimal(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
