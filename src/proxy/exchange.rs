//! One exchange with an upstream: both bodies move at once, each as fast as its slower end, and nothing is collected.
//!
//! An exchange that has sent a labelled request whole outlives its caller: it is read to its end, so that an erasure knows
//! when it was over. `Drop` guarantees this: it starts a task for the upstream's side of it.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::Method;
use tokio::time::Instant;

use super::caller::{Caller, Inbound, Lost};
use super::entry::Entry;
use super::rewrite;
use super::service::{Broken, Service};
use super::upstream_request::UpstreamRequest;
use super::webchat::Asked;
use super::{Gate, Onward, Ready};
use crate::http1::{BodyEncoder, Chunk};
use crate::net::ConnectionTimers;
use crate::telemetry::{EndReason, FailureKind};
use crate::upstream::{Taken, Wanted};

/// Pieces of a request that are moved before its answer has its turn. The runtime lets a task do only so much at a time:
/// an upload that never has to wait would leave nothing of that to the answer.
pub(super) const PIECES_AT_ONCE: usize = 32;

/// What one TLS record holds.
const FIRST_WRITE_MAX: usize = 16 * 1024;

/// How far the request has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Some of it is still to be sent.
    Part,
    /// All of it.
    Whole,
    /// The service takes no more; it may have answered all the same.
    Refused,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The caller is lost.
    Caller(Lost),
    /// The connection had died before anything was sent on it.
    Stale,
    /// The service broke off, or made no sense.
    Service(Broken),
    /// It took too long.
    Late,
    /// For too long the gate has not known what other gates erase: nothing more of it may be sent.
    GivenUp,
}

/// What becomes of it when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Whatever ended it has not said so.
    Unknown,
    /// Nobody waits for the answer any more.
    CallerLeft,
    /// Both bodies have come to their ends.
    Complete,
    /// Nothing of it goes on.
    Cut,
}

/// One exchange, from the first byte that is sent. It is never shown: it holds a head and part of a body (P7).
pub(super) struct Exchange {
    /// What may outlive the caller.
    pub(super) upstream: UpstreamRequest,
    pub(super) inbound: Inbound,
    /// Whether the request is sent in chunks.
    chunked: bool,
    /// What accepts the WebSocket that the request asks for.
    accept: Option<String>,
    /// Set where the answer may be a page that is changed.
    pub(super) webchat: Option<Asked>,
    /// The request's head, until it is written.
    head: Vec<u8>,
    head_length: usize,
    reused: bool,
    sent: Sent,
    /// Whether the request did not come, or go, all at once.
    waited: bool,
    framing: BodyEncoder,
    bytes_in: u64,
    /// `bytes_in` when the service was last given more time.
    bytes_in_before: u64,
    /// What is known of the caller's connection, which says who ended it. `None` before anything was sent.
    watch: Option<Rc<ConnectionTimers>>,
    end: End,
}

impl Exchange {
    pub(super) fn new(gate: &Rc<Gate>, ready: Ready, (method, inbound): (Method, Inbound), entry: Entry) -> Self {
        let Ready { destination, head, chunked, accept, webchat, recorded } = ready;
        Self {
            upstream: UpstreamRequest::new(gate, destination, method, recorded, entry),
            inbound,
            chunked,
            accept,
            webchat,
            head_length: head.len(),
            head,
            reused: false,
            sent: Sent::Part,
            waited: false,
            framing: BodyEncoder::new(chunked),
            bytes_in: 0,
            bytes_in_before: 0,
            watch: None,
            end: End::Unknown,
        }
    }

    /// Which connections can carry it.
    pub(super) const fn wanted(&self) -> Wanted {
        if self.accept.is_some() { Wanted::WebSocket } else { Wanted::Any }
    }

    /// Takes a connection. From here on the service may see the request.
    pub(super) fn begin(&mut self, taken: Taken, caller: &Caller<'_>) {
        let Taken { mut link, reused, opened } = taken;
        link.moved = false;
        link.begin_with(std::mem::take(&mut self.head));
        self.reused = reused;
        self.upstream.service = Some(Service::new(link, opened, self.accept.clone()));
        self.upstream.passages.iter_mut().for_each(crate::inflight::RequestGuard::forwarded);
        self.watch = Some(Rc::clone(caller.watch));
        // The gate's own clock stands still while a request waits for its body, or for an erasure.
        caller.watch.due_at(Instant::now() + self.upstream.response_timeout());
    }

    /// The connection was dead, and nothing was sent: everything is as it was before.
    pub(super) fn begin_again(&mut self) {
        if let Some(mut service) = self.upstream.service.take() {
            self.head = std::mem::take(service.link.output());
            self.head.truncate(self.head_length);
        }
        (self.sent, self.framing) = (Sent::Part, BodyEncoder::new(self.chunked));
        self.upstream.unanswered.iter_mut().for_each(|request| request.sent(false));
        self.upstream.passages.iter_mut().for_each(crate::inflight::RequestGuard::unsent);
    }

