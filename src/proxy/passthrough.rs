//! A tunnel to a host that no upstream names, where the operator allows it: bytes pass both ways unread.
//!
//! It has its line in the access log and its place in the counters, as a request has, with the host in place of the call.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::caller::{Caller, READ_AHEAD};
use super::entry::Entry;
use super::exchange::PIECES_AT_ONCE;
use super::respond::OwnAnswer;
use super::trace::RequestId;
use super::{Gate, refuse};
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::Refusal;
use crate::http1::BufferedIo;
use crate::net::Stream;
use crate::telemetry::EndReason;

/// When the gate is to stop, a tunnel ends that has been quiet for so long: nobody in it can be told.
const QUIET: Duration = Duration::from_secs(2);

/// A connection that is to be passed on as it is, or refused.
#[derive(Debug)]
pub struct Crossing {
    entry: Entry,
    request_id: RequestId,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: u64,
    /// Its sender has closed, and its reader has been told so.
    ended: bool,
}

impl Crossing {
    /// One to this host: a name or an address, which may be logged.
    #[must_use]
    pub fn to(gate: &Rc<Gate>, host: &str) -> Self {
        let mut entry = Entry::begin(gate, &Method::CONNECT);
        entry.crosses_to(host);
        let request_id = entry.request_id(None);
        Self { entry, request_id }
    }

    /// It is not passed on. The connection ends behind the answer.
    #[must_use]
    pub fn refuse(self, refusal: Refusal) -> OwnAnswer {
        refuse(refusal, Some(self.entry), ErrorShape::Watson, &self.request_id, true)
    }

    /// Passes bytes on until both ends have closed, one of them breaks off, or a clock ends it; or until it is `governed`,
    /// which is asked with every step and a few times a second.
    pub async fn pass(
        mut self,
        gate: &Gate,
        caller: &mut Caller<'_>,
        service: &mut BufferedIo<Stream>,
        mut governed: impl FnMut() -> bool,
    ) {
        gate.counters().tunnel_opened();
        self.entry.answered(200);
        caller.watch.tunnel();
        // What is said if the connection's watch ends it.
        self.entry.ended(EndReason::TimedOut);
        let (mut up, mut down) = (Way::default(), Way::default());
        let mut moved = Instant::now();
        let ended = poll_fn(|cx| {
            if governed() {
                return Poll::Ready(EndReason::Refused);
            }
            let before = up.bytes + down.bytes;
            let polled = (up.poll(caller.link, service, cx), down.poll(service, caller.link, cx));
            if up.bytes + down.bytes != before {
                caller.watch.moved();
                moved = Instant::now();
                self.entry.carried_in(up.bytes);
                self.entry.carried_out(down.bytes);
            }
            match polled {
                (Poll::Ready(Err(())), _) => Poll::Ready(EndReason::ClientGone),
                (_, Poll::Ready(Err(()))) => Poll::Ready(EndReason::UpstreamGone),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(EndReason::Done),
                _ if caller.watch.is_draining() && moved.elapsed() > QUIET => Poll::Ready(EndReason::Done),
                _ => Poll::Pending,
            }
        })
        .await;
        self.entry.ended(ended);
    }
}

impl Way {
    /// Moves what has come, so much at once that the other way has its turn too. Ready when its sender has closed and its
    /// reader knows; an error when its sender broke off, or its reader takes no more.
    fn poll(
        &mut self,
        from: &mut BufferedIo<Stream>,
        to: &mut BufferedIo<Stream>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..PIECES_AT_ONCE {
            if from.input.is_empty() {
                if ready!(to.poll_flush(cx)).is_err() {
                    return Poll::Ready(Err(()));
                }
                match ready!(from.poll_fill(cx, READ_AHEAD)) {
                    Ok(1..) => {}
                    Ok(0) => {
                        self.ended = true;
                        return to.poll_shutdown(cx).map(|_| Ok(()));
                    }
                    Err(_) => return Poll::Ready(Err(())),
                }
            }
            let Ok(taken) = ready!(to.poll_send(cx, from.input.data())) else { return Poll::Ready(Err(())) };
            from.input.consume(taken);
            self.bytes += taken as u64;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
