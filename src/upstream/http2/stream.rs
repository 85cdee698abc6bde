//! One exchange over a stream: the request comes out of a pipe as HTTP/1.1, and the answer goes back into it.
//!
//! A request that the service refused before it looked at it (RFC 9113 §8.7) is sent again over another connection, as
//! long as all that was sent of it is still there. Nothing else is ever sent twice.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Error, Reason};
use http::Method;
use tokio::io::DuplexStream;
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep};

use super::connection::Slot;
use super::head::{self, Outgoing};
use super::kept::Kept;
use super::{Connections, Wanted};
use crate::http1::{BodyDecoder, BufferedIo, Head};
use crate::http2::{Broken, Cut, FromFrames, IntoFrames, PIPE, Pipe};
use crate::net::Stream;

/// How often a request may be refused unread.
const REFUSED_MAX: usize = 3;
/// A request's head: the gate has written it, and knows its bounds.
const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often it is asked whether anybody still listens behind a tunnel whose one way has ended.
const LOOK: Duration = Duration::from_secs(1);

/// Begins an exchange; gives the end of the pipe that the exchange takes for its connection.
pub(super) fn start(connections: &Rc<Connections>, slot: Slot) -> BufferedIo<Stream> {
    let (near, far) = tokio::io::duplex(PIPE);
    spawn_local(carry(Rc::clone(connections), slot, far));
    BufferedIo::new(Stream::Memory(near))
}

async fn carry(connections: Rc<Connections>, mut slot: Slot, pipe: DuplexStream) {
    let mut pipe = BufferedIo::new(pipe);
    let mut head = Head::default();
    if !poll_fn(|cx| poll_head(&mut pipe, &mut head, cx)).await {
        return;
    }
    let (mut body, mut kept) = (None, Kept::default());
    for _ in 0..REFUSED_MAX {
        let Some(mut carried) = Carried::begin(&slot, &connections, &head, body.take(), kept) else { return };
        match poll_fn(|cx| carried.poll(&mut pipe, cx)).await {
            End::Refused if carried.kept.is_whole() => {}
            End::Refused | End::Over => return,
            End::Cancel => return carried.cancel(),
        }
        let wanted = if carried.accept.is_some() { Wanted::WebSocket } else { Wanted::Any };
        (body, kept) = carried.leave();
        slot.retire();
        match connections.another_slot(wanted).await {
            Some(another) => slot = another,
            None => return,
        }
    }
}