    fn has_sent_nothing(&self) -> bool {
        // A larger first write may have gone out in part where TLS says that it failed.
        let at_once = self.head_length <= FIRST_WRITE_MAX;
        self.reused && at_once && self.upstream.service.as_ref().is_some_and(|service| !service.link.moved)
    }

    /// Whether something is still to be sent, or can be, of a labelled request for which other gates do not wait any more.
    pub(super) fn is_given_up(&self) -> bool {
        let is_over = self.sent == Sent::Whole && !self.is_accepted_websocket();
        !is_over && !self.upstream.passages.iter().all(crate::inflight::RequestGuard::may_go_on)
    }

    pub(super) fn is_sent_whole(&self) -> bool {
        self.sent == Sent::Whole
    }

    /// Whether the service has accepted the WebSocket that was asked for. An unrequested or invalid 101 was already
    /// rejected.
    pub(super) fn is_accepted_websocket(&self) -> bool {
        self.upstream.service.as_ref().is_some_and(|service| service.head.status == 101)
    }

    /// Sends the request and waits for the head of its answer.
    pub(super) fn poll_head(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        if self.is_given_up() {
            return Poll::Ready(Err(NoAnswer::GivenUp));
        }
        if let Poll::Ready(Err(lost)) = self.poll_request(caller, cx) {
            return Poll::Ready(Err(NoAnswer::Caller(lost)));
        }
        if self.sent == Sent::Refused && self.has_sent_nothing() {
            return Poll::Ready(Err(NoAnswer::Stale));
        }
        let stale = self.has_sent_nothing();
        let Some(service) = &mut self.upstream.service else { return Poll::Pending };
        match service.poll_head(cx, &self.upstream.method, self.upstream.gate.answer_head_bytes_max()) {
            Poll::Ready(Ok(())) => {
                self.upstream.unanswered.take().into_iter().for_each(|request| request.answered(service.head.status));
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(Broken::Off)) if stale => return Poll::Ready(Err(NoAnswer::Stale)),
            Poll::Ready(Err(broken)) => return Poll::Ready(Err(NoAnswer::Service(broken))),
            Poll::Pending => {}
        }
        if caller.watch.is_late() && !self.gave_more_time(caller) {
            return Poll::Ready(Err(NoAnswer::Late));
        }
        if self.sent == Sent::Whole {
            return self.poll_left(caller, cx).map(|()| Err(NoAnswer::Caller(Lost::Gone)));
        }
        Poll::Pending
    }

    /// The caller has left, or is taken to have.
    pub(super) fn caller_left(&mut self) -> Onward {
        self.end = End::CallerLeft;
        Onward::Close
    }

    /// A body that moves may take its time; and while it is the caller who is waited for, the service is not late: that
    /// wait has a clock of its own.
    fn gave_more_time(&mut self, caller: &Caller<'_>) -> bool {
        let moved = self.bytes_in != self.bytes_in_before || caller.watch.is_body_waiting();
        let moved = moved && self.sent == Sent::Part;
        self.bytes_in_before = self.bytes_in;
        if moved {
            caller.watch.due_at(Instant::now() + self.body_stall_timeout());
        }
        moved
    }

