//! One client connection over HTTP/1.1: requests go to the proxy, deletes by label to the erasure.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Version};

use super::connect_proxy;
use super::connection_limit::ConnectionLimit;
use super::current::Current;
use super::open_connections::Books;
use super::protocol_detect::ListenerRuntime;
use crate::erasure::Eraser;
use crate::http1::{BufferedIo, Fault, Head};
use crate::net::{ConnectionTimers, Peer, Stream};
use crate::proxy::{self, Caller, ErasureExchange, Gate, Handled, Hop, Onward, OwnAnswer};

/// Beyond the bound of heads so much is read: then the answer says what was wrong.
const ABOVE_OUR_BOUND: usize = 16 * 1024;

/// Bytes thrown away at most behind a refusal.
const LINGER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a connection needs.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    pub(super) current: Current,
    pub(super) eraser: Eraser,
    pub(super) watch: Rc<ConnectionTimers>,
    pub(super) peer: Peer,
    pub(super) books: Books,
    /// Where it came in.
    pub(super) door: Arc<ListenerRuntime>,
    /// Where streams of HTTP/2 have places: each costs what a connection does.
    pub(super) room: ConnectionLimit,
}

impl Serving {
    /// The gate in force, for what begins now.
    pub(super) fn gate(&self) -> Rc<Gate> {
        self.current.gate()
    }
}

/// What came instead of a request.
enum NoHead {
    /// Nothing more will.
    Closed,
    /// Something that is none, and whether it asked for a head without a body.
    Fault(Fault, bool),
    /// More than a head may have, and the same.
    TooLarge(bool),
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: Stream, serving: Box<Serving>) {
    let watch = Rc::clone(&serving.watch);
    watched(&watch, Box::pin(requests(Box::new(BufferedIo::new(socket)), serving))).await;
}

/// Serves one request that is already on its way, and nothing behind it.
pub(super) async fn serve_one(socket: Stream, serving: Box<Serving>) {
    let watch = Rc::clone(&serving.watch);
    watched(&watch, Box::pin(one_request(BufferedIo::new(socket), serving))).await;
}

/// Goes on with a connection until its watch ends it.
///
/// The step is boxed by the caller: what a connection's task holds it would hold twice, as an argument and pinned.
pub(super) async fn watched(watch: &ConnectionTimers, mut step: Pin<Box<impl Future<Output = ()>>>) {
    poll_fn(|cx| {
        watch.woken_by(cx.waker());
        if watch.is_cut() {
            return Poll::Ready(());
        }
        // How a connection ended is in its requests' log lines.
        step.as_mut().poll(cx)
    })
    .await;
}

/// Reads a head. What came instead of one has been answered, where it can be.
async fn next_head(link: &mut BufferedIo<Stream>, serving: &Serving) -> Result<Box<Head>, Onward> {
    let mut looked_at = 0;
    match poll_fn(|cx| poll_head(link, serving, &mut looked_at, cx)).await {
        Ok(head) => {
            serving.watch.request();
            Ok(head)
        }
        Err(NoHead::Closed) => Err(Onward::Close),
        // Whoever sends that reads no answer of HTTP/1.1; what was answered before must not be lost.
        Err(NoHead::Fault(Fault::Http2, _)) => Err(Onward::CloseSending),
        Err(NoHead::Fault(fault, head_only)) => Err(Box::pin(no_head(link, serving, Some(fault), head_only)).await),
        Err(NoHead::TooLarge(head_only)) => Err(Box::pin(no_head(link, serving, None, head_only)).await),
    }
}

/// Answers what is no head.
async fn no_head(link: &mut BufferedIo<Stream>, serving: &Serving, fault: Option<Fault>, head_only: bool) -> Onward {
    serving.watch.request();
    let answer = proxy::refuse_head(&serving.gate(), fault);
    write(link, serving, &answer, Hop { version: Version::HTTP_11, keep: false, head_only }).await;
    Onward::CloseSending
}

async fn one_request(mut link: BufferedIo<Stream>, serving: Box<Serving>) {
    // It is no idle connection, which a stop would end at once.
    serving.watch.head_began();
    if let Ok(mut head) = next_head(&mut link, &serving).await {
        request(&mut link, &mut head, &serving).await;
        head.put_back();
    }
}

/// Handles requests, one after the other. What it holds while none comes is all that an idle connection costs.
pub(super) async fn requests(mut link: Box<BufferedIo<Stream>>, serving: Box<Serving>) {
    serving.watch.fresh();
    let sending = loop {
        let mut head = match next_head(&mut link, &serving).await {
            Ok(head) => head,
            Err(Onward::CloseSending) => break true,
            Err(Onward::Close | Onward::Keep | Onward::Cut) => return,
        };
        if connect_proxy::is_asked(&head, &serving) {
            return Box::pin(connect_proxy::connect(*link, &head, serving)).await;
        }
        // Boxed, so that a connection on which nothing is going on stays small.
        // Allocated first: it is put together where it stays, and is not copied.
        let handling = Box::into_pin(Box::write(Box::new_uninit(), request(&mut link, &mut head, &serving)));
        let onward = handling.await;
        head.put_back();
        match onward {
            // A stop may have come meanwhile.
            Onward::Keep if !serving.watch.is_draining() => {
                link.slim();
                serving.watch.idle();
            }
            Onward::Keep | Onward::Close => break !link.input.is_empty(),
            Onward::CloseSending => break true,
            // Over TLS, an end that is not said is a cut one.
            Onward::Cut => return,
        }
    };
    Box::pin(end(*link, sending, &serving)).await;
}

