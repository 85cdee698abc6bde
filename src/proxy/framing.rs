//! What is refused whatever the upstream: heads that the next hop could frame or address differently.
//!
//! Sources: RFC 9112 §3.2, §6.1, §6.3; RFC 9110 §7.6.1. What servers accept beyond that, they do not accept alike.

use http::uri::Scheme;
use http::{Method, Version};
use smallvec::SmallVec;

use super::names::{Kind, kind};
use super::rewrite::OUR_VIA;
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BodyDecoder;
use crate::http1::{Fault, Head, Line, Lines, decimal};

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// Chunked.
    Unknown,
}

impl BodyLength {
    /// A body of this length that has not begun.
    pub(super) fn body(self) -> BodyDecoder {
        match self {
            Self::None => BodyDecoder::Ended,
            Self::Known(length) => BodyDecoder::Length(length),
            Self::Unknown => BodyDecoder::chunked(),
        }
    }
}

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadBounds {
    pub(super) headers_max: usize,
    pub(super) header_bytes_max: usize,
}

/// What each line is, in the order of the lines, and which kinds there are at all.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    each: SmallVec<[Kind; 24]>,
    /// A bit for each kind.
    present: u32,
}

impl Kinds {
    pub(super) fn of(lines: &Lines) -> Self {
        let mut present = 0;
        let sorted = |line: Line<'_>| {
            let kind = kind(line.name);
            present |= bit(kind);
            kind
        };
        Self { each: lines.iter().map(sorted).collect(), present }
    }

    /// All of them, or none if there is none of this kind: most kinds are asked for in vain.
    pub(super) fn if_any(&self, wanted: Kind) -> &[Kind] {
        if self.present & bit(wanted) == 0 { &[] } else { &self.each }
    }

    pub(super) fn each(&self) -> &[Kind] {
        &self.each
    }
}

const fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}

/// Gates that a request may have been through: of a chain there are two or three, of a circle there is no end.
const GATES_MAX: usize = 4;

const fn ambiguous(sentence: &'static str) -> Refusal {
    Refusal::new(Code::HeaderAmbiguous, sentence)
}

/// The refusal of what is no head.
pub(super) fn refusal_of(fault: Fault) -> Refusal {
    match fault {
        Fault::Malformed | Fault::Http2 => ambiguous("What was sent is not a request of HTTP/1.1"),
        Fault::TooManyLines => Code::HeaderTooLarge.into(),
        Fault::TargetTooLong => Code::TargetTooLong.into(),
        Fault::Fragment => {
            Refusal::new(Code::PathAmbiguous, "The request target has a # in it, which no request target may have")
        }
    }
}

/// Looks at the whole head.
pub(super) fn check(head: &Head, bounds: HeadBounds) -> Result<(BodyLength, Kinds), Refusal> {
    if head.bytes > bounds.header_bytes_max || head.lines.len() > bounds.headers_max {
        return Err(Code::HeaderTooLarge.into());
    }
    if head.method == Method::CONNECT {
        return Err(Refusal::new(Code::UpstreamUnknown, "The gate is no forward proxy: CONNECT has no route"));
    }
    let kinds = Kinds::of(&head.lines);
    let gates = of_kind(&head.lines, &kinds, Kind::Via).flat_map(|line| line.split(|byte| *byte == b','));
    if gates.filter(|one| one.trim_ascii().starts_with(OUR_VIA.as_bytes())).nth(GATES_MAX).is_some() {
        return Err(Code::LoopDetected.into());
    }
    check_host(head, &kinds)?;
    Ok((body_length(head, &kinds)?, kinds))
}

/// The body behind a head that is within bounds: what fuzzing holds against other readers.
///
/// # Errors
/// The refusal of a head that the next hop could frame or address differently.
#[cfg(fuzzing)]
pub fn body_of(head: &Head) -> Result<BodyDecoder, Refusal> {
    let bounds = HeadBounds { headers_max: usize::MAX, header_bytes_max: usize::MAX };
    check(head, bounds).map(|(length, _)| length.body())
}

/// The values of the lines of one kind.
pub(super) fn of_kind<'a>(lines: &'a Lines, kinds: &'a Kinds, wanted: Kind) -> impl Iterator<Item = &'a [u8]> {
    lines.iter().zip(kinds.if_any(wanted)).filter(move |(_, kind)| **kind == wanted).map(|(line, _)| line.value)
}

fn check_host(head: &Head, kinds: &Kinds) -> Result<(), Refusal> {
    let mut hosts = of_kind(&head.lines, kinds, Kind::Host);
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(ambiguous("The request has two Host lines")),
        (None, None) if head.version == Version::HTTP_10 => return Ok(()),
        (None, None) => return Err(ambiguous("The request has no Host line")),
        (Some(host), None) => host,
    };
    if !is_host(host) {
        return Err(ambiguous("The Host line names no host"));
    }
    if head.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::new(Code::PathAmbiguous, "The request target is of a scheme that is not HTTP's"));
    }
    let Some(authority) = head.uri.authority() else { return Ok(()) };
    // The scheme's own port may be written out in one of them.
    let own_port = if head.uri.scheme() == Some(&Scheme::HTTPS) { ":443" } else { ":80" };
    let target = authority.as_str().strip_suffix(own_port).unwrap_or(authority.as_str());
    let same = target.as_bytes().eq_ignore_ascii_case(host.strip_suffix(own_port.as_bytes()).unwrap_or(host));
    if !same || authority.as_str().contains('@') {
        return Err(ambiguous("The request target and the Host line name different hosts"));
    }
    Ok(())
}

/// The characters of a host's name, a bit for each.
const IN_HOSTS: u128 = {
    let mut left: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=%";
    let mut all = 0;
    while let [first, rest @ ..] = left {
        all |= 1 << *first;
        left = rest;
    }
    all
};

/// A host and perhaps a port, with no character that stands in neither (RFC 3986 §3.2). It may be empty.
fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text.iter().position(|byte| *byte == b']') {
        Some(end) if text.starts_with(b"[") => text.split_at(end + 1),
        Some(_) => return false,
        None => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    let literal = host.starts_with(b"[");
    let allowed = |byte: &u8| byte.is_ascii() && IN_HOSTS >> byte & 1 == 1;
    let host = host.iter().all(|byte| allowed(byte) || (literal && matches!(byte, b'[' | b':' | b']')));
    let digits = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host && digits
}

fn body_length(head: &Head, kinds: &Kinds) -> Result<BodyLength, Refusal> {
    let mut codings = of_kind(&head.lines, kinds, Kind::TransferEncoding);
    let mut lengths = of_kind(&head.lines, kinds, Kind::ContentLength);
    let (coding, length) = (codings.next(), lengths.next());
    match (coding, length) {
        (None, None) => Ok(BodyLength::None),
        (Some(_), Some(_)) => Err(ambiguous("The request has both Transfer-Encoding and Content-Length")),
        (Some(_), None) if head.version == Version::HTTP_10 => {
            Err(ambiguous("HTTP/1.0 has no Transfer-Encoding, and the request has one"))
        }
        (Some(coding), None) if is_just_chunked(coding) && codings.next().is_none() => Ok(BodyLength::Unknown),
        (Some(_), None) => Err(ambiguous("The only Transfer-Encoding that is taken is chunked, once")),
        (None, Some(_)) if lengths.next().is_some() => Err(ambiguous("The request has two Content-Length lines")),
        (None, Some(value)) => {
            Ok(BodyLength::Known(decimal(value).ok_or_else(|| ambiguous("Content-Length is not a number"))?))
        }
    }
}

fn is_just_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}
