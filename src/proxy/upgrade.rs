//! A WebSocket's handshake (RFC 6455 §4.2.1), looked at before it is judged: what no server would accept goes no further.

use http::Version;

use super::framing::BodyLength;
use crate::domain::http1::Head;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::websocket::accept_of;

/// What the service must say to accept it.
///
/// # Errors
/// `HeaderAmbiguous` where two readers could take it for something else: a request with a body, or without a key.
pub(super) fn accept(head: &Head, length: BodyLength) -> Result<String, Refusal> {
    let no_handshake = Refusal::new(
        Code::HeaderAmbiguous,
        "The request asks for a WebSocket, but is not written as its handshake has to be",
    );
    let mut keys = head.lines.all("sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if length == BodyLength::None && head.version == Version::HTTP_11 => Ok(accept_of(key)),
        _ => Err(no_handshake),
    }
}
