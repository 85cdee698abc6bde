//! A WebSocket's handshake (RFC 6455 §4.2.1), looked at before it is judged: what no server would accept goes no further.
//!
//! A server that does not take it for a handshake may answer it as the ordinary call that it then is, and would look for
//! the label in the headers, where it is not.

use http::Version;

use super::framing::BodyLength;
use super::governed_headers::Gathered;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::websocket::{accept_of, is_key};
use crate::http1::{Head, Lines};

const KEY: &str = "sec-websocket-key";
const VERSION: &str = "sec-websocket-version";

/// What the service must say to accept it.
///
/// # Errors
/// `HeaderAmbiguous` where two readers could take it for something else: a request with a body, without a key, of another
/// version, or one that takes a part of the handshake away from it.
pub(super) fn accept(head: &Head, length: BodyLength, gathered: &Gathered<'_>) -> Result<String, Refusal> {
    let no_handshake = Refusal::new(
        Code::HeaderAmbiguous,
        "The request asks for a WebSocket, but is not written as its handshake has to be",
    );
    // A length of nought is no body, however it is written: Java's client says so.
    let bare = matches!(length, BodyLength::None | BodyLength::Known(0)) && head.version == Version::HTTP_11;
    let whole = !gathered.nominated.iter().any(|name| *name == KEY || *name == VERSION);
    match (only(&head.lines, KEY), only(&head.lines, VERSION)) {
        (Some(key), Some(b"13")) if bare && whole && is_key(key) => Ok(accept_of(key)),
        _ => Err(no_handshake),
    }
}

/// The value of the one line of this name.
fn only<'h>(lines: &'h Lines, name: &'static str) -> Option<&'h [u8]> {
    let mut values = lines.all(name);
    values.next().filter(|_| values.next().is_none())
}
