//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use super::connection::{Serving, serve};
use super::intercept::{CaError, Interceptor};
use super::redirected;
use crate::config::{Listen, ListenMode};
use crate::wire::Stream;

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
    /// What opens TLS that is meant for others.
    pub(super) interceptor: Option<Interceptor>,
}

impl Door {
    /// Reads what the listener needs.
    pub(super) fn of(listen: &Listen) -> Result<Self, CaError> {
        let interceptor = listen.interception.ca.as_ref().map(Interceptor::load).transpose()?;
        Ok(Self { listen: listen.clone(), interceptor })
    }
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(stream: Stream, mut serving: Serving) {
    serving.peer.mode = serving.door.listen.mode;
    match (serving.door.listen.mode, stream) {
        (ListenMode::Transparent, Stream::Tcp(socket)) => redirected::arrived(socket, serving).await,
        (_, stream) => serve(stream, serving).await,
    }
}
