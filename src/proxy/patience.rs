//! The timeouts of an exchange: for a caller that may have left, and for a service that is silent.

use std::task::{Context, Poll};
use std::time::Duration;

use super::caller::Caller;
use super::exchange::Exchange;
use super::service::Service;
use crate::config::OpenWebsockets;

impl Exchange {
    /// Ready when nobody waits for the answer any more. A caller that says nothing more is waited for like one that stands
    /// still: it may have left. A labelled answer is read to its end in any case, and so can be given to it.
    pub(super) fn poll_left(&self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<()> {
        let gone = caller.poll_gone(cx);
        let long = || caller.watch.half_closed_for().is_some_and(|time| time > self.body_stall_timeout());
        if gone.is_ready() || (self.upstream.passages.is_empty() && long()) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// How long the service may be silent in its answer.
    pub(super) fn silence_max(&self) -> Duration {
        let (own, limits) = (self.upstream.own_limits(), self.upstream.gate.limits());
        let is_stream = self.upstream.service.as_ref().is_some_and(Service::is_event_stream);
        if is_stream {
            own.event_stream.unwrap_or(limits.event_stream_timeout)
        } else {
            own.answer_stall.unwrap_or(limits.answer_stall_timeout)
        }
    }

    /// How long a body may stand still.
    pub(super) fn body_stall_timeout(&self) -> Duration {
        self.upstream.own_limits().body_stall.unwrap_or(self.upstream.gate.limits().body_stall_timeout)
    }

    /// Whether a customer of it is being erased, and the operator wants its WebSockets closed then.
    pub(super) fn is_to_close_for_an_erasure(&self) -> bool {
        let own = self.upstream.destination.site.upstream.erasure.open_websockets;
        let closes = own.map_or(self.upstream.gate.closes_websockets(), |own| own == OpenWebsockets::Close);
        closes && self.upstream.passages.iter().any(crate::inflight::RequestGuard::is_fenced)
    }
}
