//! hyper's client over bytes in memory: the answer that it takes off them.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::Answer;
use crate::pieces::Pieces;
use crate::sorted::{self, LINES_MAX};

/// Answers once it has been asked.
struct Socket<'b> {
    answers: Pieces<'b>,
    asked: bool,
}

impl Read for Socket<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if !socket.asked {
            return Poll::Pending;
        }
        socket.answers.next(buf.remaining()).map(|piece| {
            buf.put_slice(piece);
            Ok(())
        })
    }
}

impl Write for Socket<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().asked = true;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The answer to a request with this method, if hyper sees one.
pub fn read(answers: Pieces<'_>, method: &Method) -> Option<Answer> {
    let steps = 16 * answers.left().len() + 1000;
    let mut cx = Context::from_waker(Waker::noop());
    let socket = Socket { answers, asked: false };
    let mut shaking = pin!(http1::Builder::new().max_headers(LINES_MAX).handshake(socket));
    let Poll::Ready(Ok((sender, connection))) = shaking.as_mut().poll(&mut cx) else {
        panic!("there is nothing to wait for")
    };
    let (mut connection, mut asking) = (pin!(connection), pin!(ask(sender, method.clone())));
    let mut is_over = false;
    for _ in 0..steps {
        if let Poll::Ready(answer) = asking.as_mut().poll(&mut cx) {
            return answer;
        }
        is_over = is_over || connection.as_mut().poll(&mut cx).is_ready();
    }
    panic!("hyper comes to no end")
}

async fn ask(mut sender: SendRequest<Empty<Bytes>>, method: Method) -> Option<Answer> {
    let request = Request::builder().method(method).uri("/").header("host", "a").body(Empty::new()).ok()?;
    let (head, mut body) = sender.send_request(request).await.ok()?.into_parts();
    let mut answer = Answer {
        status: head.status.as_u16(),
        http10: head.version == Version::HTTP_10,
        lines: sorted::map(&head.headers),
        body: Vec::new(),
        is_whole: false,
        trailers: Vec::new(),
    };
    loop {
        match body.frame().await {
            None => {
                answer.is_whole = true;
                return Some(answer);
            }
            Some(Err(_)) => return Some(answer),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => answer.body.extend_from_slice(&data),
                Err(frame) => answer.trailers = frame.into_trailers().map(|all| sorted::map(&all)).unwrap_or_default(),
            },
        }
    }
}
