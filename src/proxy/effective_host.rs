//! The effective host of a request, by which it is routed at transparent and forward listeners.
//!
//! There a request may name its host in several places, and all have to agree: the target, `Host`, the name of the TLS
//! handshake, the CONNECT that it came through. One that has been through this gate before is refused: it runs in a circle.

use std::borrow::Cow;

use http::uri::Scheme;
use uuid::Uuid;

use crate::config::{Authority, ListenMode, canonical_host};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::Head;
use crate::net::Peer;

/// This gate among all that call themselves `forgetgate`: in a chain of two, each takes the other for another.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// In brackets, as a comment of `Via` is written (RFC 9110 §7.6.3).
    comment: String,
}

impl Instance {
    pub(super) fn new() -> Self {
        let number = Uuid::from_u128(fastrand::u128(..));
        Self { comment: format!("({})", number.simple()) }
    }

    /// What stands behind `Via: 1.1 forgetgate` of what came in where callers mean another host.
    pub(super) fn comment(&self) -> &str {
        &self.comment
    }

    fn has_seen(&self, head: &Head) -> bool {
        head.lines.all("via").any(|line| memchr::memmem::find(line, self.comment.as_bytes()).is_some())
    }
}

const fn ambiguous(sentence: &'static str) -> Refusal {
    Refusal::new(Code::HeaderAmbiguous, sentence)
}

const OTHER_NAME: Refusal = ambiguous("The Host line and the name in the TLS handshake are different hosts");

const fn nowhere(sentence: &'static str) -> Refusal {
    Refusal::new(Code::UpstreamUnknown, sentence)
}

/// The host of a request at a listener of any mode, in its one spelling. `None` if it names none.
pub(super) fn host<'a>(head: &'a Head, peer: &'a Peer, instance: &Instance) -> Result<Option<Cow<'a, str>>, Refusal> {
    if peer.mode == ListenMode::Reverse {
        let host = named_by_host(head);
        // One of HTTP/1.0 may name none, and none is no other.
        let agrees = host.is_none() || agrees(&peer.server_name, host.as_deref());
        return if agrees { Ok(host) } else { Err(OTHER_NAME) };
    }
    // What the gate says on its own account carries no `Via`: it is known by its connection.
    if instance.has_seen(head) || peer.is_ourselves() {
        return Err(ambiguous("The request has been through this gate before: it runs in a circle"));
    }
    let host = match peer.mode {
        ListenMode::Forward if peer.tunnel.is_none() => Some(asked_of_a_proxy(head)?),
        ListenMode::Forward => named_by_host(head),
        ListenMode::Transparent | ListenMode::Reverse => redirected(head, peer)?,
    };
    if !agrees(&peer.server_name, host.as_deref()) {
        return Err(OTHER_NAME);
    }
    if !agrees(&peer.tunnel, host.as_deref()) {
        return Err(ambiguous("The Host line and the CONNECT before it name different hosts"));
    }
    Ok(host)
}

/// What a connection said of the host is what the request says, or it said nothing.
fn agrees(name: &Option<Box<str>>, host: Option<&str>) -> bool {
    name.as_deref().is_none_or(|name| host == Some(name))
}

fn named_by_host(head: &Head) -> Option<Cow<'_, str>> {
    let line = std::str::from_utf8(head.lines.first("host")?).ok()?;
    Authority::parse(line).map(|authority| authority.host)
}

/// The request of a client that takes the gate for its proxy names the whole URL (RFC 9112 §3.2.2).
fn asked_of_a_proxy(head: &Head) -> Result<Cow<'_, str>, Refusal> {
    let Some(authority) = head.uri.authority() else {
        return Err(nowhere("This port is an HTTP proxy: send the whole URL as the target, or CONNECT"));
    };
    if head.uri.scheme() != Some(&Scheme::HTTP) {
        return Err(ambiguous("A proxy is asked for https by CONNECT"));
    }
    let asked = Authority::parse(authority.as_str());
    asked.map(|asked| asked.host).ok_or_else(|| ambiguous("The request target names no host"))
}

/// A client that knows nothing of the gate. One of HTTP/1.0 may name no host: then it means the address that it called.
fn redirected<'a>(head: &'a Head, peer: &Peer) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(meant) = peer.meant else {
        return Err(nowhere("This port takes connections that the system redirects to it, and this one came straight"));
    };
    if head.lines.first("host").is_some_and(|line| !line.is_empty()) {
        return Ok(named_by_host(head));
    }
    if let Some(authority) = head.uri.authority() {
        return Ok(Authority::parse(authority.as_str()).map(|authority| authority.host));
    }
    Ok(canonical_host(&meant.ip().to_string()).map(|host| Cow::Owned(host.into_owned())))
}