/// Writes a connection's last answer to a client that may still be sending.
pub(super) async fn finish(mut link: BufferedIo<Stream>, answer: &OwnAnswer, hop: Hop, serving: &Serving) {
    write(&mut link, serving, answer, hop).await;
    end(link, true, serving).await;
}

async fn end(mut link: BufferedIo<Stream>, sending: bool, serving: &Serving) {
    if poll_fn(|cx| link.poll_shutdown(cx)).await.is_ok() && sending {
        serving.watch.linger();
        let mut thrown_away = 0;
        poll_fn(|cx| poll_linger(&mut link, &mut thrown_away, cx)).await;
    }
}

/// A connection while a request is handled on it. One that has stalled is reset: the kernel would go on and offer what it
/// has of the answer, for as long as the caller likes.
struct Handling<'l> {
    link: &'l mut BufferedIo<Stream>,
    watch: &'l ConnectionTimers,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        if let (true, Some(socket)) = (self.watch.has_stalled(), self.link.stream().socket()) {
            socket.set_linger(Some(Duration::ZERO)).ok();
        }
    }
}

/// Handles one request.
async fn request(link: &mut BufferedIo<Stream>, head: &mut Head, serving: &Serving) -> Onward {
    let hop = Hop::of(head, serving.watch.is_draining());
    let handling = Handling { link, watch: &serving.watch };
    let mut caller = Caller { link: &mut *handling.link, watch: &serving.watch, peer: &serving.peer };
    let gate = serving.gate();
    let handled = {
        let mut handling = pin!(proxy::handle(&gate, head, &mut caller, hop));
        let left = || serving.watch.has_left();
        poll_fn(|cx| if left() { Poll::Ready(None) } else { handling.as_mut().poll(cx).map(Some) }).await
    };
    let answer = match handled {
        // Whatever it waited for, nobody waits for it any more. An exchange sees to its own end.
        None => return Onward::Close,
        Some(Handled::Passed(onward)) => return onward,
        Some(Handled::Own(answer)) => answer,
        Some(Handled::Erase(call)) => Box::pin(erase(&serving.eraser, *call)).await,
    };
    // The stop may have come meanwhile.
    let keep = hop.keep && !answer.close && !serving.watch.is_draining();
    let written = write(caller.link, serving, &answer, Hop { keep, ..hop }).await;
    match (written && keep, answer.close) {
        (true, _) => Onward::Keep,
        (false, true) => Onward::CloseSending,
        (false, false) => Onward::Close,
    }
}

/// Reads the next head. `looked_at` is how much of what has come was looked at before.
fn poll_head(
    link: &mut BufferedIo<Stream>,
    serving: &Serving,
    looked_at: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Box<Head>, NoHead>> {
    let bytes_max = serving.gate().limits().header_bytes_max + ABOVE_OUR_BOUND;
    loop {
        // A head ends with a line: while none does, a slow one is not read again and again from its beginning.
        let news = link.input.data().get(*looked_at..).unwrap_or_default();
        if link.input.len() >= bytes_max || (!news.is_empty() && (*looked_at == 0 || news.contains(&b'\n'))) {
            serving.watch.head_began();
            let mut head = Head::taken();
            let read = head.read(link.input.data());
            let head_only = head.method == Method::HEAD;
            match read {
                Ok(true) => {
                    link.input.consume(head.bytes);
                    return Poll::Ready(Ok(head));
                }
                Ok(false) if link.input.len() >= bytes_max => return Poll::Ready(Err(NoHead::TooLarge(head_only))),
                Ok(false) => head.put_back(),
                Err(fault) => return Poll::Ready(Err(NoHead::Fault(fault, head_only))),
            }
        }
        *looked_at = link.input.len();
        match ready!(link.poll_fill(cx, bytes_max)) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Poll::Ready(Err(NoHead::Closed)),
        }
    }
}

async fn write(link: &mut BufferedIo<Stream>, serving: &Serving, answer: &OwnAnswer, hop: Hop) -> bool {
    answer.write(hop, link.output());
    serving.watch.body_waits(true);
    serving.watch.moved();
    poll_fn(|cx| link.poll_flush(cx)).await.is_ok()
}

/// Reads what still comes and throws it away, until the client closes: a socket that is closed with unread data in it is
/// reset, and the client never sees the answer (RFC 9112 §9.6).
fn poll_linger(link: &mut BufferedIo<Stream>, thrown_away: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        *thrown_away += link.input.len();
        link.input.consume(usize::MAX);
        let came: io::Result<usize> = ready!(link.poll_fill(cx, usize::MAX));
        if !matches!(came, Ok(1..)) || *thrown_away > LINGER_BYTES_MAX {
            return Poll::Ready(());
        }
    }
}

async fn erase(eraser: &Eraser, exchange: ErasureExchange) -> OwnAnswer {
    let ErasureExchange { destination, call, way_back } = exchange;
    match eraser.delete(Arc::clone(&destination.site), call).await {
        Ok(response) => way_back.answer(response),
        Err(refused) => way_back.refuse(refused.refusal, refused.status, refused.retry_after_s),
    }
}
