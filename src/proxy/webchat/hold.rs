//! An answer is held back until it is known what becomes of it; one that may change and is too long for that streams on.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use http::Version;

use super::super::caller::{Caller, READ_AHEAD};
use super::super::exchange::Exchange;
use super::super::rewrite::AnswerFraming;
use super::super::service::Service;
use super::Altering;
use super::altering::Looks;
use super::answer::{self, Answer};
use super::request::Asked;
use crate::domain::webchat::{Finding, Findings};
use crate::http1::{BodyDecoder, Chunk};

/// What is known of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    /// It passes as it came.
    Same,
    /// It has come whole, and it has changed.
    Changed,
    /// It is not known yet, and it is not held back any longer.
    Streams,
}

/// Decides about the answer whose head has come, and gives how it is framed then. `None`: its caller has left.
pub(in super::super) async fn decided(
    exchange: &mut Exchange,
    caller: &mut Caller<'_>,
    asked: Asked,
    framing: AnswerFraming,
    version: Version,
) -> Option<AnswerFraming> {
    caller.watch.answered();
    let held_max = exchange.upstream.gate.limits().inspected_body_bytes_max;
    let service = exchange.upstream.service.as_mut()?;
    match Answer::of(&service.head, asked) {
        Answer::Passes => return Some(framing),
        Answer::Counted(finding) => {
            service.findings.add(finding);
            return Some(framing);
        }
        Answer::Confirms => {
            service.lines = Some(answer::confirming(&service.head.lines));
            return Some(framing);
        }
        Answer::Head => {
            service.lines = Some(answer::of_head(&service.head.lines));
            return Some(framing);
        }
        Answer::Read { holds, is_gzip } => {
            let pins = exchange.upstream.gate.routes().pins();
            let altering = Altering::new(holds, is_gzip, &service.head.lines, pins, held_max);
            service.altering = Some(Box::new(altering));
        }
    }
    let decided = poll_fn(|cx| exchange.poll_decided(caller, cx)).await?;
    let service = exchange.upstream.service.as_mut()?;
    service.settle(decided);
    Some(match (decided, framing) {
        (Decided::Same, _) => framing,
        (Decided::Changed, AnswerFraming::Length(_)) => AnswerFraming::Length(service.ahead.len() as u64),
        (Decided::Streams, AnswerFraming::Length(_)) if version == Version::HTTP_10 => AnswerFraming::ToEnd,
        (Decided::Streams, AnswerFraming::Length(_)) => AnswerFraming::Chunked,
        (Decided::Changed | Decided::Streams, _) => framing,
    })
}

impl Exchange {
    /// Moves the request on and reads the answer. `None`: the caller has left.
    fn poll_decided(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<Option<Decided>> {
        if let Poll::Ready(Err(_lost)) = self.poll_request(caller, cx) {
            return Poll::Ready(None);
        }
        let Some(service) = &mut self.upstream.service else { return Poll::Ready(None) };
        if let Poll::Ready(decided) = service.poll_hold(cx) {
            return Poll::Ready(Some(decided));
        }
        if self.is_sent_whole() { self.poll_left(caller, cx).map(|()| None) } else { Poll::Pending }
    }
}

impl Service {
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<Decided> {
        let Some(altering) = &mut self.altering else { return Poll::Ready(Decided::Same) };
        // What breaks off does so once more when it is passed on.
        let broken = |altering: &Altering| if altering.has_changed() { Decided::Streams } else { Decided::Same };
        loop {
            if altering.looks() == Looks::Other {
                return Poll::Ready(Decided::Same);
            }
            let is_open = altering.looks() == Looks::Open;
            let is_long = !is_open && matches!(self.body, BodyDecoder::Length(left) if left > altering.held_max as u64);
            if is_long || altering.held() > altering.held_max {
                return Poll::Ready(Decided::Streams);
            }
            let read = match self.body.look(&mut self.link.input) {
                Err(_) => return Poll::Ready(broken(altering)),
                Ok(Chunk::Ended) => {
                    let ended = altering.end();
                    if ended.is_ok() {
                        return Poll::Ready(if altering.has_changed() { Decided::Changed } else { Decided::Same });
                    }
                    ended
                }
                Ok(Chunk::Data(length)) => {
                    let data = self.link.input.data().get(..length.min(altering.at_once())).unwrap_or_default();
                    altering.raw.extend_from_slice(data);
                    let (read, taken) = (altering.take(data), data.len());
                    self.link.input.consume(taken);
                    self.body.took(taken);
                    read
                }
                Ok(Chunk::Starved) => match self.link.poll_fill(cx, READ_AHEAD) {
                    Poll::Ready(Ok(1..)) => Ok(()),
                    Poll::Ready(Ok(0)) if self.body.connection_ended() => Ok(()),
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(broken(altering)),
                    Poll::Pending => {
                        ready!(altering.held_for.as_mut().poll(cx));
                        return Poll::Ready(if is_open { Decided::Same } else { Decided::Streams });
                    }
                },
            };
            if read.is_err() {
                // Not in the coding that its head says: it passes as it came, and so does the rest.
                self.findings.add(Finding::Encoded);
                self.ahead = std::mem::take(&mut altering.raw);
                self.altering = None;
                return Poll::Ready(Decided::Same);
            }
        }
    }

    /// Puts what was held back in the place of the answer's beginning.
    fn settle(&mut self, decided: Decided) {
        let Some(altering) = &mut self.altering else { return };
        if decided == Decided::Same {
            self.ahead = std::mem::take(&mut altering.raw);
        } else {
            self.lines = Some(answer::changed(&self.head.lines));
            altering.raw = Vec::new();
            altering.streams = decided == Decided::Streams;
            // Writing to memory does not fail.
            drop(if decided == Decided::Changed {
                altering.last(&mut self.ahead)
            } else {
                altering.next(&mut self.ahead)
            });
        }
        if decided != Decided::Streams {
            self.findings = self.all_findings();
            self.altering = None;
        }
    }

    /// What was found in the answer so far.
    pub(in super::super) fn all_findings(&self) -> Findings {
        let mut findings = self.findings;
        if let Some(altering) = &self.altering {
            findings.join(altering.findings());
        }
        findings
    }

    /// Reads what is there of an answer that streams, up to so many bytes. `false` if it cannot be read.
    pub(in super::super) fn alter(&mut self, there: usize) -> bool {
        let Some(altering) = &mut self.altering else { return false };
        let data = self.link.input.data().get(..there.min(altering.at_once())).unwrap_or_default();
        let (read, taken) = (altering.take(data).and_then(|()| altering.next(&mut self.ahead)), data.len());
        self.link.input.consume(taken);
        self.body.took(taken);
        read.is_ok()
    }

    /// Nothing more is there for now of an answer that streams.
    pub(in super::super) fn alter_flush(&mut self) -> bool {
        self.altering.as_mut().is_none_or(|altering| altering.flush(&mut self.ahead).is_ok())
    }

    /// An answer that streams has ended. `false` if it cannot be read.
    pub(in super::super) fn alter_end(&mut self) -> bool {
        let Some(altering) = &mut self.altering else { return true };
        let read = altering.end().and_then(|()| altering.last(&mut self.ahead));
        self.findings = self.all_findings();
        self.altering = None;
        read.is_ok()
    }
}
