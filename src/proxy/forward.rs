//! Sends a recorded request and waits for its answer. It takes nothing that has not been recorded.

use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use smallvec::SmallVec;
use tokio::time::{Instant, sleep_until};

use super::Gate;
use super::body::{AnswerBody, BodyState, Progress, RequestBody};
use super::entry::Entry;
use super::exchange::{Answer, Exchange, Waiting};
use super::record::Recorded;
use super::{apply, framing};
use crate::domain::refusal::{Code, Refusal};
use crate::telemetry::{EndReason, FailureKind};
use crate::upstream::{ConnectError, PoolError, Taken};

/// A refusal, and the request's line in the log, which says it.
pub(super) type Failed = (Refusal, Entry);

const MALFORMED: Refusal = Refusal::new(Code::HeaderAmbiguous, "The request's body is not framed as HTTP asks");

/// One request on its way.
pub(super) struct Outgoing {
    pub(super) request: Request<RequestBody>,
    pub(super) recorded: Recorded,
    pub(super) entry: Entry,
    pub(super) index: usize,
    pub(super) request_id: http::HeaderValue,
}

/// Sends it, and gives the answer with the body still streaming.
pub(super) async fn forward(gate: &Rc<Gate>, out: Outgoing) -> Result<Response<AnswerBody>, Failed> {
    let Outgoing { mut request, recorded, mut entry, index, request_id } = out;
    let mut passages = recorded.into_passages();
    let body = request.body().state();
    let pool = gate.pool(index);
    let mut idle = pool.idle(gate.now());
    loop {
        let Taken { mut sender, connection, reused } = match idle.take() {
            Some(taken) => taken,
            None => match Box::pin(pool.connect()).await {
                Ok(taken) => taken,
                Err(error) => return Err(unreachable(&error, entry)),
            },
        };
        passages.iter_mut().for_each(crate::barrier::Passage::forwarded);
        let answer = Box::pin(sender.try_send_request(request));
        let exchange = Exchange {
            gate: Rc::clone(gate),
            index,
            passages,
            sender: Some((sender, connection)),
            request: Rc::clone(&body),
            entry,
        };
        let (answer, mut exchange) = wait(Waiting::new(answer, exchange), &body, gate).await;
        match answer {
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Err(unsound(exchange, "The service behind the gate switched protocols unasked"));
            }
            Some(Ok(response)) if !framing::is_sound_answer(response.headers()) => {
                return Err(unsound(exchange, "The answer of the service behind the gate is not framed as HTTP asks"));
            }
            Some(Ok(response)) => return Ok(pass(response, exchange, &request_id)),
            Some(Err(mut error)) => {
                // Given back unsent: the connection had died in the pool, and one new one is tried.
                let Some(unsent) = error.take_message().filter(|_| reused) else {
                    return Err(broke_off(&body, exchange));
                };
                exchange.passages.iter_mut().for_each(crate::barrier::Passage::unsent);
                (request, passages, entry) = (unsent, std::mem::take(&mut exchange.passages), exchange.into_entry());
            }
            None => return Err(timed_out(exchange)),
        }
    }
}

fn pass(
    response: Response<hyper::body::Incoming>,
    mut exchange: Exchange,
    request_id: &http::HeaderValue,
) -> Response<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    exchange.entry.answered(parts.status.as_u16());
    parts.version = http::Version::HTTP_11;
    apply::answer_head(&mut parts.headers, request_id);
    Response::from_parts(parts, AnswerBody::passing(body, exchange))
}

/// Waits for the head, at most `response_timeout` from the end of the request; a body that moves may take its time.
async fn wait(mut waiting: Waiting, body: &BodyState, gate: &Gate) -> (Option<Answer>, Exchange) {
    let limits = gate.limits();
    let mut deadline = Instant::now() + limits.response_timeout;
    let mut frames = body.frames.get();
    let mut ended = body.progress.get() == Progress::Ended;
    loop {
        let Some(answer) = waiting.answer() else { return (None, waiting.over()) };
        tokio::select! {
            biased;
            answer = answer => return (Some(answer), waiting.over()),
            () = sleep_until(deadline) => {
                let moved = body.frames.get() != frames || (!ended && body.progress.get() == Progress::Ended);
                if !moved {
                    return (None, waiting.over());
                }
                (frames, ended) = (body.frames.get(), body.progress.get() == Progress::Ended);
                deadline = Instant::now() + grace(ended, limits.response_timeout, limits.body_stall_timeout);
            }
        }
    }
}

fn grace(ended: bool, response_timeout: Duration, body_stall_timeout: Duration) -> Duration {
    if ended { response_timeout } else { body_stall_timeout }
}

fn unreachable(error: &PoolError, entry: Entry) -> Failed {
    let (kind, code) = match error {
        PoolError::Connect(ConnectError::Timeout(_)) => (FailureKind::Timeout, Code::UpstreamTimeout),
        PoolError::Connect(ConnectError::Tls(_)) => (FailureKind::Tls, Code::UpstreamUnreachable),
        PoolError::Connect(ConnectError::Resolve) => (FailureKind::Resolve, Code::UpstreamUnreachable),
        PoolError::Connect(_) => (FailureKind::Connect, Code::UpstreamUnreachable),
        PoolError::Handshake => (FailureKind::BrokeOff, Code::UpstreamUnreachable),
    };
    if let Some(upstream) = entry.upstream() {
        upstream.upstream_failed(kind);
    }
    (code.into(), entry)
}

fn broke_off(body: &BodyState, exchange: Exchange) -> Failed {
    let entry = exchange.into_entry();
    if body.progress.get() == Progress::Malformed {
        return (MALFORMED, entry);
    }
    if body.progress.get() != Progress::Broken
        && let Some(upstream) = entry.upstream()
    {
        upstream.upstream_failed(FailureKind::BrokeOff);
    }
    (Refusal::new(Code::UpstreamUnreachable, "The service behind the gate broke off before it had answered"), entry)
}

/// An answer that must not be passed on: what follows it could not be told apart from the next.
fn unsound(exchange: Exchange, sentence: &'static str) -> Failed {
    let entry = exchange.into_entry();
    if let Some(upstream) = entry.upstream() {
        upstream.upstream_failed(FailureKind::Protocol);
    }
    (Refusal::new(Code::UpstreamUnreachable, sentence), entry)
}

fn timed_out(exchange: Exchange) -> Failed {
    let mut entry = exchange.into_entry();
    if let Some(upstream) = entry.upstream() {
        upstream.upstream_failed(FailureKind::Timeout);
    }
    entry.ended(EndReason::TimedOut);
    (Code::UpstreamTimeout.into(), entry)
}

/// The passages of a request, for those that have none.
pub(super) type Passages = SmallVec<[crate::barrier::Passage; 1]>;
