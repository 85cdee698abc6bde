//! The heads that go on, built line by line: what is governed is left out in every spelling, then ours is written. A head
//! is written anew and never edited in place, since removing lines would change the order of the others.

use std::sync::LazyLock;

use http::header::HeaderName;
use smallvec::SmallVec;

use super::framing::{BodyLength, Kinds, of_kind};
use super::governed_headers::{Gathered, nominations};
use super::head_writer::{HeadWriter, OwnLine};
use super::names::{Governed, Kind, Role, kind};
use super::trace::{self, RequestId};
use super::webchat::Asked;
use crate::domain::decide::{LabelLine, OptOutLine};
use crate::http1::{Line, LineCopy, Lines, decimal};
use crate::net::Peer;

/// `Via` of everything that the gate passes on.
pub(super) const OUR_VIA: &str = "1.1 forgetgate";

/// Lines of the gate's own.
static VIA: LazyLock<OwnLine> = LazyLock::new(|| OwnLine::new("Via", OUR_VIA));
static TE_TRAILERS: LazyLock<OwnLine> = LazyLock::new(|| OwnLine::new("Te", "trailers"));

/// What the judgement says of the governed lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders<'a> {
    pub(super) label: &'a LabelLine,
    pub(super) opt_out: OptOutLine,
}

/// What is said in the query and not in headers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) label: bool,
    pub(super) opt_out: bool,
}

/// All that the new head is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewHead<'a> {
    pub(super) lines: &'a Lines,
    pub(super) kinds: &'a Kinds,
    pub(super) gathered: &'a Gathered<'a>,
    /// Set where the answer may be a page that is changed.
    pub(super) webchat: Option<Asked>,
    /// Whether it is a WebSocket's handshake.
    pub(super) websocket: bool,
    /// What the query says in place of the headers.
    pub(super) moved: Moved,
    pub(super) governed: &'a Governed,
    pub(super) orders: Orders<'a>,
    pub(super) length: BodyLength,
    pub(super) host: &'a [u8],
    /// The caller, where the upstream is told of it.
    pub(super) forwarded: Option<&'a Peer>,
    pub(super) authorization: Option<&'a [u8]>,
    /// A comment behind `Via`: which gate this is. Only where callers mean another host than the gate.
    pub(super) instance: Option<&'a str>,
    pub(super) request_id: &'a RequestId,
}

/// Which lines of ours stand in the place of the caller's.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    label: bool,
    /// HTTP/1.0 may come without.
    host: bool,
    length: bool,
    request_id: bool,
}

