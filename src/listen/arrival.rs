//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::connection::{Serving, serve};
use super::intercept::{CaError, Interceptor};
use super::tls::handshake;
use super::{proxy_header, redirected};
use crate::config::{Listen, ListenMode};
use crate::wire::{ServerTls, Stream, Watch};

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
    /// What every connection begins with, if it is TLS.
    pub(super) tls: Option<Arc<ServerTls>>,
    /// What opens TLS that is meant for others.
    pub(super) interceptor: Option<Interceptor>,
}

impl Door {
    /// Reads what the listener needs.
    pub(super) fn of(listen: &Listen, tls: Option<Arc<ServerTls>>) -> Result<Self, CaError> {
        let interceptor = listen.interception.ca.as_ref().map(Interceptor::load).transpose()?;
        Ok(Self { listen: listen.clone(), tls, interceptor })
    }
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
pub(super) async fn arrive(mut stream: Stream, mut serving: Serving) {
    serving.peer.mode = serving.door.listen.mode;
    if let Some(protocol) = &serving.door.listen.proxy_protocol {
        let within = serving.gate.limits().header_timeout;
        let header = Box::pin(proxy_header::take(&mut stream, &mut serving.peer, protocol, within));
        match unless_ended(&serving.watch, header).await {
            Some(Ok(())) => {}
            Some(Err(why)) => return serving.gate.counters().turned_away(why),
            None => return,
        }
    }
    let (stream, spoken) = match &serving.door.tls {
        None if serving.door.listen.http2 => (stream, Spoken::Either),
        None => (stream, Spoken::Http1),
        // Boxed, so that a connection on which nothing is going on stays small.
        Some(tls) => match Box::pin(handshake(stream, Arc::clone(tls), &mut serving)).await {
            Some(agreed) => agreed,
            None => return,
        },
    };
    match (serving.door.listen.mode, stream, spoken) {
        (ListenMode::Transparent, Stream::Tcp(socket), _) => redirected::arrived(socket, serving).await,
        (_, stream, Spoken::Http1 | Spoken::Http2 | Spoken::Either) => serve(stream, serving).await,
    }
}

/// What `work` gives, or nothing once the connection is to end: before HTTP nobody waits for it.
async fn unless_ended<T>(watch: &Watch, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        watch.woken_by(cx.waker());
        if watch.is_ending() { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
    })
    .await
}
