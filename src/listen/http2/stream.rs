//! One stream: its request goes into a pipe as HTTP/1.1, where it is served, and its answer comes out of it.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{self, Answer};
use super::connection::{Ended, StreamAccounting};
use super::head::{self, Behind, NoRequest};
use crate::http1::{AnswerHead, BodyDecoder, BufferedIo};
use crate::http2::{Broken, Cut, FromFrames, IntoFrames, PIPE, Pipe};
use crate::listen::connection::{Serving, serve_one};
use crate::net::{ConnectionTimers, Stream};

/// What an answer's head may have beside what the service's may: the gate's own lines.
const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Carries a stream to its end. It has its place until nothing of it is left.
pub(super) async fn carry(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    serving: Box<Serving>,
    tally: Rc<StreamAccounting>,
    _place: OwnedSemaphorePermit,
) {
    if let Err(ended) = Box::pin(translate(request, respond, serving, &tally)).await {
        tally.closed(ended);
    }
}

/// Carries a stream, and says how it ended as soon as it has. The error is that of a stream that was never a request.
async fn translate(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    serving: Box<Serving>,
    tally: &StreamAccounting,
) -> Result<(), Ended> {
    let (near, far) = tokio::io::duplex(PIPE);
    let mut pipe = BufferedIo::new(far);
    // The head is gone once it is written: as a map it is many times what it was on the wire.
    let (method, behind, body) = match written(request, &mut pipe) {
        Ok(written) => written,
        Err(NoRequest::Malformed) => {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return Err(Ended::Spoilt);
        }
        Err(NoRequest::UnknownProtocol) => {
            // Whether it hears it is its own matter.
            drop(respond.send_response(answer::unknown_protocol(), true));
            return Err(Ended::Spoilt);
        }
    };
    let (watch, _entered) = serving.books.enter();
    // It is no idle connection, which a stop would end at once. One that has begun already tells nobody who comes later.
    watch.head_began();
    if serving.watch.is_draining() {
        watch.drain();
    }
    let mut translation = Translation {
        pipe,
        upload: Upload::of(body, behind),
        behind,
        method,
        head: AnswerHead::default(),
        respond,
        download: None,
        watch: Rc::clone(&watch),
    };
    let serving = Box::new(Serving { watch: Rc::clone(&watch), ..*serving });
    // The pipe's ends are dropped as each of the two has done its part: that is how one learns of the other's end.
    let translated = async move {
        let ended = poll_fn(|cx| translation.poll(cx)).await;
        translation.finish(ended);
        // What its request waits for may take longer.
        tally.closed(ended);
        if ended != Ended::Answered {
            watch.leave();
        }
    };
    // In this order with every look: where the gate has said all that it will, it is the second that knows who is waited for.
    tokio::join!(biased; serve_one(Stream::Memory(near), serving), translated);
    Ok(())
}

/// Writes a request's head into its pipe. Gives its method, how it goes on, and what comes behind it.
fn written(request: Request<RecvStream>, pipe: &mut Pipe) -> Result<(Method, Behind, RecvStream), NoRequest> {
    let (parts, body) = request.into_parts();
    let behind = head::write(&parts, body.is_end_stream(), pipe.output())?;
    Ok((parts.method, behind, body))
}

/// How the request goes on.
enum Upload {
    Body(FromFrames),
    /// Nothing goes before the tunnel is open.
    Waiting(RecvStream),
    Done,
}

impl Upload {
    fn of(body: RecvStream, behind: Behind) -> Self {
        match behind {
            Behind::Nothing => Self::Done,
            Behind::Length => Self::Body(FromFrames::message(body, false)),
            Behind::Chunked => Self::Body(FromFrames::message(body, true)),
            Behind::Tunnel { .. } => Self::Waiting(body),
        }
    }
}

struct Translation {
    pipe: Pipe,
    upload: Upload,
    behind: Behind,
    method: Method,
    head: AnswerHead,
    respond: SendResponse<Bytes>,
    /// The answer's body, once its head has been sent.
    download: Option<IntoFrames>,
    watch: Rc<ConnectionTimers>,
}

