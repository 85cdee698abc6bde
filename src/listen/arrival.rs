//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use super::connection::{Serving, serve};
use super::http2;
use crate::config::Listen;
use crate::wire::{Link, Stream};

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
}

/// Which HTTP a connection carries, as far as that has been said before its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Nothing was said: its first bytes tell.
    Nothing,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(stream: Stream, door: &Door, serving: Serving) {
    speak(stream, Chosen::Nothing, door, serving).await;
}

/// Serves the requests of a connection, in whichever HTTP it carries.
async fn speak(stream: Stream, chosen: Chosen, door: &Door, serving: Serving) {
    let link = Link::new(stream);
    match chosen {
        Chosen::Nothing if door.listen.http2 => http2::sniff(link, serving).await,
        Chosen::Nothing => serve(link, serving).await,
    }
}
