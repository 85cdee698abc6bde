//! The TLS handshake of a caller, on its own clock: one that sends nothing, or sends it byte by byte, has as long as a
//! head has.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::connection::Serving;
use super::protocol_detect::Spoken;
use crate::config::ListenMode;
use crate::net::Stream;
use crate::telemetry::{HandshakeEnd, events};
use crate::tls::ServerIdentity;

/// Does the handshake and remembers who the caller is. `None` is a connection that has ended.
pub(super) async fn handshake(
    stream: Stream,
    tls: Arc<ServerIdentity>,
    serving: &mut Serving,
) -> Option<(Stream, Spoken)> {
    let watch = &serving.watch;
    watch.head_began();
    let mut accepting = pin!(tls.accept(stream));
    let accepted = poll_fn(|cx| {
        watch.woken_by(cx.waker());
        if watch.is_draining() {
            return Poll::Ready(Err(HandshakeEnd::Closed));
        }
        if watch.is_ending() {
            return Poll::Ready(Err(HandshakeEnd::Timeout));
        }
        accepting.as_mut().poll(cx).map_err(|fault| fault.counted())
    });
    let gate = serving.gate();
    let counters = gate.counters();
    match accepted.await {
        Ok((stream, agreed)) => {
            counters.handshake(if agreed.resumed { HandshakeEnd::Resumed } else { HandshakeEnd::Done });
            // Whoever takes the gate for a proxy names the proxy in its handshake, and says nothing by it of its requests.
            if serving.door.listen.mode == ListenMode::Reverse {
                (serving.peer.secure, serving.peer.server_name) = (true, agreed.server_name);
            }
            // What comes now has a clock of its own.
            watch.idle();
            // What was agreed holds: it is not asked of the bytes again.
            Some((stream, if agreed.http2 { Spoken::Http2 } else { Spoken::Http1 }))
        }
        Err(end) => {
            counters.handshake(end);
            events::HandshakeFailed { reason: end.as_str() }.emit();
            None
        }
    }
}
