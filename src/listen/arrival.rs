//! From an accepted socket to the requests on it: what comes before HTTP, in the order in which it comes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::connection::{Serving, serve};
use super::proxy_header;
use crate::config::Listen;
use crate::wire::{Stream, Watch};

/// What is spoken at one listener.
#[derive(Debug)]
pub(super) struct Door {
    /// As configured.
    pub(super) listen: Listen,
}

/// Serves a connection from its first byte to its last.
pub(super) async fn arrive(mut stream: Stream, door: &Door, mut serving: Serving) {
    if let Some(protocol) = &door.listen.proxy_protocol {
        let within = serving.current.gate().limits().header_timeout;
        let header = Box::pin(proxy_header::take(&mut stream, &mut serving.peer, protocol, within));
        match unless_ended(&serving.watch, header).await {
            Some(Ok(())) => {}
            Some(Err(why)) => return serving.current.gate().counters().turned_away(why),
            None => return,
        }
    }
    serve(stream, serving).await;
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
