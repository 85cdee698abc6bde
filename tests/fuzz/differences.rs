//! Where the gate and hyper read the same bytes differently, and why the gate is right. The same table is in
//! docs/decisions/001-own-http1.md.

use forgetgate::domain::refusal::Code;
use forgetgate::http1::{Fault, Head};

use crate::{Case, Message, Stop};

/// One kind of difference.
#[expect(dead_code, reason = "the texts are for whoever reads the table")]
pub struct Difference {
    /// What is in the bytes.
    what: &'static str,
    /// Who does what, and why the gate may.
    right: &'static str,
    source: &'static str,
    /// Whether a case is of this kind.
    is: fn(&Case<'_>) -> bool,
}

/// The row that a case belongs to.
pub fn known(case: &Case<'_>) -> Option<&'static Difference> {
    TABLE.iter().find(|row| (row.is)(case))
}

static TABLE: [Difference; 12] = [
    row(
        "a `#` in the target",
        "the gate refuses, hyper cuts the target there; no target has a fragment",
        "RFC 9112 §3.2",
        |case| matches!(case.our_stop, Stop::NoHead(Fault::Fragment)) && taken_by_them(case),
    ),
    row(
        "`Transfer-Encoding` and `Content-Length`",
        "the gate refuses, hyper drops the length; both may be done, and to refuse leaves nothing to the next hop",
        "RFC 9112 §6.1",
        |case| refused(case, |head| has(head, "transfer-encoding") && has(head, "content-length")),
    ),
    row(
        "the same `Content-Length` twice",
        "the gate refuses, hyper drops one; both may be done",
        "RFC 9110 §8.6",
        |case| refused(case, |head| head.lines.all("content-length").count() > 1),
    ),
    row(
        "a coding besides `chunked`",
        "the gate refuses, hyper undoes `chunked` only; what is not understood is refused",
        "RFC 9112 §6.1",
        |case| refused(case, |head| !is_just_chunked(head)),
    ),
    row(
        "no `Host`, or two, or one that names none",
        "the gate refuses, as a server must; hyper leaves it to its service",
        "RFC 9112 §3.2",
        |case| refused(case, |head| head.lines.all("host").count() != 1 || !names_a_host(head)),
    ),
    row(
        "a target with another host than `Host`, with a user, or of another scheme",
        "the gate refuses, hyper leaves it to its service; the target would win, but not everywhere",
        "RFC 9112 §3.2.2",
        |case| refused(case, |head| head.uri.authority().is_some() && !is_addressed_once(head)),
    ),
    row(
        "`CONNECT`",
        "the gate refuses, hyper leaves it to its service; only a forward proxy takes it",
        "RFC 9110 §9.3.6",
        |case| refused(case, |head| head.method == http::Method::CONNECT),
    ),
    row(
        "a request that has been through too many gates",
        "the gate refuses, hyper does not look; `Via` is there to find circles",
        "RFC 9110 §7.6.3",
        |case| matches!(case.our_stop, Stop::Refused(_, why) if why.code == Code::LoopDetected) && taken_by_them(case),
    ),
    row(
        "a chunk's size with more than sixteen digits",
        "the gate refuses, hyper reads any number of noughts; who reads fewer digits reads another size",
        "RFC 9112 §7.1",
        |case| broken_for_us(case) && has_long_size(case.bytes),
    ),
    row(
        "a bare LF in trailers",
        "the gate refuses, hyper takes it for the end of a line; a recipient may, and not all do",
        "RFC 9112 §2.2",
        |case| broken_for_us(case) && has_bare_feed(case.bytes),
    ),
    row(
        "bytes that are no ASCII in a `Connection` line",
        "the gate finds `close` and `keep-alive` beside them, hyper reads no such line; they are opaque, the rest is not",
        "RFC 9110 §5.5",
        differs_in_connection,
    ),
    row(
        "a fault in a head that has not ended",
        "neither takes a request; the gate answers at once, hyper once the head ends",
        "RFC 9112 §2.2",
        |case| matches!(case.our_stop, Stop::NoHead(_)) && case.ours.is_none() && case.theirs.is_none(),
    ),
];

const fn row(what: &'static str, right: &'static str, source: &'static str, is: fn(&Case<'_>) -> bool) -> Difference {
    Difference { what, right, source, is }
}

fn refused(case: &Case<'_>, is: impl Fn(&Head) -> bool) -> bool {
    matches!(case.our_stop, Stop::Refused(head, _) if is(head)) && taken_by_them(case)
}

/// They have a request where we have none.
fn taken_by_them(case: &Case<'_>) -> bool {
    case.ours.is_none() && case.theirs.is_some()
}

fn has(head: &Head, name: &str) -> bool {
    head.lines.all(name).next().is_some()
}

fn is_just_chunked(head: &Head) -> bool {
    let mut codings = head.lines.all("transfer-encoding");
    codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

fn is_addressed_once(head: &Head) -> bool {
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let is_http = matches!(head.uri.scheme_str(), None | Some("http" | "https"));
    is_http && !authority.contains('@') && head.lines.first("host") == Some(authority.as_bytes())
}

/// RFC 3986 §3.2.2, §3.2.3: a name or an address, and perhaps a port.
fn names_a_host(head: &Head) -> bool {
    let host = head.lines.first("host").and_then(|host| std::str::from_utf8(host).ok()).unwrap_or("\"");
    let (name, port, extra) = match host.strip_prefix('[').map(|host| host.split_once(']')) {
        None => {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            (name, port, "")
        }
        Some(None) => return false,
        Some(Some((name, ""))) => (name, "", "[:]"),
        Some(Some((name, port))) => match port.strip_prefix(':') {
            Some(port) => (name, port, "[:]"),
            None => return false,
        },
    };
    let is_sound = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=%".contains(c) || extra.contains(c);
    name.chars().all(is_sound) && port.chars().all(|c| c.is_ascii_digit())
}

/// The same head, and a body that goes on for them only.
fn broken_for_us(case: &Case<'_>) -> bool {
    bodies(case).is_some_and(|(ours, theirs)| !ours.is_whole && theirs.body.starts_with(&ours.body))
}

fn bodies<'a>(case: &'a Case<'_>) -> Option<(&'a Message, &'a Message)> {
    let (ours, theirs) = (case.ours?, case.theirs?);
    let same_head = ours.method == theirs.method && ours.target == theirs.target && ours.lines == theirs.lines;
    (same_head && !ours.values("transfer-encoding").is_empty()).then_some((ours, theirs))
}

fn differs_in_connection(case: &Case<'_>) -> bool {
    let Some(last) = case.last.filter(|last| last.values("connection").iter().any(|value| !value.is_ascii())) else {
        return false;
    };
    match (case.ours, case.theirs) {
        (None, Some(_)) => matches!(case.our_stop, Stop::Closed),
        (Some(_), None) => last.http10,
        _ => false,
    }
}

fn has_long_size(bytes: &[u8]) -> bool {
    bytes.windows(17).any(|part| part.iter().all(u8::is_ascii_hexdigit))
}

fn has_bare_feed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'\n') || bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}
