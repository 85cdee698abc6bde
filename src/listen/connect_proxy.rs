//! A forward listener: its callers take the gate for their HTTP proxy. CONNECT is answered here; a request with a whole
//! URL for its target goes its usual way.
//!
//! A tunnel to a host that an upstream names is opened, and its requests are judged; whatever its port, what leaves goes
//! to the upstream's own. Others are refused, or pass unseen if the operator lets them: then what goes on in them must be
//! TLS to that host, or a tunnel to one name could carry another's (P9).

use std::net::SocketAddr;

use http::Method;
use tokio::time::timeout;

use super::client_hello::{self, HANDSHAKE};
use super::connection::{Serving, finish, requests};
use super::tunnel::{self, NO_AUTHORITY, NO_UPSTREAM};
use crate::config::{Authority, ListenMode, Others};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::{BufferedIo, Head};
use crate::net::Stream;
use crate::proxy::{Crossing, Hop};

/// The answer to a CONNECT that is granted (RFC 9110 §9.3.6).
const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// HTTPS's own port: whoever asks for it speaks TLS.
const HTTPS: u16 = 443;

const OTHER_NAME: Refusal =
    Refusal::new(Code::HeaderAmbiguous, "The CONNECT and the name in the TLS handshake are different hosts");
const NOT_TLS: Refusal =
    Refusal::new(Code::UpstreamUnknown, "What passes unseen has to be TLS that names the host of its CONNECT");

/// Whether this is a CONNECT for the listener itself, and not one inside a tunnel.
pub(super) fn is_asked(head: &Head, serving: &Serving) -> bool {
    let peer = &serving.peer;
    head.method == Method::CONNECT && peer.mode == ListenMode::Forward && peer.tunnel.is_none()
}

/// Answers a CONNECT, and serves what goes on in its tunnel.
pub(super) async fn connect(link: BufferedIo<Stream>, head: &Head, serving: Box<Serving>) {
    match asked(head) {
        Err(refusal) => refuse(link, head, Crossing::to(&serving.gate(), ""), refusal, &serving).await,
        Ok((host, port)) if serving.gate().routes().leads_to(&host) => {
            to_upstream(link, head, host, port, serving).await
        }
        Ok((host, port)) => to_others(link, head, &host, port, &serving).await,
    }
}

/// The host and the port of a CONNECT. All that names a host in it has to agree.
fn asked(head: &Head) -> Result<(String, u16), Refusal> {
    let ambiguous = |sentence| Refusal::new(Code::HeaderAmbiguous, sentence);
    let target = head.uri.to_string();
    let (host, port) = match Authority::parse(&target) {
        Some(Authority { host, port: Some(port @ 1..) }) => (host.into_owned(), port),
        _ => return Err(ambiguous("CONNECT takes a host and a port from 1 to 65535, and nothing else")),
    };
    let mut lines = head.lines.all("host");
    let agrees = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok().and_then(Authority::parse);
        line.is_some_and(|line| *line.host == *host && line.port.is_none_or(|named| named == port))
    };
    match (lines.next(), lines.next()) {
        (None, _) if head.version == http::Version::HTTP_10 => {}
        (Some(line), None) if agrees(line) => {}
        _ => return Err(ambiguous("CONNECT and its Host line name different hosts")),
    }
    let framed = head.lines.first("transfer-encoding").is_some();
    if framed || head.lines.all("content-length").any(|length| length != b"0") {
        return Err(ambiguous("A CONNECT has no body"));
    }
    Ok((host, port))
}

async fn to_upstream(mut link: BufferedIo<Stream>, head: &Head, host: String, port: u16, mut serving: Box<Serving>) {
    let has_authority = serving.door.interceptor.is_some();
    if port == HTTPS && !has_authority {
        let crossing = Crossing::to(&serving.gate(), &host);
        return refuse(link, head, crossing, NO_AUTHORITY, &serving).await;
    }
    if !grant(&mut link, &serving).await {
        return;
    }
    serving.peer.tunnel = Some(host.as_str().into());
    if client_hello::first_byte(&mut link).await != Some(HANDSHAKE) {
        return Box::pin(requests(Box::new(link), serving)).await;
    }
    let Some(hello) = client_hello::read(&mut link).await else { return };
    let refusal = match hello.name {
        Some(name) if name != host => OTHER_NAME,
        _ if !has_authority => NO_AUTHORITY,
        _ => return tunnel::opened(link, &host, serving).await,
    };
    tunnel::turn_away(link, Crossing::to(&serving.gate(), &host), refusal).await;
}

async fn to_others(mut link: BufferedIo<Stream>, head: &Head, host: &str, port: u16, serving: &Serving) {
    let crossing = Crossing::to(&serving.gate(), host);
    let service = match resolve(host, port, serving).await {
        Ok(addresses) => tunnel::dial(&addresses, serving).await,
        Err(refusal) => Err(refusal),
    };
    let service = match service {
        Ok(service) => service,
        Err(refusal) => return refuse(link, head, crossing, refusal, serving).await,
    };
    if !grant(&mut link, serving).await {
        return;
    }
    let hello = match client_hello::first_byte(&mut link).await {
        Some(HANDSHAKE) => client_hello::read(&mut link).await,
        _ => None,
    };
    match hello.map(|hello| hello.name) {
        Some(Some(name)) if name == host => tunnel::pass(link, service, crossing, host, serving).await,
        Some(Some(_)) => tunnel::turn_away(link, crossing, OTHER_NAME).await,
        // What is no TLS gets no answer: it is not known what would be understood.
        Some(None) | None => drop(crossing.refuse(NOT_TLS)),
    }
}

/// The addresses of a host to which a tunnel may lead.
async fn resolve(host: &str, port: u16, serving: &Serving) -> Result<Vec<SocketAddr>, Refusal> {
    let interception = &serving.door.listen.interception;
    if interception.others == Others::Refuse || serving.gate().routes().governs(host) {
        return Err(NO_UPSTREAM);
    }
    if !interception.tunnel_ports.contains(&port) {
        return Err(Refusal::new(Code::UpstreamUnknown, "The gate makes no tunnels to this port"));
    }
    let within = serving.gate().limits().connect_timeout;
    let unknown = Refusal::new(Code::UpstreamUnreachable, "The host to which a tunnel was asked for is not found");
    let found = timeout(within, tokio::net::lookup_host((host, port))).await.map_err(|_| unknown)?;
    let addresses: Vec<SocketAddr> = found.map_err(|_| unknown)?.collect();
    tunnel::permits(&addresses, serving).await?;
    Ok(addresses)
}

/// Says that the tunnel is there. From here its first bytes have as long as a head has.
async fn grant(link: &mut BufferedIo<Stream>, serving: &Serving) -> bool {
    link.output().extend_from_slice(GRANTED);
    serving.watch.idle();
    serving.watch.head_began();
    std::future::poll_fn(|cx| link.poll_flush(cx)).await.is_ok()
}

async fn refuse(link: BufferedIo<Stream>, head: &Head, crossing: Crossing, refusal: Refusal, serving: &Serving) {
    let answer = crossing.refuse(refusal);
    let hop = Hop { version: head.version, keep: false, head_only: false };
    finish(link, &answer, hop, serving).await;
}
