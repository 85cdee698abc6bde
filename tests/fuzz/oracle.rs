//! hyper's server over bytes in memory: which requests it hands to a service, and why it stops.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::pieces::Pieces;
use crate::sorted::{self, LINES_MAX};
use crate::{Message, Stop};

struct Socket<'b>(Pieces<'b>);

impl Read for Socket<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.next(buf.remaining()).map(|piece| {
            buf.put_slice(piece);
            Ok(())
        })
    }
}

/// Nobody reads what is answered.
impl Write for Socket<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// All requests that hyper sees in these bytes.
pub fn read(bytes: &[u8], step: usize, waits: bool) -> (Vec<Message>, Stop) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request| taken(request, Rc::clone(&seen)));
    let socket = Socket(Pieces::of(bytes, step, waits));
    let mut serving =
        pin!(http1::Builder::new().half_close(true).max_headers(LINES_MAX).serve_connection(socket, service));
    let mut cx = Context::from_waker(Waker::noop());
    let ended = (0..16 * bytes.len() + 1000).find_map(|_| match serving.as_mut().poll(&mut cx) {
        Poll::Ready(ended) => Some(ended),
        Poll::Pending => None,
    });
    let stop = match ended.expect("hyper comes to an end") {
        Err(error) if error.is_parse() => Stop::Theirs,
        _ => Stop::Over,
    };
    (std::mem::take(&mut *seen.borrow_mut()), stop)
}

async fn taken(
    request: Request<Incoming>,
    seen: Rc<RefCell<Vec<Message>>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let at = seen.borrow().len();
    seen.borrow_mut().push(Message {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        http10: head.version == Version::HTTP_10,
        lines: sorted::map(&head.headers),
        body: Vec::new(),
        is_whole: false,
        trailers: Vec::new(),
    });
    let is_whole = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => seen.borrow_mut()[at].body.extend_from_slice(&data),
                Err(frame) => {
                    seen.borrow_mut()[at].trailers =
                        frame.into_trailers().map(|all| sorted::map(&all)).unwrap_or_default();
                }
            },
        }
    };
    seen.borrow_mut()[at].is_whole = is_whole;
    let mut response = Response::new(Empty::new());
    // Anything else would make a tunnel of a CONNECT.
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
