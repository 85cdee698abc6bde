//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use super::connection::{Serving, serve};
use crate::config::Listen;
use crate::wire::Stream;

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(stream: Stream, door: &Door, serving: Serving) {
    serve(stream, serving).await;
}
