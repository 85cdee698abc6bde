//! The service's side of one exchange: its connection, the head of its answer, and how much of the answer has come.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Version};
use tokio::time::Instant;

use super::caller::{Caller, READ_AHEAD};
use super::governed_headers::has_token;
use super::rewrite;
use super::webchat::{self, Altering};
use crate::domain::webchat::Findings;
use crate::http1::{AnswerHead, BodyDecoder, BodyEncoder, BufferedIo, Chunk, Lines};
use crate::net::Stream;
use crate::telemetry::EndReason;

/// Interim answers before an answer: servers send one or two, and one that sends nothing else would keep a worker busy.
const INTERIM_MAX: u32 = 64;

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It broke off.
    Off,
    /// What it said is not framed as HTTP asks.
    Unsound,
    /// It switched protocols unasked.
    Switched,
}

/// A connection to a service on which a request is being answered.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) link: BufferedIo<Stream>,
    /// When the connection was made.
    pub(super) opened: Instant,
    pub(super) head: Box<AnswerHead>,
    pub(super) body: BodyDecoder,
    /// How the answer is passed on.
    pub(super) framing: BodyEncoder,
    /// The lines of the answer where they are not those of its head.
    pub(super) lines: Option<Lines>,
    /// What goes out of the answer before anything else, and how much of it has.
    pub(super) ahead: Vec<u8>,
    ahead_sent: usize,
    /// What changes the answer on its way.
    pub(super) altering: Option<Box<Altering>>,
    /// What was found in it.
    pub(super) findings: Findings,
    /// What accepts the WebSocket that was asked for.
    accept: Option<String>,
    /// Whether the connection may carry another request, once this one has been answered.
    pub(super) reusable: bool,
    pub(super) bytes_out: u64,
    /// How much of what has come of the head was looked at before.
    looked_at: usize,
    /// Interim answers so far.
    interim: u32,
}

impl Service {
    pub(super) fn new(link: BufferedIo<Stream>, opened: Instant, accept: Option<String>) -> Self {
        Self {
            link,
            opened,
            accept,
            head: AnswerHead::taken(),
            body: BodyDecoder::ToEnd,
            framing: BodyEncoder::default(),
            lines: None,
            ahead: Vec::new(),
            ahead_sent: 0,
            altering: None,
            findings: Findings::default(),
            reusable: false,
            bytes_out: 0,
            looked_at: 0,
            interim: 0,
        }
    }

