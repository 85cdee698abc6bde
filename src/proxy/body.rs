//! Bodies on their way: frame by frame, never collected, governed names kept out of trailers.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::apply::is_kept_from_trailers;
use super::exchange::Exchange;
use super::route::Destination;
use crate::telemetry::EndReason;

/// How far a request's body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Frames are still to come.
    Streaming,
    /// Its last frame was handed on.
    Ended,
    /// The caller's framing is wrong.
    Malformed,
    /// The caller broke off.
    Broken,
}

/// What is known of a request's body by those who do not hold it.
#[derive(Debug)]
pub(super) struct BodyState {
    pub(super) progress: Cell<Progress>,
    pub(super) bytes: Cell<u64>,
    /// Frames handed on: moves as long as the body does.
    pub(super) frames: Cell<u64>,
}

/// The body of a request on its way to the upstream.
#[derive(Debug)]
pub struct RequestBody {
    /// What was read ahead by `derive`.
    ahead: VecDeque<Frame<Bytes>>,
    rest: Incoming,
    state: Rc<BodyState>,
    destination: Arc<Destination>,
}

impl RequestBody {
    pub(super) fn new(ahead: VecDeque<Frame<Bytes>>, rest: Incoming, destination: &Arc<Destination>) -> Self {
        let ended = ahead.is_empty() && rest.is_end_stream();
        let progress = if ended { Progress::Ended } else { Progress::Streaming };
        let state = BodyState { progress: Cell::new(progress), bytes: Cell::new(0), frames: Cell::new(0) };
        Self { ahead, rest, state: Rc::new(state), destination: Arc::clone(destination) }
    }

    pub(super) fn state(&self) -> Rc<BodyState> {
        Rc::clone(&self.state)
    }

    fn pass(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.state.frames.set(self.state.frames.get() + 1);
        if let Some(data) = frame.data_ref() {
            self.state.bytes.set(self.state.bytes.get() + data.len() as u64);
        }
        if self.is_end_stream() {
            self.state.progress.set(Progress::Ended);
        }
        match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(without_governed(&self.destination, trailers)),
            Err(frame) => frame,
        }
    }
}

fn without_governed(destination: &Destination, trailers: HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(trailers.len());
    let mut last = None;
    for (name, value) in trailers {
        last = name.or(last);
        if let Some(name) = &last
            && !is_kept_from_trailers(&destination.governed, name.as_str())
        {
            kept.append(name.clone(), value);
        }
    }
    kept
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(frame) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(self.pass(frame))));
        }
        Poll::Ready(match ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(self.pass(frame))),
            Some(Err(error)) => {
                self.state.progress.set(if is_framing(&error) { Progress::Malformed } else { Progress::Broken });
                Some(Err(error))
            }
            None => {
                self.state.progress.set(Progress::Ended);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: u64 = self.ahead.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(ahead + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(ahead + upper);
        }
        hint
    }
}

/// Did the caller frame its body wrongly, or only break off? The library keeps the first as an I/O error of kind
/// `InvalidInput` or `InvalidData` beneath its own.
pub(super) fn is_framing(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
        }
        source = cause.source();
    }
    error.is_parse()
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// The gate's own words.
    Own(Option<Bytes>),
    /// The upstream's, frame by frame.
    Passing(Box<Passing>),
}

/// The upstream's body and everything that must happen when it ends.
#[derive(Debug)]
pub struct Passing {
    live: Option<(Incoming, Exchange)>,
}

impl AnswerBody {
    pub(super) fn passing(body: Incoming, exchange: Exchange) -> Self {
        Self::Passing(Box::new(Passing { live: Some((body, exchange)) }))
    }
}

impl Passing {
    fn end(&mut self, ended: EndReason) {
        if let Some((_body, exchange)) = self.live.take() {
            exchange.end(ended);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some((body, exchange)) = &mut self.live else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => exchange.entry.carried_out(frame.data_ref().map_or(0, |data| data.len() as u64)),
            Some(Err(_)) => self.end(EndReason::UpstreamGone),
            None => self.end(EndReason::Done),
        }
        Poll::Ready(polled)
    }
}

impl Drop for Passing {
    /// The library drops a body whose length is reached without asking again, and one whose reader has left.
    fn drop(&mut self) {
        match self.live.take() {
            Some((body, exchange)) if body.is_end_stream() => exchange.end(EndReason::Done),
            Some((body, exchange)) => exchange.outlive(body),
            None => {}
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(passing) => passing.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Passing(passing) => passing.live.as_ref().is_none_or(|(body, _)| body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Passing(passing) => {
                passing.live.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
            }
        }
    }
}
