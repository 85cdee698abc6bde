//! The head that goes to the upstream, built line by line: what is governed is left out in every spelling, then ours is
//! written. A head is rebuilt and never edited in place, since removing lines would change the order of the others.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, VIA};

use super::framing::BodyLength;
use super::names::{Governed, Kind, Role, kind};
use super::trace;
use crate::domain::decide::{LabelLine, OptOutLine};

/// `Via` of everything that the gate passes on.
pub(super) const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 forgetgate");
/// The request's name for people.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Lines that the gate may add.
const LINES_ADDED: usize = 8;

/// What the judgement says of the governed lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders<'a> {
    pub(super) label: &'a LabelLine,
    pub(super) opt_out: OptOutLine,
}

/// All that the new head is made of.
#[derive(Debug)]
pub(super) struct NewHead<'a> {
    pub(super) headers: HeaderMap,
    pub(super) nominated: &'a [HeaderName],
    pub(super) te_trailers: bool,
    pub(super) governed: &'a Governed,
    pub(super) orders: Orders<'a>,
    pub(super) length: BodyLength,
    pub(super) host: &'a HeaderValue,
    /// The caller's address, where the upstream is told it.
    pub(super) forwarded: Option<Forwarded<'a>>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) request_id: HeaderValue,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarded<'a> {
    pub(super) peer: std::net::IpAddr,
    pub(super) host: Option<&'a HeaderValue>,
}

/// Which lines of ours stand in the place of the caller's.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    label: bool,
    /// HTTP/1.0 may come without.
    host: bool,
}

impl NewHead<'_> {
    /// Builds the head.
    pub(super) fn build(mut self) -> HeaderMap {
        let old = std::mem::take(&mut self.headers);
        let mut new = HeaderMap::with_capacity(old.len() + LINES_ADDED);
        let (traceparent, continued) = trace::traceparent(old.get(&TRACEPARENT));
        let mut written = Written::default();
        let mut last: Option<HeaderName> = None;
        for (name, value) in old {
            // A name that is absent means: one more line of the last one.
            if name.is_some() {
                last = name;
            }
            let Some(name) = &last else { continue };
            if self.is_nominated(name) {
                continue;
            }
            self.line(&mut new, name, value, continued, &mut written);
        }
        if !written.host {
            new.insert(HOST, self.host.clone());
        }
        self.write_framing(&mut new);
        if let (LabelLine::Write(line), false) = (self.orders.label, written.label) {
            insert_bytes(&mut new, self.governed.label.clone(), line);
        }
        self.write_opt_out(&mut new);
        self.write_forwarded(&mut new);
        if let Some(authorization) = self.authorization.take() {
            new.insert(http::header::AUTHORIZATION, authorization);
        }
        new.append(VIA, OUR_VIA);
        new.insert(TRACEPARENT, traceparent);
        new.insert(X_REQUEST_ID, self.request_id);
        new
    }

    fn is_nominated(&self, name: &HeaderName) -> bool {
        !self.nominated.is_empty() && self.nominated.contains(name)
    }

    /// One line of the caller's: passes, is replaced in its place, or is left out.
    fn line(&self, new: &mut HeaderMap, name: &HeaderName, value: HeaderValue, continued: bool, written: &mut Written) {
        match kind(name) {
            Kind::Host => {
                new.insert(HOST, self.host.clone());
                written.host = true;
            }
            Kind::Connection | Kind::Dropped | Kind::Te | Kind::TransferEncoding | Kind::Upgrade => {}
            Kind::ContentLength => self.write_framing(new),
            Kind::TraceParent => {}
            Kind::RequestId => drop(new.insert(X_REQUEST_ID, self.request_id.clone())),
            Kind::TraceState if !continued => {}
            Kind::Forwarding if self.forwarded.is_some() => {}
            Kind::Trailer => self.trailer(new, &value),
            Kind::Other => match (self.governed.role(name.as_str()), self.orders) {
                (Some(Role::LegacyOptOut | Role::LabelTwin), _) => {}
                (Some(Role::OptOut), Orders { opt_out: OptOutLine::Untouched, .. }) => {
                    new.append(name.clone(), value);
                }
                (Some(Role::OptOut), _) => {}
                (Some(Role::Label), Orders { label: LabelLine::Write(line), .. }) => {
                    insert_bytes(new, name.clone(), line);
                    written.label = true;
                }
                (Some(Role::Label), Orders { label: LabelLine::Keep, .. }) | (None, _) => {
                    new.append(name.clone(), value);
                }
            },
            Kind::MethodOverride | Kind::TraceState | Kind::Forwarding => drop(new.append(name.clone(), value)),
        }
    }

    /// `Trailer` without the governed names: what it announces must be what will be sent.
    fn trailer(&self, new: &mut HeaderMap, value: &HeaderValue) {
        let kept = value.as_bytes().split(|byte| *byte == b',').filter(|name| {
            std::str::from_utf8(name.trim_ascii()).is_ok_and(|name| !is_kept_from_trailers(self.governed, name))
        });
        let kept: Vec<&[u8]> = kept.collect();
        if let (false, Ok(line)) = (kept.is_empty(), HeaderValue::from_bytes(kept.join(&b',').trim_ascii())) {
            new.append(TRAILER, line);
        }
    }

    fn write_framing(&self, new: &mut HeaderMap) {
        match self.length {
            BodyLength::None => {}
            BodyLength::Known(length) => drop(new.insert(CONTENT_LENGTH, HeaderValue::from(length))),
            BodyLength::Unknown => drop(new.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        }
        if self.te_trailers {
            new.insert(TE, HeaderValue::from_static("trailers"));
        }
    }

    fn write_opt_out(&self, new: &mut HeaderMap) {
        let Some(names) = &self.governed.opt_out else { return };
        match self.orders.opt_out {
            OptOutLine::Out => {
                new.insert(names.name.clone(), names.out.clone());
                for also in &names.also {
                    new.insert(also.clone(), names.out.clone());
                }
            }
            OptOutLine::In => drop(new.insert(names.name.clone(), HeaderValue::from_static("false"))),
            OptOutLine::Untouched | OptOutLine::Absent => {}
        }
    }

    fn write_forwarded(&self, new: &mut HeaderMap) {
        let Some(Forwarded { peer, host }) = self.forwarded else { return };
        let peer_text = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        insert_bytes(new, HeaderName::from_static("x-forwarded-for"), peer.to_string().as_bytes());
        new.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
        let mut forwarded = format!("for={peer_text};proto=http").into_bytes();
        if let Some(host) = host {
            new.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
            let quotable = !host.as_bytes().iter().any(|byte| matches!(byte, b'"' | b'\\'));
            if quotable {
                forwarded.extend_from_slice(b";host=\"");
                forwarded.extend_from_slice(host.as_bytes());
                forwarded.push(b'"');
            }
        }
        insert_bytes(new, HeaderName::from_static("forwarded"), &forwarded);
    }
}