    /// Reads the head of the answer; interim ones are skipped.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        bytes_max: usize,
    ) -> Poll<Result<(), Broken>> {
        loop {
            // A head ends with a line: while none does, a slow one is not read again and again from its beginning.
            let news = self.link.input.data().get(self.looked_at..).unwrap_or_default();
            let begins = self.looked_at == 0 && !news.is_empty();
            let whole = begins || news.contains(&b'\n') || self.link.input.len() >= bytes_max;
            if !whole || !self.head.read(self.link.input.data()).map_err(|_| Broken::Unsound)? {
                self.looked_at = self.link.input.len();
                if self.looked_at >= bytes_max {
                    return Poll::Ready(Err(Broken::Unsound));
                }
                match ready!(self.link.poll_fill(cx, bytes_max)) {
                    Ok(1..) => continue,
                    Ok(0) | Err(_) => return Poll::Ready(Err(Broken::Off)),
                }
            }
            self.link.input.consume(self.head.bytes);
            self.looked_at = 0;
            match self.head.status {
                101 if self.is_accepted() => {
                    self.body = BodyDecoder::Ended;
                    return Poll::Ready(Ok(()));
                }
                101 => return Poll::Ready(Err(Broken::Switched)),
                100..200 if self.interim == INTERIM_MAX => return Poll::Ready(Err(Broken::Unsound)),
                100..200 => self.interim += 1,
                _ => {
                    self.body = BodyDecoder::of_answer(&self.head, method).ok_or(Broken::Unsound)?;
                    let closes = self.head.lines.all("connection").any(|value| has_token(value, "close"));
                    self.reusable =
                        self.head.version == Version::HTTP_11 && !closes && !matches!(self.body, BodyDecoder::ToEnd);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// For how long the service says that it keeps an idle connection (`Keep-Alive: timeout=5`).
    pub(super) fn kept(&self) -> Option<Duration> {
        let value = std::str::from_utf8(self.head.lines.first("keep-alive")?).ok()?;
        let seconds = value.split(',').find_map(|one| one.trim().strip_prefix("timeout="))?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    }

    /// Whether the answer is a stream of events, which come when there are any.
    pub(super) fn is_event_stream(&self) -> bool {
        let kind = self.head.lines.first("content-type").unwrap_or_default();
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/event-stream")
    }

    /// Whether the answer offers a WebSocket.
    pub(super) fn offers_websocket(&self) -> bool {
        self.head.lines.all("upgrade").any(|value| has_token(value, "websocket"))
    }

    /// Whether this is the answer to the handshake that was sent (RFC 6455 §4.1).
    fn is_accepted(&self) -> bool {
        let lines = &self.head.lines;
        let says = |name, token| lines.all(name).any(|value| has_token(value, token));
        let mut accepts = lines.all("sec-websocket-accept");
        let accepted =
            accepts.next().is_some_and(|value| self.accept.as_deref().is_some_and(|own| own.as_bytes() == value));
        accepted && accepts.next().is_none() && self.offers_websocket() && says("connection", "upgrade")
    }

    /// Moves the answer on to its caller.
    pub(super) fn poll_answer(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<EndReason> {
        loop {
            if !self.ahead.is_empty() {
                if ready!(self.poll_ahead(caller, cx)).is_err() {
                    return Poll::Ready(EndReason::ClientGone);
                }
                continue;
            }
            let Ok(piece) = self.body.look(&mut self.link.input) else {
                return Poll::Ready(EndReason::UpstreamGone);
            };
            match piece {
                Chunk::Data(length) if self.altering.is_some() => {
                    if !self.alter(length) {
                        return Poll::Ready(EndReason::UpstreamGone);
                    }
                }
                Chunk::Data(length) => {
                    if ready!(self.poll_pass(caller, cx, length)).is_err() {
                        return Poll::Ready(EndReason::ClientGone);
                    }
                }
                Chunk::Starved => {
                    if !self.alter_flush() {
                        return Poll::Ready(EndReason::UpstreamGone);
                    }
                    if !self.ahead.is_empty() {
                        continue;
                    }
                    if !caller.link.is_flushed() && ready!(caller.poll_flush(cx)).is_err() {
                        return Poll::Ready(EndReason::ClientGone);
                    }
                    match ready!(self.link.poll_fill(cx, READ_AHEAD)) {
                        Ok(1..) => {
                            caller.watch.moved();
                            caller.watch.answered();
                        }
                        Ok(0) if self.body.connection_ended() => {}
                        Ok(0) | Err(_) => return Poll::Ready(EndReason::UpstreamGone),
                    }
                }
                Chunk::Ended => {
                    if !self.alter_end() {
                        return Poll::Ready(EndReason::UpstreamGone);
                    }
                    if !self.ahead.is_empty() {
                        continue;
                    }
                    let (body, may_differ) = (&self.body, self.lines.is_some());
                    self.framing.end(caller.link.output(), |out| {
                        let sent = body.trailers();
                        rewrite::answer_trailers(out, &if may_differ { webchat::trailers(&sent) } else { sent });
                    });
                    let flushed = ready!(caller.poll_flush(cx));
                    return Poll::Ready(if flushed.is_ok() { EndReason::Done } else { EndReason::ClientGone });
                }
            }
        }
    }

    /// Passes on some of what goes out before the rest.
    fn poll_ahead(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let left = self.ahead.get(self.ahead_sent..).unwrap_or_default();
        let length = self.framing.announce(left.len(), caller.link.output());
        let taken = ready!(caller.poll_gather(cx, left.get(..length).unwrap_or_default()))?;
        self.ahead_sent += taken;
        self.bytes_out += taken as u64;
        self.framing.sent(taken, caller.link.output());
        if self.ahead_sent == self.ahead.len() {
            (self.ahead, self.ahead_sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Passes on what is there of the answer, up to so many bytes.
    fn poll_pass(&mut self, caller: &mut Caller<'_>, cx: &mut Context<'_>, there: usize) -> Poll<std::io::Result<()>> {
        let length = self.framing.announce(there, caller.link.output());
        let data = self.link.input.data().get(..length).unwrap_or_default();
        let taken = ready!(caller.poll_gather(cx, data))?;
        self.link.input.consume(taken);
        self.body.took(taken);
        self.bytes_out += taken as u64;
        self.framing.sent(taken, caller.link.output());
        Poll::Ready(Ok(()))
    }

    /// Reads the answer to its end and throws it away.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            match self.body.look(&mut self.link.input) {
                Err(_) => return Poll::Ready(false),
                Ok(Chunk::Ended) => return Poll::Ready(true),
                Ok(Chunk::Data(length)) => {
                    self.link.input.consume(length);
                    self.body.took(length);
                }
                Ok(Chunk::Starved) => match ready!(self.link.poll_fill(cx, READ_AHEAD)) {
                    Ok(1..) => {}
                    Ok(0) => return Poll::Ready(self.body.connection_ended()),
                    Err(_) => return Poll::Ready(false),
                },
            }
        }
    }
}