/// `false` if there was none.
fn poll_head(pipe: &mut Pipe, head: &mut Head, cx: &mut Context<'_>) -> Poll<bool> {
    loop {
        match ready!(pipe.poll_fill(cx, HEAD_BYTES_MAX)) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Poll::Ready(false),
        }
        match head.read(pipe.input.data()) {
            Ok(true) => {
                pipe.input.consume(head.bytes);
                return Poll::Ready(true);
            }
            Ok(false) => {}
            Err(_) => return Poll::Ready(false),
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is nothing more to be done, whether or not it went well: the pipe's end says it.
    Over,
    /// Nobody waits for the answer any more.
    Cancel,
    /// The service has not looked at the request.
    Refused,
}

/// How the request goes on.
enum Upload {
    Body(IntoFrames),
    /// Nothing goes before the tunnel is open.
    Waiting(IntoFrames),
    /// All of it was sent.
    Done(Option<IntoFrames>),
    /// The service takes no more. What is left stays in the pipe: it may be wanted on another stream.
    Unwanted(IntoFrames),
}

struct Carried {
    method: Method,
    accept: Option<String>,
    upload: Upload,
    /// What was sent on another stream and goes first.
    again: VecDeque<Bytes>,
    kept: Kept,
    answer: Option<ResponseFuture>,
    download: Option<FromFrames>,
    /// When it is next asked whether anybody listens.
    look: Option<Pin<Box<Sleep>>>,
}

impl Carried {
    /// Opens a stream. `None` if there is no such request; a connection that has died says so in its answer.
    fn begin(
        slot: &Slot,
        connections: &Connections,
        head: &Head,
        body: Option<BodyDecoder>,
        kept: Kept,
    ) -> Option<Self> {
        let Outgoing { request, body: whole, accept } = head::request(head, &connections.connector)?;
        let body = body.unwrap_or(whole);
        let again = VecDeque::from(kept.pieces());
        let bodiless = matches!(body, BodyDecoder::Length(0)) && again.is_empty();
        let mut carried = Self {
            method: head.method.clone(),
            accept,
            upload: Upload::Done(None),
            again,
            kept,
            answer: None,
            download: None,
            look: None,
        };
        // Where it cannot be sent, nothing was.
        if let Ok((answer, frames)) = slot.sender().send_request(request, bodiless) {
            let frames = IntoFrames::new(frames, body);
            carried.answer = Some(answer);
            carried.upload = match (&carried.accept, bodiless) {
                (Some(_), _) => Upload::Waiting(frames),
                (None, true) => Upload::Done(Some(frames)),
                (None, false) => Upload::Body(frames),
            };
        }
        Some(carried)
    }

    fn poll(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<End> {
        if self.answer.is_none() && self.download.is_none() && self.kept.is_whole() {
            return Poll::Ready(End::Refused);
        }
        if let Poll::Ready(end) = self.poll_upload(pipe, cx) {
            return Poll::Ready(end);
        }
        if let Some(answer) = &mut self.answer {
            match ready!(Pin::new(answer).poll(cx)) {
                Ok(answer) => {
                    self.kept.forget();
                    self.answer = None;
                    let accept = self.accept.as_deref();
                    let Some(body) = head::answer(answer, &self.method, accept, pipe.output()) else {
                        return Poll::Ready(End::Cancel);
                    };
                    self.answered(body);
                    // The other way may begin.
                    cx.waker().wake_by_ref();
                }
                Err(error) => return Poll::Ready(if is_unread(&error) { End::Refused } else { End::Over }),
            }
        }
        self.poll_download(pipe, cx)
    }

    fn answered(&mut self, body: Option<FromFrames>) {
        self.download = body;
        self.upload = match std::mem::replace(&mut self.upload, Upload::Done(None)) {
            Upload::Waiting(frames) => Upload::Body(frames),
            upload => upload,
        };
    }

    /// Ready when nobody is there any more for whom it could go on.
    fn poll_upload(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<End> {
        if let Upload::Body(frames) = &mut self.upload {
            let polled = poll_frames(frames, &mut self.again, &mut self.kept, pipe, cx);
            if polled == Poll::Ready(Err(Broken::Sender)) {
                return Poll::Ready(End::Cancel);
            }
            if let (Poll::Ready(sent), Upload::Body(_)) = (polled, &self.upload)
                && let Upload::Body(frames) = std::mem::replace(&mut self.upload, Upload::Done(None))
            {
                // It may have answered all the same.
                self.upload = if sent.is_ok() { Upload::Done(Some(frames)) } else { Upload::Unwanted(frames) };
            }
        }
        self.poll_unheard(pipe, cx)
    }

    fn is_tunnel(&self) -> bool {
        self.accept.is_some() && self.answer.is_none()
    }

    /// Ready when the exchange has let go of the pipe.
    fn poll_unheard(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<End> {
        match &self.upload {
            // Nothing comes there but its end.
            Upload::Done(_) | Upload::Waiting(_) if !self.is_tunnel() => {
                return pipe.poll_fill(cx, PIPE).map(|_| End::Cancel);
            }
            // The pipe is being read, and its end is seen there.
            Upload::Body(_) if pipe.input.is_empty() && self.again.is_empty() => return Poll::Pending,
            // A service that gives no room is not waited for when nobody else waits.
            Upload::Body(_) | Upload::Done(_) | Upload::Waiting(_) | Upload::Unwanted(_) => {}
        }
        loop {
            if pipe.is_unheard() {
                return Poll::Ready(End::Cancel);
            }
            let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK)));
            ready!(look.as_mut().poll(cx));
            self.look = None;
        }
    }

    fn poll_download(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<End> {
        let passed = match &mut self.download {
            Some(body) => ready!(body.poll(pipe, cx)),
            None => ready!(pipe.poll_flush(cx)).map_err(|_| Cut::Reader),
        };
        match passed {
            // Each way of a tunnel ends by itself.
            Ok(()) if self.is_tunnel() && matches!(self.upload, Upload::Body(_)) => Poll::Pending,
            Ok(()) if matches!(self.upload, Upload::Done(_)) => Poll::Ready(End::Over),
            // Nothing more of the request is wanted either: behind its answer's end nobody reckons with it (P4).
            Ok(()) => Poll::Ready(End::Cancel),
            Err(Cut::Reader | Cut::Malformed) => Poll::Ready(End::Cancel),
            Err(Cut::Sender) => Poll::Ready(End::Over),
        }
    }

    /// What is needed to begin again.
    fn leave(self) -> (Option<BodyDecoder>, Kept) {
        let body = match self.upload {
            Upload::Body(frames) | Upload::Waiting(frames) | Upload::Unwanted(frames) | Upload::Done(Some(frames)) => {
                Some(frames.into_body())
            }
            Upload::Done(None) => None,
        };
        (body, self.kept)
    }

    fn cancel(self) {
        match self.upload {
            Upload::Body(mut frames)
            | Upload::Waiting(mut frames)
            | Upload::Unwanted(mut frames)
            | Upload::Done(Some(mut frames)) => frames.reset(Reason::CANCEL),
            Upload::Done(None) => {}
        }
    }
}

/// Moves on what is sent again, and then what comes out of the pipe.
fn poll_frames(
    frames: &mut IntoFrames,
    again: &mut VecDeque<Bytes>,
    kept: &mut Kept,
    pipe: &mut Pipe,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    while let Some(piece) = again.front_mut() {
        let sent = ready!(frames.poll_again(piece, cx))?;
        piece.advance(sent);
        if piece.is_empty() {
            again.pop_front();
        }
    }
    frames.poll(pipe, cx, |piece| kept.keep(piece))
}

/// Whether the service has said that it did not read the request: by refusing the stream, or by a GOAWAY without it.
pub(super) fn is_unread(error: &Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}
