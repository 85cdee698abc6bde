//! Which HTTP a connection carries where nothing was negotiated: told by its first bytes (RFC 9113 §3.4).

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::http1::BufferedIo;
use crate::listen::connection::{Serving, requests, watched};
use crate::net::Stream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a beginning behind which it can be no request of HTTP/1.1: `PRI` is kept from being a method.
const NO_OTHER: usize = b"PRI ".len();

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Http1,
    Http2,
    /// With neither.
    Neither,
}

/// Serves a connection in the HTTP that it begins with.
pub(in crate::listen) async fn sniff(mut link: Box<BufferedIo<Stream>>, serving: Box<Serving>) {
    serving.watch.fresh();
    match poll_fn(|cx| poll_begins(&mut link, &serving, cx)).await {
        Begins::Http1 => {
            let watch = Rc::clone(&serving.watch);
            watched(&watch, Box::pin(requests(link, serving))).await;
        }
        Begins::Http2 => {
            let (stream, read) = link.into_parts();
            super::serve(Stream::begun(read, stream), serving).await;
        }
        Begins::Neither => {}
    }
}

fn poll_begins(link: &mut BufferedIo<Stream>, serving: &Serving, cx: &mut Context<'_>) -> Poll<Begins> {
    serving.watch.woken_by(cx.waker());
    loop {
        if serving.watch.is_ending() {
            return Poll::Ready(Begins::Neither);
        }
        if let Some(begins) = begins(link.input.data()) {
            return Poll::Ready(begins);
        }
        match ready!(link.poll_fill(cx, usize::MAX)) {
            Ok(1..) => serving.watch.head_began(),
            Ok(0) | Err(_) => return Poll::Ready(Begins::Neither),
        }
    }
}

/// `None` while it may still be both.
fn begins(data: &[u8]) -> Option<Begins> {
    let same = data.iter().zip(PREFACE).take_while(|(came, expected)| came == expected).count();
    match same {
        _ if same == PREFACE.len() => Some(Begins::Http2),
        _ if same == data.len() => None,
        NO_OTHER.. => Some(Begins::Neither),
        _ => Some(Begins::Http1),
    }
}

#[cfg(test)]
mod tests {
    use super::{Begins, PREFACE, begins};

    #[test]
    fn p9_a_connection_is_what_its_first_bytes_say_and_half_a_preface_is_nothing() {
        for length in 0..PREFACE.len() {
            assert_eq!(begins(&PREFACE[..length]), None);
        }
        let told: [(&[u8], Begins); 6] = [
            (PREFACE, Begins::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Begins::Http2),
            (b"G", Begins::Http1),
            (b"PRIX / HTTP/1.1\r\n", Begins::Http1),
            (b"PRI / HTTP/1.1\r\n", Begins::Neither),
            (b"PRI * HTTP/2.0\r\n\r\nSX", Begins::Neither),
        ];
        for (data, expected) in told {
            assert_eq!(begins(data), Some(expected), "{}", String::from_utf8_lossy(data));
        }
    }
}
