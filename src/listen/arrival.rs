//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use std::sync::Arc;

use super::connection::{Serving, serve};
use super::tls::handshake;
use crate::config::Listen;
use crate::wire::{ServerTls, Stream};

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
    /// What every connection begins with, if it is TLS.
    pub(super) tls: Option<Arc<ServerTls>>,
}

/// What the caller speaks behind all that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1.1, or 1.0.
    Http1,
    /// HTTP/2, as was agreed in the handshake.
    Http2,
    /// Its first bytes will show it.
    Either,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(stream: Stream, door: &Door, mut serving: Serving) {
    let (stream, spoken) = match &door.tls {
        None if door.listen.http2 => (stream, Spoken::Either),
        None => (stream, Spoken::Http1),
        // Boxed, so that a connection on which nothing is going on stays small.
        Some(tls) => match Box::pin(handshake(stream, tls, &mut serving)).await {
            Some(agreed) => agreed,
            None => return,
        },
    };
    match spoken {
        Spoken::Http1 | Spoken::Http2 | Spoken::Either => serve(stream, serving).await,
    }
}