impl NewHead<'_> {
    /// Writes the head's lines, without the empty one at the end.
    pub(super) fn write(&self, out: &mut impl HeadWriter) {
        let sent = of_kind(self.lines, self.kinds, Kind::TraceParent).next();
        let (traceparent, continued) = trace::traceparent(sent);
        let mut written = Written::default();
        let mut copy = LineCopy::of(self.lines);
        for (number, (line, kind)) in self.lines.iter().zip(self.kinds.each()).enumerate() {
            if is_nominated(&self.gathered.nominated, line.name) {
                continue;
            }
            if self.passes(line.name, *kind) {
                out.copied(&mut copy, number, line);
            } else {
                out.finish(&mut copy);
                self.line(out, line, *kind, continued, &mut written);
            }
        }
        out.finish(&mut copy);
        if !written.host {
            out.line(b"Host", self.host);
        }
        if !written.length {
            self.write_framing(out, b"Content-Length");
        }
        if self.gathered.te_trailers {
            out.own(&TE_TRAILERS);
        }
        if self.websocket {
            out.line(b"Upgrade", b"websocket");
            out.line(b"Connection", b"Upgrade");
        }
        if let (LabelLine::Write(value), false) = (self.orders.label, written.label || self.moved.label) {
            out.line(&self.governed.label_as_written, value);
        }
        self.write_opt_out(out);
        self.write_forwarded(out);
        if let Some(authorization) = self.authorization {
            out.line(b"Authorization", authorization);
        }
        match self.instance {
            Some(comment) => out.line(b"Via", [OUR_VIA, comment].join(" ").as_bytes()),
            None => out.own(&VIA),
        }
        out.line(b"Traceparent", &traceparent);
        if !written.request_id {
            out.line(b"X-Request-Id", self.request_id.as_bytes());
        }
    }

    /// Whether a line passes as it is. Of those that do, some have to be looked at more closely: see [`Self::line`].
    fn passes(&self, name: &[u8], kind: Kind) -> bool {
        match kind {
            Kind::Other if self.webchat.is_some() => false,
            Kind::Other => match self.governed.role(name) {
                None => true,
                Some(Role::Label) => *self.orders.label == LabelLine::Keep && !self.moved.label,
                Some(Role::LabelTwin | Role::OptOut | Role::LegacyOptOut) => false,
            },
            Kind::MethodOverride | Kind::Via => true,
            Kind::Authorization => self.authorization.is_none(),
            _ => false,
        }
    }

    /// One line of the caller's: passes, is replaced in its place, or is left out.
    fn line(&self, out: &mut impl HeadWriter, sent: Line<'_>, kind: Kind, continued: bool, written: &mut Written) {
        let Line { name, value } = sent;
        match kind {
            Kind::Host if !written.host => {
                out.line(name, self.host);
                written.host = true;
            }
            Kind::ContentLength if !written.length => {
                self.write_framing(out, name);
                written.length = true;
            }
            Kind::RequestId if !written.request_id => {
                out.line(name, self.request_id.as_bytes());
                written.request_id = true;
            }
            Kind::Connection | Kind::KeepAlive | Kind::Expect | Kind::Dropped | Kind::Te => {}
            Kind::TransferEncoding | Kind::Upgrade => {}
            Kind::Host | Kind::ContentLength | Kind::RequestId | Kind::TraceParent => {}
            Kind::TraceState if !continued => {}
            Kind::Forwarding if self.forwarded.is_some() => {}
            Kind::Trailer => self.trailer(out, name, value),
            Kind::Other if self.webchat.is_some_and(|asked| asked.rewrites(name, value, out)) => {}
            Kind::Other => match (self.governed.role(name), self.orders) {
                (Some(Role::LegacyOptOut | Role::LabelTwin), _) => {}
                (Some(Role::Label), _) if self.moved.label => {}
                (Some(Role::OptOut), Orders { opt_out: OptOutLine::Untouched, .. }) => out.line(name, value),
                (Some(Role::OptOut), _) => {}
                (Some(Role::Label), Orders { label: LabelLine::Write(ours), .. }) => {
                    out.line(name, ours);
                    written.label = true;
                }
                (Some(Role::Label), Orders { label: LabelLine::Keep, .. }) | (None, _) => out.line(name, value),
            },
            Kind::Authorization if self.authorization.is_some() => {}
            Kind::ProxyAuthorization if self.instance.is_some() => {}
            Kind::MethodOverride
            | Kind::Via
            | Kind::TraceState
            | Kind::Forwarding
            | Kind::Authorization
            | Kind::ProxyAuthorization => out.line(name, value),
        }
    }

    /// `Trailer` without the governed names: what it announces must be what will be sent.
    fn trailer(&self, out: &mut impl HeadWriter, name: &[u8], value: &[u8]) {
        let tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> =
            tokens.filter(|token| !token.is_empty() && !is_kept_from_trailers(self.governed, token)).collect();
        if !kept.is_empty() {
            out.line(name, &kept.join(&b", "[..]));
        }
    }

    fn write_framing(&self, out: &mut impl HeadWriter, name: &[u8]) {
        match self.length {
            BodyLength::None => {}
            BodyLength::Known(length) => out.line(name, itoa::Buffer::new().format(length).as_bytes()),
            BodyLength::Unknown => out.line(b"Transfer-Encoding", b"chunked"),
        }
    }

    fn write_opt_out(&self, out: &mut impl HeadWriter) {
        let Some(names) = self.governed.opt_out.as_ref().filter(|_| !self.moved.opt_out) else { return };
        match self.orders.opt_out {
            OptOutLine::Out => names.out.iter().for_each(|line| out.own(line)),
            OptOutLine::In => out.own(&names.in_),
            OptOutLine::Untouched | OptOutLine::Absent => {}
        }
    }

    fn write_forwarded(&self, out: &mut impl HeadWriter) {
        let Some(peer) = self.forwarded else { return };
        // A Unix socket's caller has no address (RFC 7239 §6.3).
        let node = peer.ip.map_or_else(
            || "unknown".to_owned(),
            |ip| if ip.is_ipv6() { format!("\"[{ip}]\"") } else { ip.to_string() },
        );
        let scheme = if peer.secure { "https" } else { "http" };
        if let Some(ip) = peer.ip {
            out.line(b"X-Forwarded-For", ip.to_string().as_bytes());
        }
        out.line(b"X-Forwarded-Proto", scheme.as_bytes());
        let mut forwarded = format!("for={node};proto={scheme}").into_bytes();
        if let Some(host) = self.lines.first("host") {
            out.line(b"X-Forwarded-Host", host);
            let quotable = !host.iter().any(|byte| matches!(byte, b'"' | b'\\'));
            if quotable {
                forwarded.extend_from_slice(b";host=\"");
                forwarded.extend_from_slice(host);
                forwarded.push(b'"');
            }
        }
        out.line(b"Forwarded", &forwarded);
    }
}

