//! The first message of a TLS handshake, looked at before anybody answers it: it says which host is meant.
//!
//! What was looked at stays where it was, for whoever answers.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::ready;

use rustls::server::Acceptor;

use crate::config::canonical_host;
use crate::http1::BufferedIo;
use crate::net::Stream;

/// The first byte of a TLS connection: a handshake record (RFC 8446 §5.1). No method of HTTP begins with it.
pub(super) const HANDSHAKE: u8 = 22;

/// The longest first message that is waited for. With keys for a quantum age it is about 2 KiB.
const HELLO_BYTES_MAX: usize = 16 * 1024;

/// A fatal alert, ready to be written (RFC 8446 §6.2): the name is not one for which there is something here.
pub(super) const UNRECOGNISED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// What the first message said.
#[derive(Debug)]
pub(super) struct Hello {
    /// The host that is meant, in its one spelling. A client that knows only an address names none.
    pub(super) name: Option<String>,
}

/// Waits for the first byte. `None` when there will be none.
pub(super) async fn first_byte(link: &mut BufferedIo<Stream>) -> Option<u8> {
    if link.input.is_empty() {
        poll_fn(|cx| link.poll_fill(cx, HELLO_BYTES_MAX)).await.ok()?;
    }
    link.input.data().first().copied()
}

/// Waits for the first message. `None` if what comes is none, or too long a one.
pub(super) async fn read(link: &mut BufferedIo<Stream>) -> Option<Hello> {
    let mut acceptor = Acceptor::default();
    let mut looked_at = 0;
    poll_fn(|cx| {
        loop {
            let mut news = link.input.data().get(looked_at..).unwrap_or_default();
            looked_at = link.input.len();
            while !news.is_empty() {
                if !matches!(acceptor.read_tls(&mut news), Ok(1..)) {
                    return None.into();
                }
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let name = hello.server_name().and_then(canonical_host).map(Cow::into_owned);
                    return Some(Hello { name }).into();
                }
                Ok(None) if looked_at < HELLO_BYTES_MAX => {}
                Ok(None) | Err(_) => return None.into(),
            }
            match ready!(link.poll_fill(cx, HELLO_BYTES_MAX)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None.into(),
            }
        }
    })
    .await
}