impl Translation {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.watch.woken_by(cx.waker());
        if self.watch.is_ending() {
            return Poll::Ready(Ended::Failed);
        }
        if let Poll::Ready(Some(ended)) = self.poll_upload(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.poll_answer(cx) {
            return Poll::Ready(ended);
        }
        let reset = match &mut self.download {
            Some(download) => download.poll_reset(cx),
            None => self.respond.poll_reset(cx).map(drop),
        };
        reset.map(|()| Ended::Spoilt)
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        let Upload::Body(body) = &mut self.upload else {
            // Whether the head is wanted is seen when the answer is read.
            return self.pipe.poll_flush(cx).map(|_| None);
        };
        let ended = match ready!(body.poll(&mut self.pipe, cx)) {
            Err(Cut::Sender | Cut::Malformed) => Some(Ended::Spoilt),
            // Nobody wants the rest of it; the answer may come all the same.
            Err(Cut::Reader) | Ok(()) => None,
        };
        self.upload = Upload::Done;
        Poll::Ready(ended)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if let Some(download) = &mut self.download {
                let watch = &self.watch;
                let polled = download.poll(&mut self.pipe, cx, |sent| watch.carried(sent.len()));
                if polled.is_pending() && !self.pipe.input.is_empty() {
                    // It is the caller that is waited for, also when the gate has said all that it will.
                    self.watch.body_waits(true);
                }
                return polled.map(|sent| match sent {
                    Ok(()) => Ended::Answered,
                    Err(Broken::Sender) => Ended::Failed,
                    Err(Broken::Reader) => Ended::Spoilt,
                });
            }
            let read = if self.pipe.input.is_empty() { Ok(false) } else { self.head.read(self.pipe.input.data()) };
            match read {
                Ok(true) => {}
                Ok(false) => match ready!(self.pipe.poll_fill(cx, HEAD_BYTES_MAX)) {
                    Ok(1..) => continue,
                    Ok(0) | Err(_) => return Poll::Ready(Ended::Failed),
                },
                // With the gate's own lines it has more than can be read.
                Err(_) => return Poll::Ready(Ended::Failed),
            }
            self.pipe.input.consume(self.head.bytes);
            if let Some(ended) = self.answer() {
                return Poll::Ready(ended);
            }
            if matches!(self.behind, Behind::Tunnel { .. }) {
                // Now its other way may begin.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Sends the head that has come. Gives how the stream has ended, if it has.
    fn answer(&mut self) -> Option<Ended> {
        let Some(answer) = answer::of(&self.head, &self.method, self.behind) else { return Some(Ended::Failed) };
        let (response, body) = match answer {
            Answer::Interim(response) => {
                return self.respond.send_informational(response).err().map(|_| Ended::Spoilt);
            }
            Answer::Final(response, body) => (response, body),
            Answer::Tunnel(response) => {
                if let Upload::Waiting(frames) = std::mem::replace(&mut self.upload, Upload::Done) {
                    self.upload = Upload::Body(FromFrames::tunnel(frames));
                }
                (response, BodyDecoder::ToEnd)
            }
        };
        let ended = matches!(body, BodyDecoder::Ended);
        match self.respond.send_response(response, ended) {
            Ok(_) if ended => Some(Ended::Answered),
            Ok(frames) => {
                self.download = Some(IntoFrames::new(frames, body));
                None
            }
            Err(_) => Some(Ended::Spoilt),
        }
    }

    /// Says why there is no more. A stream that was answered while its request was still coming is ended without an
    /// error when its last handle goes (RFC 9113 §8.1).
    fn finish(&mut self, ended: Ended) {
        let reason = match ended {
            Ended::Answered => return,
            Ended::Failed => Reason::INTERNAL_ERROR,
            Ended::Spoilt => Reason::PROTOCOL_ERROR,
        };
        match &mut self.download {
            Some(download) => download.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}
