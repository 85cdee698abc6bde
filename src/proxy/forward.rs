//! Sends a recorded request and passes on its answer. It takes nothing that has not been recorded.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use http::{Method, Version};
use smallvec::SmallVec;

use super::caller::{Caller, Lost};
use super::entry::Entry;
use super::exchange::{Exchange, NoAnswer};
use super::respond::Hop;
use super::rewrite::{self, AnswerFraming};
use super::service::{Broken, Service};
use super::trace::RequestId;
use super::tunnel::Tunnel;
use super::{Onward, webchat};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::{BodyDecoder, BodyEncoder};
use crate::telemetry::{EndReason, FailureKind, chain};
use crate::upstream::ConnectError;

/// A refusal, the request's line in the log, which says it, and whether the connection ends behind it.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) refusal: Refusal,
    pub(super) entry: Option<Entry>,
    pub(super) close: bool,
}

/// Sends it and passes on the answer.
pub(super) async fn forward(
    exchange: &mut Exchange,
    caller: &mut Caller<'_>,
    hop: Hop,
    request_id: &RequestId,
) -> Result<Onward, Failed> {
    let gate = Rc::clone(&exchange.upstream.gate);
    let pool = gate.pool(exchange.upstream.destination.slot);
    let wanted = exchange.wanted();
    exchange.upstream.place = pool.free_place();
    if exchange.upstream.place.is_none() {
        // A service that is behind would otherwise work for those who have lost patience, and then come again.
        match unless_gone(caller, Box::pin(pool.next_place())).await {
            Waited::Done(Ok(place)) => exchange.upstream.place = Some(place),
            Waited::Done(Err(_)) | Waited::SaysNoMore => return Err(crowded(exchange)),
            Waited::Gone => return Ok(exchange.caller_left()),
        }
    }
    let mut idle = pool.idle(wanted, gate.now());
    loop {
        let taken = match idle.take() {
            Some(taken) => taken,
            None => match Box::pin(pool.connect(wanted)).await {
                Ok(taken) => taken,
                Err(error) => return Err(unreachable(&error, exchange)),
            },
        };
        exchange.begin(taken, caller);
        match poll_fn(|cx| exchange.poll_head(caller, cx)).await {
            Ok(()) => break,
            // The connection had died in the pool: one new one is tried.
            Err(NoAnswer::Stale) => exchange.begin_again(),
            // The exchange sees to its own end.
            Err(NoAnswer::Caller(Lost::Gone)) => return Ok(exchange.caller_left()),
            Err(why) => return Err(failed(why, exchange)),
        }
    }
    if exchange.is_accepted_websocket() {
        // Boxed, so that what every request carries along stays small.
        return Ok(Box::pin(tunnel(exchange, caller, request_id)).await);
    }
    let Some(framing) = framed(exchange, caller, hop).await else {
        return Ok(exchange.caller_left());
    };
    let Some(keep) = write_head(exchange, caller, hop, framing, request_id) else {
        return Ok(Onward::Close);
    };
    let ended = poll_fn(|cx| exchange.poll_bodies(caller, cx)).await;
    if ended == EndReason::UpstreamGone {
        // What there is of the answer still reaches its caller, who sees that it breaks off; whether it does is no matter.
        drop(poll_fn(|cx| caller.poll_flush(cx)).await);
    }
    let onward = onward(ended, exchange.inbound.has_come(), keep);
    exchange.end(ended);
    Ok(onward)
}

/// How the answer is framed, once it is known whether it changes. `None`: its caller has left.
async fn framed(exchange: &mut Exchange, caller: &mut Caller<'_>, hop: Hop) -> Option<AnswerFraming> {
    let framing = framing_of(exchange.upstream.service.as_ref()?, &exchange.upstream.method, hop.version);
    match exchange.webchat {
        Some(asked) => Box::pin(webchat::decided(exchange, caller, asked, framing, hop.version)).await,
        None => Some(framing),
    }
}

