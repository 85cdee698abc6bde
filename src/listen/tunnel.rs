//! What goes on behind a CONNECT or a redirected TLS handshake: it is opened for a host that an upstream names, passed on
//! unseen for others where the operator lets it, or turned away. See docs/decisions/046-tunnels.md.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::client_hello::UNRECOGNISED_NAME;
use super::connection::{Serving, requests};
use super::egress_policy::is_forbidden;
use super::http2;
use crate::config::canonical_host;
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BufferedIo;
use crate::net::{OwnConnection, Stream};
use crate::proxy::{Caller, Crossing, Routes};
use crate::telemetry::Rejected;
use crate::upstream::{self, ConnectError};

pub(super) const NO_UPSTREAM: Refusal =
    Refusal::new(Code::UpstreamUnknown, "No upstream names this host, and the gate does not let it pass unseen");
pub(super) const NO_AUTHORITY: Refusal =
    Refusal::new(Code::UpstreamUnknown, "This listener has no authority (ca) with which to open TLS to this host");
const OTHER_NAME_OF_OURS: Refusal = Refusal::new(
    Code::UpstreamUnknown,
    "This host is at the address of one that an upstream names: the gate does not let that one pass unseen under another name",
);
const OUT_OF_REACH: Refusal = Refusal::new(
    Code::UpstreamUnknown,
    "The gate makes no tunnels to this machine, its link, a group or a machine's metadata",
);

/// Opens TLS as this host, for which there is an upstream, and serves the requests in it. What has been read of the
/// handshake is still in `link`.
pub(super) async fn opened(link: BufferedIo<Stream>, host: &str, mut serving: Box<Serving>) {
    let (stream, read) = link.into_parts();
    let opened = match &serving.door.interceptor {
        Some(interceptor) => interceptor.accept(Stream::begun(read, stream), host).await,
        None => None,
    };
    let Some((stream, is_http2)) = opened else {
        return serving.gate().counters().turned_away(Rejected::NotOpened);
    };
    serving.peer.secure = true;
    serving.peer.server_name = Some(host.into());
    if is_http2 {
        return Box::pin(http2::serve(stream, serving)).await;
    }
    Box::pin(requests(Box::new(BufferedIo::new(stream)), serving)).await;
}

/// Whether an upstream names this address.
fn is_named(address: SocketAddr, routes: &Routes) -> bool {
    canonical_host(&address.ip().to_string()).is_none_or(|host| routes.governs(&host))
}

/// Whether a tunnel may lead to these addresses. All of them have to be harmless: which one is connected to is not
/// known yet.
pub(super) async fn permits(addresses: &[SocketAddr], serving: &Serving) -> Result<(), Refusal> {
    let gate = serving.gate();
    let governed = |address: &SocketAddr| is_named(*address, gate.routes());
    if addresses.iter().any(|address| is_forbidden(address.ip())) {
        return Err(OUT_OF_REACH);
    }
    if addresses.iter().any(governed) {
        return Err(NO_UPSTREAM);
    }
    let (ours, within) = (Arc::clone(gate.routes().governed_hosts()), gate.limits().connect_timeout);
    if ours.have(addresses, within).await { Err(OTHER_NAME_OF_OURS) } else { Ok(()) }
}

/// A connection to one of these addresses, which were permitted.
pub(super) async fn dial(addresses: &[SocketAddr], serving: &Serving) -> Result<TcpStream, Refusal> {
    serving.gate().admit()?;
    upstream::dial(addresses, serving.gate().limits().connect_timeout).await.map_err(|error| match error {
        ConnectError::Timeout(_) => {
            Refusal::new(Code::UpstreamTimeout, "The host to which a tunnel was asked for does not answer in time")
        }
        _ => Refusal::new(Code::UpstreamUnreachable, "The host to which a tunnel was asked for cannot be reached"),
    })
}

/// Passes a connection to this host on unseen, to its end, or until a configuration comes into force whose upstreams name
/// the host (P9).
pub(super) async fn pass(
    mut link: BufferedIo<Stream>,
    service: TcpStream,
    crossing: Crossing,
    host: &str,
    serving: &Serving,
) {
    let (at, mut judged) = (service.peer_addr().ok(), None);
    let service = Stream::Tcp(service);
    let _ours = OwnConnection::of(&service);
    let governed = || {
        let gate = serving.gate();
        if judged.as_ref().is_some_and(|before| Rc::ptr_eq(before, &gate)) {
            return false;
        }
        let governed = gate.routes().governs(host) || at.is_some_and(|at| is_named(at, gate.routes()));
        judged = Some(gate);
        governed
    };
    let mut service = BufferedIo::new(service);
    let mut caller = Caller { link: &mut link, watch: &serving.watch, peer: &serving.peer };
    crossing.pass(&serving.gate(), &mut caller, &mut service, governed).await;
}

/// Refuses a TLS handshake of which nothing has been answered: there is no certificate for this name.
pub(super) async fn turn_away(mut link: BufferedIo<Stream>, crossing: Crossing, refusal: Refusal) {
    // It is counted and logged; no HTTP is spoken yet in which to say it.
    drop(crossing.refuse(refusal));
    link.output().extend_from_slice(UNRECOGNISED_NAME);
    if poll_fn(|cx| link.poll_flush(cx)).await.is_ok() {
        // The client knows already.
        drop(poll_fn(|cx| link.poll_shutdown(cx)).await);
    }
}
