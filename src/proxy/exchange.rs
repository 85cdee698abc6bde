//! An exchange with an upstream outlives its caller: what must happen at its end happens, whoever has left.

use std::pin::Pin;
use std::rc::Rc;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use smallvec::SmallVec;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::Gate;
use super::body::{BodyState, Progress, RequestBody};
use super::entry::Entry;
use crate::barrier::Passage;
use crate::telemetry::EndReason;
use crate::upstream::Connection;

/// What a sent request becomes.
pub(super) type Answer = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// The wait for it. Boxed, so that it can be handed to a task when the caller leaves.
pub(super) type AnswerFuture = Pin<Box<dyn Future<Output = Answer>>>;

/// One exchange, from the first byte that is sent.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) gate: Rc<Gate>,
    pub(super) index: usize,
    pub(super) passages: SmallVec<[Passage; 1]>,
    /// Dropped before both bodies have ended, it ends the connection: nothing more of the request is sent.
    pub(super) sender: Option<(SendRequest<RequestBody>, Connection)>,
    pub(super) request: Rc<BodyState>,
    pub(super) entry: Entry,
}

impl Exchange {
    /// The answer has come to its end, or to a bad one.
    pub(super) fn end(mut self, ended: EndReason) {
        self.entry.carried_in(self.request.bytes.get());
        self.entry.ended(ended);
        if ended == EndReason::Done {
            self.complete();
        }
    }

    /// The answer was read to its end. A request that was not may go on arriving: then it counts as cut.
    fn complete(&mut self) {
        if self.request.progress.get() != Progress::Ended {
            return;
        }
        for passage in self.passages.drain(..) {
            passage.ended();
        }
        if let Some((sender, connection)) = self.sender.take() {
            self.gate.pool(self.index).put_back(sender, connection, Instant::now());
        }
    }

    /// Given up: what it carried may still be stored by the upstream. The line in the log goes on.
    pub(super) fn into_entry(mut self) -> Entry {
        self.entry.carried_in(self.request.bytes.get());
        self.entry
    }

    /// The caller has left while the answer was on its way. A labelled answer is read to its end all the same, so that an
    /// erasure knows when the exchange was over.
    pub(super) fn outlive(mut self, body: Incoming) {
        self.entry.carried_in(self.request.bytes.get());
        self.entry.ended(EndReason::ClientGone);
        if !self.passages.is_empty() {
            let limit = self.gate.limits().response_timeout;
            spawn_local(async move {
                if timeout(limit, read_to_end(body)).await == Ok(true) {
                    self.complete();
                }
            });
        }
    }

    /// The caller has left before there was an answer.
    fn outlive_unanswered(mut self, answer: AnswerFuture) {
        self.entry.carried_in(self.request.bytes.get());
        self.entry.ended(EndReason::ClientGone);
        let sent_whole = self.request.progress.get() == Progress::Ended;
        if sent_whole && !self.passages.is_empty() {
            let limit = self.gate.limits().response_timeout;
            let whole = async {
                match answer.await {
                    Ok(response) => read_to_end(response.into_body()).await,
                    Err(_) => false,
                }
            };
            spawn_local(async move {
                if timeout(limit, whole).await == Ok(true) {
                    self.complete();
                }
            });
        }
    }
}

async fn read_to_end(mut body: Incoming) -> bool {
    loop {
        match body.frame().await {
            Some(Ok(_frame)) => {}
            Some(Err(_)) => return false,
            None => return true,
        }
    }
}

/// A request that was sent and has no answer yet. Dropped unfinished (the library drops it within a millisecond of the
/// caller's leaving), it is handed to a task of its own.
pub(super) struct Waiting(Option<(AnswerFuture, Exchange)>);

impl Waiting {
    pub(super) const fn new(answer: AnswerFuture, exchange: Exchange) -> Self {
        Self(Some((answer, exchange)))
    }

    /// What is waited for. `None` only when the wait is over.
    pub(super) fn answer(&mut self) -> Option<&mut AnswerFuture> {
        self.0.as_mut().map(|(answer, _)| answer)
    }

    /// The wait is over: the exchange goes on with its caller.
    pub(super) fn over(mut self) -> Exchange {
        let (_answer, exchange) = self.0.take().expect("only this and drop take it, and both end it");
        exchange
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((answer, exchange)) = self.0.take() {
            exchange.outlive_unanswered(answer);
        }
    }
}
