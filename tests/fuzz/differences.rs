//! Where the gate and hyper read the same bytes differently, and why the gate is right. The same table is in
//! docs/decisions/001-own-http1.md.

use forgetgate::domain::refusal::Code;
use forgetgate::http1::{Fault, Head};

use crate::{Case, Message, Stop};

/// One kind of difference.
pub struct Difference {
    /// What is in the bytes.
    pub what: &'static str,
    /// Whether a case is of this kind.
    is: fn(&Case<'_>) -> bool,
}

/// The row that a case belongs to.
pub fn known(case: &Case<'_>) -> Option<&'static str> {
    TABLE.iter().find(|row| (row.is)(case)).map(|row| row.what)
}

pub const TABLE: [Difference; 12] = [
    // The gate refuses, hyper cuts it off: RFC 9112 §3.2, a target has no fragment.
    Difference {
        what: "a # in the target",
        is: |case| matches!(case.our_stop, Stop::NoHead(Fault::Fragment)) && taken_by_them(case),
    },
    // The gate refuses, hyper lets the coding frame the body: RFC 9112 §6.1, a server may refuse, and an intermediary that
    // does not is the one half of a smuggled request.
    Difference {
        what: "Transfer-Encoding and Content-Length",
        is: |case| refused(case, |head| has(head, "transfer-encoding") && has(head, "content-length")),
    },
    // The gate refuses, hyper takes one of them: RFC 9112 §6.3, either may be done.
    Difference {
        what: "the same Content-Length twice",
        is: |case| refused(case, |head| head.lines.all("content-length").count() > 1),
    },
    // The gate refuses, hyper passes on a body that it cannot decode: RFC 9112 §6.1, 501.
    Difference {
        what: "a coding besides chunked",
        is: |case| {
            refused(case, |head| {
                let codings = || head.lines.all("transfer-encoding");
                codings().count() > 1 || codings().any(|coding| !coding.eq_ignore_ascii_case(b"chunked"))
            })
        },
    },
    // The gate refuses, hyper leaves it to its service: RFC 9112 §3.2, a server must refuse.
    Difference {
        what: "no Host, or two, or one that is none",
        is: |case| refused(case, |head| head.lines.all("host").count() != 1 || !names_a_host(head)),
    },
    // The gate refuses where RFC 9112 §3.2.2 lets the target win: the next hop could look at the other one.
    Difference {
        what: "a target that names another host than Host does, or a user, or another scheme",
        is: |case| refused(case, |head| head.uri.authority().is_some() && !is_addressed_once(head)),
    },
    // The gate is no forward proxy: RFC 9110 §9.3.6.
    Difference { what: "CONNECT", is: |case| refused(case, |head| head.method == http::Method::CONNECT) },
    // RFC 9110 §7.6.3: `Via` is there to find a circle.
    Difference {
        what: "a request that has been through too many gates",
        is: |case| matches!(case.our_stop, Stop::Refused(_, refusal) if refusal.code == Code::LoopDetected),
    },
    // The gate refuses, hyper reads any number of noughts: RFC 9112 §7.1 sets no bound, and a reader into 64 bits that looks
    // at no more digits than fit reads another size.
    Difference {
        what: "a chunk's size of more than sixteen digits",
        is: |case| broken_for_us(case) && has_long_size(case.bytes),
    },
    // The gate refuses: RFC 9112 §7.1.2 and §2.2, a chunked body's lines end with CR and LF.
    Difference { what: "a bare LF in trailers", is: |case| broken_for_us(case) && has_bare_feed(case.bytes) },
    // The gate finds `close` or `keep-alive` among whatever else is listed, hyper reads no such line: RFC 9110 §7.6.1 and
    // §5.5, tokens stand between commas, and what is no ASCII is opaque.
    Difference { what: "a Connection line with something in it that is no ASCII", is: differs_in_connection },
    // Neither takes it; hyper looks again only once the head has ended.
    Difference {
        what: "a fault in a head that has not ended",
        is: |case| matches!((case.our_stop, case.theirs), (Stop::NoHead(_), None)) && case.ours.is_none(),
    },
];

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