    /// Moves the request on. Ready when it has been sent whole, or will not be.
    pub(super) fn poll_request(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        for _ in 0..PIECES_AT_ONCE {
            if self.sent != Sent::Part {
                return Poll::Ready(Ok(()));
            }
            let polled = self.poll_piece(caller, cx);
            self.waited |= polled.is_pending();
            match ready!(polled) {
                Ok(true) => {
                    self.sent = Sent::Whole;
                    self.upstream.unanswered.iter_mut().for_each(|request| request.sent(true));
                    caller.watch.body_waits(false);
                    if self.waited {
                        caller.watch.due_at(Instant::now() + self.upstream.response_timeout());
                    }
                }
                Ok(false) => {}
                Err(Stopped::Caller(lost)) => return Poll::Ready(Err(lost)),
                Err(Stopped::Service) => self.sent = Sent::Refused,
            }
        }
        self.waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves one piece of the request on. `true` if that was the end.
    fn poll_piece(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Result<bool, Stopped>> {
        let Some(Service { link, .. }) = &mut self.upstream.service else { return Poll::Ready(Err(Stopped::Service)) };
        let inbound = &mut self.inbound;
        let ahead = inbound.ahead.get(inbound.ahead_sent..).unwrap_or_default();
        let piece = if ahead.is_empty() {
            inbound.body.look(&mut caller.link.input).map_err(|fault| Stopped::Caller(fault.into()))?
        } else {
            Chunk::Data(ahead.len())
        };
        let length = match piece {
            Chunk::Starved => {
                // What there is goes out while the rest is waited for.
                let flushed = link.poll_flush(cx).map_err(|_| Stopped::Service)?;
                ready!(inbound.poll_more(caller, cx)).map_err(Stopped::Caller)?;
                ready!(flushed);
                return Poll::Ready(Ok(false));
            }
            Chunk::Ended => {
                let (governed, body) = (&self.upstream.destination.governed, &inbound.body);
                self.framing.end(link.output(), |out| rewrite::trailers(out, governed, &body.trailers()));
                ready!(link.poll_flush(cx)).map_err(|_| Stopped::Service)?;
                return Poll::Ready(Ok(true));
            }
            Chunk::Data(length) => length,
        };
        let length = self.framing.announce(length, link.output());
        let data = if ahead.is_empty() { caller.link.input.data() } else { ahead };
        let data = data.get(..length).unwrap_or_default();
        // The first bytes on a connection that was used before are not taken from the caller's side until they are written:
        // if it turns out to be dead, they are sent again over another.
        let gather = link.moved || !self.reused;
        let taken = ready!(if gather { link.poll_gather(cx, data) } else { link.poll_send(cx, data) });
        let taken = taken.map_err(|_| Stopped::Service)?;
        self.bytes_in += taken as u64;
        if ahead.is_empty() {
            caller.link.input.consume(taken);
            inbound.body.took(taken);
        } else {
            inbound.ahead_sent += taken;
        }
        self.framing.sent(taken, link.output());
        Poll::Ready(Ok(false))
    }

    /// Moves both bodies on, until the answer has ended or there is nobody who could give it or take it.
    pub(super) fn poll_bodies(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<EndReason> {
        if self.is_given_up() {
            return Poll::Ready(EndReason::TimedOut);
        }
        if let Poll::Ready(Err(_lost)) = self.poll_request(caller, cx) {
            return Poll::Ready(EndReason::ClientGone);
        }
        let Some(service) = &mut self.upstream.service else { return Poll::Ready(EndReason::UpstreamGone) };
        if let Poll::Ready(ended) = service.poll_answer(caller, cx) {
            return Poll::Ready(ended);
        }
        // What has come has gone out, and nothing of the request is waited for: it is the service that is silent.
        let is_silent = caller.link.is_flushed() && self.sent != Sent::Part;
        caller.watch.body_waits(!is_silent);
        match is_silent {
            true if caller.watch.is_late() => return Poll::Ready(EndReason::TimedOut),
            true => caller.watch.due_once(self.silence_max()),
            false => caller.watch.answered(),
        }
        if self.sent == Sent::Whole {
            return self.poll_left(caller, cx).map(|()| EndReason::ClientGone);
        }
        Poll::Pending
    }

    /// So many bytes have gone through a tunnel.
    pub(super) fn carried(&mut self, bytes_in: u64, bytes_out: u64) {
        self.bytes_in = bytes_in;
        if let Some(service) = &mut self.upstream.service {
            service.bytes_out = bytes_out;
        }
    }

    /// The answer has come to its end, or to a bad one.
    pub(super) fn end(&mut self, ended: EndReason) {
        let failure = match ended {
            EndReason::UpstreamGone => Some((FailureKind::BrokeOff, "the service broke off in its answer")),
            EndReason::TimedOut if !self.is_accepted_websocket() => {
                Some((FailureKind::Timeout, "the service fell silent in its answer"))
            }
            _ => None,
        };
        if let Some(entry) = &mut self.upstream.entry {
            entry.ended(ended);
            if let Some((kind, reason)) = failure {
                entry.failed(kind, reason);
            }
        }
        self.end = match ended {
            EndReason::ClientGone => End::CallerLeft,
            EndReason::Done | EndReason::GateEnded if self.sent == Sent::Whole => End::Complete,
            // A request that is still arriving counts as cut, and so does an answer.
            EndReason::Done
            | EndReason::GateEnded
            | EndReason::UpstreamGone
            | EndReason::Refused
            | EndReason::TimedOut => End::Cut,
        };
    }

    /// Given up: what it carried may still be stored by the upstream. The line in the log goes on.
    pub(super) fn give_up(&mut self) -> Option<Entry> {
        self.end = End::Cut;
        self.upstream.carried(self.bytes_in);
        self.upstream.entry.take()
    }
}

/// Why a request is not sent on.
enum Stopped {
    Caller(Lost),
    Service,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let (End::Unknown, Some(watch), Some(entry)) = (self.end, &self.watch, &mut self.upstream.entry) {
            // The connection was ended around it: by a clock of its own, or by the gate's end. Else its caller has left.
            if watch.has_stalled() {
                entry.ended(EndReason::TimedOut);
            } else if watch.is_draining() && !watch.has_left() {
                entry.ended(EndReason::GateEnded);
            }
        }
        self.upstream.carried(self.bytes_in);
        // What comes over a WebSocket is no answer that could be read to its end: it is closed, and its data straggles.
        let outlives = self.sent == Sent::Whole && !self.is_accepted_websocket();
        match self.end {
            End::Complete => self.upstream.complete(),
            End::Unknown | End::CallerLeft if outlives && self.upstream.is_to_outlive() => self.upstream.outlive(),
            End::Unknown | End::CallerLeft | End::Cut => {}
        }
    }
}