/// May this name not stand in a trailer? The governed ones, and those that frame or address a message (RFC 9110 §6.5.1).
pub(super) fn is_kept_from_trailers(governed: &Governed, name: &str) -> bool {
    let framing =
        ["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "authorization", "upgrade"];
    governed.role(name).is_some() || framing.iter().any(|each| name.eq_ignore_ascii_case(each))
}

fn insert_bytes(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    // The bytes come from header values and from text that has no control characters: they make a header value again.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// The answer's head on its way to the caller: what was for the last hop only goes, `Via` and the request's name come.
pub(super) fn answer_head(headers: &mut HeaderMap, request_id: &HeaderValue) {
    let hop_by_hop = headers.keys().any(|name| {
        matches!(kind(name), Kind::Connection | Kind::TransferEncoding | Kind::Upgrade | Kind::Te)
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
    });
    if hop_by_hop {
        *headers = without_hop_by_hop(std::mem::take(headers));
    }
    headers.append(VIA, OUR_VIA);
    if !headers.contains_key(&X_REQUEST_ID) {
        headers.insert(X_REQUEST_ID, request_id.clone());
    }
}

fn without_hop_by_hop(old: HeaderMap) -> HeaderMap {
    // Where both are there the coding frames the body, and the length is wrong (RFC 9112 §6.3).
    let coded = old.contains_key(TRANSFER_ENCODING);
    let words = |value: &'_ HeaderValue| -> Vec<HeaderName> {
        let tokens = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let names =
            tokens.filter(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"));
        names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
    };
    let nominated: Vec<HeaderName> = old.get_all(http::header::CONNECTION).iter().flat_map(words).collect();
    let mut new = HeaderMap::with_capacity(old.len() + 2);
    let mut last: Option<HeaderName> = None;
    for (name, value) in old {
        if name.is_some() {
            last = name;
        }
        let Some(name) = &last else { continue };
        let gone = matches!(kind(name), Kind::Connection | Kind::TransferEncoding | Kind::Upgrade | Kind::Te)
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
            || (coded && name == CONTENT_LENGTH);
        // What an answer nominates is dropped, but never what frames or dates it.
        let named = nominated.contains(name) && name != CONTENT_LENGTH;
        if !gone && !named {
            new.append(name.clone(), value);
        }
    }
    new
}
