//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::connection::{Serving, requests, serve, watched};
use super::http2;
use super::intercept::{CaError, Interceptor};
use super::{proxy_header, redirected};
use crate::config::{Files, Listen, ListenMode};
use crate::wire::{Link, Stream, Watch};

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
    /// What opens TLS that is meant for others.
    pub(super) interceptor: Option<Interceptor>,
    /// A digest of the files that were read.
    files: [u8; 32],
}

impl Door {
    /// Reads what the listener needs.
    pub(super) fn of(listen: &Listen) -> Result<Self, CaError> {
        // Looked at before they are read: what changes in between is seen the next time.
        let files = digest(listen);
        let interceptor = listen.interception.ca.as_ref().map(Interceptor::load).transpose()?;
        Ok(Self { listen: listen.clone(), interceptor, files })
    }

    /// Would [`Self::of`] make the same?
    pub(super) fn is_of(&self, listen: &Listen) -> bool {
        self.listen == *listen && self.files == digest(listen)
    }

    /// The hosts for which clients will not believe the certificates that are shown here, and why.
    pub(super) fn disbelieved<'h>(&self, hosts: impl Iterator<Item = &'h str>) -> Vec<(&'h str, String)> {
        let Some(interceptor) = &self.interceptor else { return Vec::new() };
        hosts.filter_map(|host| Some((host, interceptor.objection(host)?))).collect()
    }
}

fn digest(listen: &Listen) -> [u8; 32] {
    Files::new(listen.files().cloned()).digest()
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(mut stream: Stream, mut serving: Serving) {
    serving.peer.mode = serving.door.listen.mode;
    if let Some(protocol) = &serving.door.listen.proxy_protocol {
        let within = serving.gate().limits().header_timeout;
        let header = Box::pin(proxy_header::take(&mut stream, &mut serving.peer, protocol, within));
        match unless_ended(&serving.watch, header).await {
            Some(Ok(())) => {}
            Some(Err(why)) => return serving.gate().counters().turned_away(why),
            None => return,
        }
    }
    match (serving.door.listen.mode, stream) {
        (ListenMode::Transparent, Stream::Tcp(socket)) => redirected::arrived(socket, serving).await,
        // A proxy is spoken to in HTTP/1.1.
        (ListenMode::Forward, stream) => serve(stream, serving).await,
        (ListenMode::Reverse | ListenMode::Transparent, stream) => speak(Link::new(stream), serving).await,
    }
}

/// Serves the requests of a connection on which nothing was agreed, in the HTTP that it begins with.
pub(super) async fn speak(link: Link<Stream>, serving: Serving) {
    if serving.door.listen.http2 {
        http2::sniff(link, serving).await;
    } else {
        let watch = Rc::clone(&serving.watch);
        watched(&watch, requests(link, serving)).await;
    }
}

/// What `work` gives, or nothing once the connection is to end: before HTTP nobody waits for it.
pub(super) async fn unless_ended<T>(watch: &Watch, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        watch.woken_by(cx.waker());
        if watch.is_ending() { Poll::Ready(None) } else { work.as_mut().poll(cx).map(Some) }
    })
    .await
}