const fn onward(ended: EndReason, has_come: bool, keep: bool) -> Onward {
    match (ended, has_come) {
        (EndReason::Done, true) if keep => Onward::Keep,
        (EndReason::Done, true) => Onward::Close,
        (EndReason::Done, false) => Onward::CloseSending,
        _ => Onward::Cut,
    }
}

/// How a wait ended.
enum Waited<T> {
    /// With what was waited for.
    Done(T),
    /// The caller has left.
    Gone,
    /// The caller says nothing more, and may have left.
    SaysNoMore,
}

/// What `work` gives, unless the caller has left, or may have.
async fn unless_gone<T>(caller: &mut Caller<'_>, mut work: impl Future<Output = T> + Unpin) -> Waited<T> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = Pin::new(&mut work).poll(cx) {
            return Poll::Ready(Waited::Done(done));
        }
        match caller.poll_gone(cx) {
            Poll::Ready(()) => Poll::Ready(Waited::Gone),
            Poll::Pending if caller.watch.half_closed_for().is_some() => Poll::Ready(Waited::SaysNoMore),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Passes a WebSocket's bytes on until it ends; its caller's connection ends with it.
async fn tunnel(exchange: &mut Exchange, caller: &mut Caller<'_>, request_id: &RequestId) -> Onward {
    let Some(service) = &exchange.upstream.service else { return Onward::Close };
    let out = caller.link.output();
    rewrite::status_line(out, false, service.head.status, service.head.reason());
    rewrite::answer_lines(out, &service.head.lines, AnswerFraming::None, request_id);
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    if let Some(entry) = &mut exchange.upstream.entry {
        entry.answered(101);
    }
    caller.watch.websocket();
    let mut tunnel = Tunnel::new();
    let ended = poll_fn(|cx| tunnel.poll(exchange, caller, cx)).await;
    exchange.end(ended);
    if tunnel.is_heard_out() { Onward::Close } else { Onward::CloseSending }
}

/// Appends the head of the answer, and gives whether the caller's connection goes on behind it.
fn write_head(
    exchange: &mut Exchange,
    caller: &mut Caller<'_>,
    hop: Hop,
    framing: AnswerFraming,
    request_id: &RequestId,
) -> Option<bool> {
    caller.watch.answered();
    // A caller that is still sending would not see the end of it; its connection ends behind the answer.
    let sent = exchange.is_sent_whole();
    let service = exchange.upstream.service.as_mut()?;
    service.framing = BodyEncoder::new(framing == AnswerFraming::Chunked);
    let hop = Hop { keep: hop.keep && sent && framing != AnswerFraming::ToEnd, ..hop };
    let out = caller.link.output();
    rewrite::status_line(out, hop.version == Version::HTTP_10, service.head.status, service.head.reason());
    rewrite::answer_lines(out, service.lines.as_ref().unwrap_or(&service.head.lines), framing, request_id);
    if service.head.status == 426 && service.offers_websocket() {
        // The one upgrade that the gate carries; without it the answer says nothing (RFC 9110 §15.5.22).
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    }
    hop.connection(out);
    out.extend_from_slice(b"\r\n");
    if let Some(entry) = &mut exchange.upstream.entry {
        entry.answered(service.head.status);
    }
    Some(hop.keep)
}

fn framing_of(service: &Service, method: &Method, version: Version) -> AnswerFraming {
    match service.body {
        BodyDecoder::Ended if service.head.status == 204 => AnswerFraming::None,
        BodyDecoder::Ended if *method == Method::HEAD || service.head.status == 304 => {
            // Where both are there the coding would frame the body, and the length is wrong.
            let coded = service.head.lines.first("transfer-encoding").is_some();
            if coded { AnswerFraming::None } else { AnswerFraming::Same }
        }
        BodyDecoder::Ended => AnswerFraming::Length(0),
        BodyDecoder::Length(length) => AnswerFraming::Length(length),
        BodyDecoder::Chunked(_) | BodyDecoder::ToEnd if version == Version::HTTP_10 => AnswerFraming::ToEnd,
        BodyDecoder::Chunked(_) | BodyDecoder::ToEnd => AnswerFraming::Chunked,
    }
}

fn failed(why: NoAnswer, exchange: &mut Exchange) -> Failed {
    let counted = match why {
        NoAnswer::Caller(_) | NoAnswer::Stale | NoAnswer::GivenUp => None,
        NoAnswer::Service(Broken::Off) => Some((FailureKind::BrokeOff, "the service broke off before it had answered")),
        NoAnswer::Service(Broken::Unsound) => {
            Some((FailureKind::Protocol, "the service's answer is not framed as HTTP asks"))
        }
        NoAnswer::Service(Broken::Switched) => Some((FailureKind::Protocol, "the service switched protocols unasked")),
        NoAnswer::Late => Some((FailureKind::Timeout, "the service has not answered in time")),
    };
    let refusal = match why {
        NoAnswer::Caller(_) => Refusal::new(Code::HeaderAmbiguous, "The request's body is not framed as HTTP asks"),
        NoAnswer::Stale | NoAnswer::Service(Broken::Off) => {
            Refusal::new(Code::UpstreamUnreachable, "The service behind the gate broke off before it had answered")
        }
        // What follows it could not be told apart from the next.
        NoAnswer::Service(Broken::Unsound) => Refusal::new(
            Code::UpstreamUnreachable,
            "The answer of the service behind the gate is not framed as HTTP asks",
        ),
        NoAnswer::Service(Broken::Switched) => {
            Refusal::new(Code::UpstreamUnreachable, "The service behind the gate switched protocols unasked")
        }
        NoAnswer::Late => Code::UpstreamTimeout.into(),
        NoAnswer::GivenUp => Code::StoreUnavailable.into(),
    };
    let close = !exchange.inbound.has_come();
    let mut entry = exchange.give_up();
    if let Some(entry) = &mut entry {
        if let Some((kind, reason)) = counted {
            entry.failed(kind, reason);
        }
        if why == NoAnswer::Late {
            entry.ended(EndReason::TimedOut);
        }
    }
    Failed { refusal, entry, close }
}

/// Nothing was sent, and nothing is known to be wrong with the service.
fn crowded(exchange: &mut Exchange) -> Failed {
    let close = !exchange.inbound.has_come();
    Failed { refusal: Code::Overloaded.into(), entry: exchange.give_up(), close }
}

fn unreachable(error: &ConnectError, exchange: &mut Exchange) -> Failed {
    let (kind, code) = match error {
        ConnectError::Timeout(_) => (FailureKind::Timeout, Code::UpstreamTimeout),
        ConnectError::Proxy(_) | ConnectError::NoProxy | ConnectError::NoProxyPassword => {
            (FailureKind::Proxy, Code::UpstreamUnreachable)
        }
        ConnectError::Tls(_) => (FailureKind::Tls, Code::UpstreamUnreachable),
        ConnectError::Resolve => (FailureKind::Resolve, Code::UpstreamUnreachable),
        ConnectError::Refused | ConnectError::System(_) => (FailureKind::Connect, Code::UpstreamUnreachable),
        ConnectError::NotHttp2 | ConnectError::NoWebSocket => (FailureKind::Protocol, Code::UpstreamUnreachable),
    };
    let refusal = match error {
        ConnectError::NoWebSocket => {
            Refusal::new(code, "The service behind the gate speaks HTTP/2 only, and takes no WebSocket over it")
        }
        _ => code.into(),
    };
    let close = !exchange.inbound.has_come();
    let entry = exchange.give_up();
    if let Some(entry) = &entry {
        entry.failed(kind, &chain(error));
    }
    Failed { refusal, entry, close }
}

/// The passages of a request, for those that have none.
pub(super) type Passages = SmallVec<[crate::inflight::RequestGuard; 1]>;
