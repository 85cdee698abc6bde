//! From an accepted socket to the requests on it: PROXY header, TLS and protocol detection, in this order.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::{Serving, requests, serve, watched};
use super::http2;
use super::intercept::{CaError, Interceptor};
use super::tls::handshake;
use super::{proxy_header, transparent};
use crate::config::{Address, Files, Listen, ListenMode, ListenTls, PemFault};
use crate::http1::BufferedIo;
use crate::net::{ConnectionTimers, Stream};
use crate::telemetry::events;
use crate::tls::ServerIdentity;

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct ListenerRuntime {
    /// As configured.
    pub(super) listen: Listen,
    /// Its address, for the peers of its connections.
    address: Arc<Address>,
    /// What every connection begins with, if it is TLS.
    pub(super) tls: Option<Arc<ServerIdentity>>,
    /// What opens TLS that is meant for others.
    pub(super) interceptor: Option<Interceptor>,
    /// A digest of the files that were read.
    files: [u8; 32],
    /// When it was last said that a connection came straight to it.
    said: Mutex<Option<Instant>>,
}

/// What anyone can cause is said no more often than this.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Why a listener cannot be had, though its address can.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Its authority.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// Its certificates.
    #[error(transparent)]
    Tls(#[from] PemFault),
}

impl ListenerRuntime {
    /// Reads what the listener needs. Certificates that are named as before are kept, and the sessions with them.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(super) fn of(listen: &Listen, before: Option<&Self>) -> Result<Self, DoorError> {
        // Looked at before they are read: what changes in between is seen the next time.
        let files = digest(listen);
        let interceptor =
            listen.interception.ca.as_ref().map(|files| Interceptor::load(files, listen.http2)).transpose()?;
        let kept = before.filter(|before| before.listen.tls == listen.tls && before.http2() == http2(listen));
        let tls = match (kept, &listen.tls) {
            (Some(before), _) => before.tls.clone(),
            (None, Some(tls)) => {
                before.map_or(Ok(()), |before| before.no_worse(tls))?;
                Some(Arc::new(ServerIdentity::load(tls, http2(listen))?))
            }
            (None, None) => None,
        };
        let address = Arc::new(listen.address.clone());
        Ok(Self { listen: listen.clone(), address, tls, interceptor, files, said: Mutex::default() })
    }

    /// A connection that should have been redirected to it was not.
    pub(super) fn came_straight(&self) {
        let now = Instant::now();
        let mut said = self.said.lock();
        if said.is_none_or(|at| now >= at + SAID_EVERY) {
            *said = Some(now);
            drop(said);
            events::NotRedirected { listener: &self.address.to_string() }.emit();
        }
    }

    fn http2(&self) -> bool {
        http2(&self.listen)
    }

    /// A gate starts with a certificate whose time is over, but one that runs does not take it in place of another.
    fn no_worse(&self, tls: &ListenTls) -> Result<(), PemFault> {
        let known = self.listen.tls.as_ref().map_or(&[][..], |before| &before.identities);
        let mut news = tls.identities.iter().filter(|identity| !known.contains(identity));
        news.try_for_each(|identity| identity.is_timely(&identity.load()?))
    }

    /// Whether [`Self::of`] would make the same.
    pub(super) fn is_of(&self, listen: &Listen) -> bool {
        self.listen == *listen && self.files == digest(listen)
    }

    /// What clients would not believe of its authority.
    pub(super) fn disbelieved<'h>(&self, hosts: impl Iterator<Item = &'h str>) -> Vec<String> {
        let address = self.listen.address.to_string();
        self.interceptor.as_ref().map_or_else(Vec::new, |interceptor| interceptor.disbelieved(&address, hosts))
    }
}

/// Whether HTTP/2 is offered in the handshake. A proxy is spoken to in HTTP/1.1.
fn http2(listen: &Listen) -> bool {
    listen.http2 && listen.mode == ListenMode::Reverse
}

fn digest(listen: &Listen) -> [u8; 32] {
    Files::new(listen.files().cloned()).digest()
}

/// What was agreed in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1.1, or 1.0: also where nothing was said of it.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(mut stream: Stream, mut serving: Box<Serving>) {
    serving.peer.mode = serving.door.listen.mode;
    serving.peer.listener = Some(Arc::clone(&serving.door.address));
    if let Some(protocol) = &serving.door.listen.proxy_protocol {
        let within = serving.gate().limits().header_timeout;
        let header = Box::pin(proxy_header::take(&mut stream, &mut serving.peer, protocol, within));
        match unless_ended(&serving.watch, header).await {
            Some(Ok(())) => {}
            Some(Err(why)) => return serving.gate().counters().turned_away(why),
            None => return,
        }
    }
    let (stream, spoken) = match serving.door.tls.clone() {
        None => (stream, None),
        // Boxed, so that a connection on which nothing is going on stays small.
        Some(tls) => match Box::pin(handshake(stream, tls, &mut serving)).await {
            Some((stream, spoken)) => (stream, Some(spoken)),
            None => return,
        },
    };
    match (serving.door.listen.mode, stream, spoken) {
        // Boxed, so that every other connection stays small.
        (ListenMode::Transparent, Stream::Tcp(socket), None) => {
            Box::pin(transparent::arrived(socket, serving)).await;
        }
        (_, stream, Some(Spoken::Http2)) => http2::serve(stream, serving).await,
        // A proxy is spoken to in HTTP/1.1.
        (ListenMode::Forward, stream, _) | (_, stream, Some(Spoken::Http1)) => serve(stream, serving).await,
        (ListenMode::Reverse | ListenMode::Transparent, stream, None) => {
            speak(Box::new(BufferedIo::new(stream)), serving).await;
        }
    }
}

/// Serves the requests of a connection on which nothing was agreed, in the HTTP that it begins with.
pub(super) async fn speak(link: Box<BufferedIo<Stream>>, serving: Box<Serving>) {
    if serving.door.listen.http2 {
        http2::sniff(link, serving).await;
    } else {
        let watch = Rc::clone(&serving.watch);
        watched(&watch, Box::pin(requests(link, serving))).await;
    }
}

/// What `work` gives, or nothing once the connection is to end: before HTTP nobody waits for it.
pub(super) async fn unless_ended<T>(watch: &ConnectionTimers, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        watch.woken_by(cx.waker());
        if watch.is_ending() { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
    })
    .await
}
