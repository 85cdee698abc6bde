//! A transparent listener: its callers mean a service, and the system brings them here without their knowing.
//!
//! Plain HTTP is routed by the host of each request, TLS by the name in its first message; where a connection goes from
//! here is the upstream's own address, never one that the caller claims. Only what passes unseen goes where it was going.

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;

use super::client_hello::{self, HANDSHAKE, Hello};
use super::connection::{Serving, watched};
use super::original_dst;
use super::protocol_detect::{speak, unless_ended};
use super::tunnel::{self, NO_AUTHORITY, NO_UPSTREAM};
use crate::config::{Others, canonical_host};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BufferedIo;
use crate::net::Stream;
use crate::proxy::Crossing;
use crate::telemetry::Rejected;

const STRAIGHT: Refusal = Refusal::new(
    Code::UpstreamUnknown,
    "This port takes connections that the system redirects to it, and this one came straight",
);
const CIRCLE: Refusal =
    Refusal::new(Code::HeaderAmbiguous, "The gate's own connection was redirected back to it: it runs in a circle");

/// Serves a connection from its first byte to its last.
pub(super) async fn arrived(socket: TcpStream, mut serving: Box<Serving>) {
    // Without a place that it meant, every request of the connection is refused in words.
    serving.peer.meant = original_dst::meant(&socket).unwrap_or_else(|_| {
        serving.gate().counters().turned_away(Rejected::Undirected);
        None
    });
    if serving.peer.meant.is_none() {
        serving.door.came_straight();
    }
    serving.peer.end = socket.peer_addr().ok();
    let mut link = BufferedIo::new(Stream::Tcp(socket));
    let watch = Rc::clone(&serving.watch);
    // A client that waits for its service to speak first waits for nothing: this clock ends it.
    watch.head_began();
    match unless_ended(&watch, client_hello::first_byte(&mut link)).await.flatten() {
        None => {}
        Some(HANDSHAKE) => watched(&watch, Box::pin(over_tls(link, serving))).await,
        Some(_) => speak(Box::new(link), serving).await,
    }
}

async fn over_tls(mut link: BufferedIo<Stream>, serving: Box<Serving>) {
    let Some(hello) = client_hello::read(&mut link).await else { return };
    let host = hello.name.clone().or_else(|| address_of(serving.peer.meant)).unwrap_or_default();
    match towards(&hello, &host, &serving).await {
        Ok(Towards::Upstream) => tunnel::opened(link, &host, serving).await,
        Ok(Towards::Others(meant)) => {
            let crossing = Crossing::to(&serving.gate(), &host);
            match tunnel::dial(&[meant], &serving).await {
                Ok(service) => tunnel::pass(link, service, crossing, &host, &serving).await,
                Err(refusal) => tunnel::turn_away(link, crossing, refusal).await,
            }
        }
        Err(refusal) => tunnel::turn_away(link, Crossing::to(&serving.gate(), &host), refusal).await,
    }
}

/// Where a TLS connection goes.
enum Towards {
    /// It is opened, and its requests are judged.
    Upstream,
    /// It is passed on unseen, to where it was going.
    Others(SocketAddr),
}

async fn towards(hello: &Hello, host: &str, serving: &Serving) -> Result<Towards, Refusal> {
    let meant = serving.peer.meant.ok_or(STRAIGHT)?;
    let door = &serving.door;
    if serving.gate().routes().leads_to(host) {
        return if door.interceptor.is_some() { Ok(Towards::Upstream) } else { Err(NO_AUTHORITY) };
    }
    // One that names nobody could mean a service behind the gate as well as any other (P9).
    let is_governed = hello.name.is_none() || serving.gate().routes().governs(host);
    if door.listen.interception.others == Others::Refuse || is_governed {
        return Err(NO_UPSTREAM);
    }
    if serving.peer.is_ourselves() {
        return Err(CIRCLE);
    }
    tunnel::permits(&[meant], serving).await?;
    Ok(Towards::Others(meant))
}

fn address_of(meant: Option<SocketAddr>) -> Option<String> {
    canonical_host(&meant?.ip().to_string()).map(std::borrow::Cow::into_owned)
}