fn is_nominated(nominated: &[HeaderName], name: &[u8]) -> bool {
    nominated.iter().any(|each| each.as_str().as_bytes().eq_ignore_ascii_case(name))
}

/// Whether this name may not stand in a trailer. The governed ones, and those that frame or address a message (RFC 9110
/// §6.5.1).
fn is_kept_from_trailers(governed: &Governed, name: &[u8]) -> bool {
    let framing = matches!(
        kind(name),
        Kind::Host
            | Kind::ContentLength
            | Kind::TransferEncoding
            | Kind::Connection
            | Kind::Te
            | Kind::Trailer
            | Kind::Upgrade
            | Kind::Authorization
            | Kind::ProxyAuthorization
            | Kind::KeepAlive
            | Kind::Expect
            | Kind::Dropped
            | Kind::MethodOverride
    );
    framing || governed.role(name).is_some()
}

/// Appends the trailers of a request, without what is governed.
pub(super) fn trailers(out: &mut Vec<u8>, governed: &Governed, sent: &Lines) {
    for each in sent.iter().filter(|each| !is_kept_from_trailers(governed, each.name)) {
        out.line(each.name, each.value);
    }
}

/// Appends the trailers of an answer: those that frame or address a message mean nothing there.
pub(super) fn answer_trailers(out: &mut Vec<u8>, sent: &Lines) {
    for each in sent.iter().filter(|each| !is_for_one_hop(kind(each.name)) && kind(each.name) != Kind::ContentLength) {
        out.line(each.name, each.value);
    }
}

/// How the body of an answer is framed on its way to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFraming {
    /// As the service's lines say; nothing is added.
    Same,
    /// There is none, and there may be no line about it.
    None,
    /// With this length.
    Length(u64),
    /// In chunks.
    Chunked,
    /// It ends with the connection.
    ToEnd,
}

/// Appends an answer's lines: what was for the last hop only goes, `Via`, the request's name and the framing come.
pub(super) fn answer_lines(out: &mut Vec<u8>, sent: &Lines, framing: AnswerFraming, request_id: &RequestId) {
    let kinds = Kinds::of(sent);
    let nominated = nominated(sent, &kinds);
    let is_nominated = |name: &[u8]| {
        !nominated.is_empty()
            && nominated.binary_search_by(|each| each.as_slice().cmp(&name.to_ascii_lowercase())).is_ok()
    };
    let mut named = false;
    let mut length_written = framing != AnswerFraming::Same && !matches!(framing, AnswerFraming::Length(_));
    let mut copy = LineCopy::of(sent);
    for (number, (each, kind)) in sent.iter().zip(kinds.each()).enumerate() {
        match kind {
            Kind::ContentLength if length_written => continue,
            Kind::ContentLength => {
                copy.finish(out);
                // One, and in canonical decimal.
                let length = decimal(each.value).unwrap_or_default();
                out.line(each.name, itoa::Buffer::new().format(length).as_bytes());
                length_written = true;
                continue;
            }
            kind if is_for_one_hop(*kind) => continue,
            Kind::RequestId => named = true,
            _ => {}
        }
        // What an answer nominates is dropped, but never what frames or dates it.
        if !is_nominated(each.name) && !copy.copies(number, out) {
            copy.finish(out);
            out.line(each.name, each.value);
        }
    }
    copy.finish(out);
    if let (AnswerFraming::Length(length), false) = (framing, length_written) {
        out.line(b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
    }
    if framing == AnswerFraming::Chunked {
        out.line(b"Transfer-Encoding", b"chunked");
    }
    out.own(&VIA);
    if !named {
        out.line(b"X-Request-Id", request_id.as_bytes());
    }
}

/// What an answer's `Connection` lines name, sorted, so that a long list costs no look at every line (P12).
fn nominated(sent: &Lines, kinds: &Kinds) -> SmallVec<[Vec<u8>; 2]> {
    let values = of_kind(sent, kinds, Kind::Connection);
    let mut nominated: SmallVec<_> = values.flat_map(nominations).map(<[u8]>::to_ascii_lowercase).collect();
    nominated.sort_unstable();
    nominated
}

/// Whether a line of this kind is for one hop only.
const fn is_for_one_hop(kind: Kind) -> bool {
    matches!(kind, Kind::Connection | Kind::KeepAlive | Kind::TransferEncoding | Kind::Upgrade | Kind::Te)
}

/// Appends the first line of an answer.
pub(super) fn status_line(out: &mut Vec<u8>, http10: bool, status: u16, reason: &[u8]) {
    let digit = |unit: u16| b'0' + u8::try_from(status / unit % 10).unwrap_or_default();
    out.extend_from_slice(if http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}
