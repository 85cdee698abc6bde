//! The WebSockets of Speech to Text and Text to Speech: one handshake, then the dialogue that their documentation shows.
//!
//! The frames are tungstenite's: the gate's own counting of frames could not be checked by itself.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::catalogue::TRANSCRIPT;
use crate::keeper::Keeper;
use crate::{Kind, wav};

/// What one message may weigh; Speech to Text closes with 1009 above it.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A request to open a WebSocket (RFC 6455 §4.2.1).
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
    socket: OnUpgrade,
}

impl Handshake {
    /// The handshake that a request is, if it is one.
    pub(crate) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        let is = |name: header::HeaderName, wanted: &[u8]| {
            request.headers().get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(wanted))
        };
        let is_one = request.method() == Method::GET
            && is(header::UPGRADE, b"websocket")
            && is(header::SEC_WEBSOCKET_VERSION, b"13");
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).filter(|_| is_one)?;
        let accept = derive_accept_key(key.as_bytes());
        Some(Self { accept, socket: hyper::upgrade::on(request) })
    }

    /// The value of `Sec-WebSocket-Accept`, and the dialogue that begins when it was said.
    pub(crate) fn accept(self, keeper: Keeper) -> (String, Dialogue) {
        (self.accept, Dialogue { socket: self.socket, keeper })
    }
}

/// A WebSocket that was accepted.
#[derive(Debug)]
pub(crate) struct Dialogue {
    socket: OnUpgrade,
    keeper: Keeper,
}

/// What a message leads to.
enum Next {
    Say(Vec<Message>),
    Close(CloseCode, Vec<Message>),
}

impl Dialogue {
    /// Speaks until either side closes. What came by then is kept, however it ends.
    pub(crate) async fn hold(self) {
        let Self { socket, mut keeper } = self;
        let Ok(upgraded) = socket.await else { return };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let is_complete = converse(&mut socket, &mut keeper).await;
        // Whoever sees the connection end may rely on it that nothing is stored later.
        keeper.end(is_complete);
        drop(socket);
    }
}

/// Gives whether it ended as it should: with a goodbye from both sides.
async fn converse(socket: &mut WebSocketStream<TokioIo<Upgraded>>, keeper: &mut Keeper) -> bool {
    let mut is_listening = false;
    while let Some(message) = socket.next().await {
        let next = match message {
            Ok(Message::Text(text)) if keeper.kind == Kind::TextToSpeech => speak(text.as_str(), keeper),
            Ok(Message::Text(text)) => obey(text.as_str(), &mut is_listening, keeper),
            Ok(Message::Binary(data)) => listen(&data, is_listening, keeper),
            // Pings and the peer's goodbye are answered by the socket itself.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => continue,
            Err(Error::Capacity(_)) => Next::Close(CloseCode::Size, vec![]),
            Err(_) => return false,
        };
        let (messages, code) = match next {
            Next::Say(messages) => (messages, None),
            Next::Close(code, messages) => (messages, Some(code)),
        };
        for message in messages {
            if socket.send(message).await.is_err() {
                return false;
            }
        }
        if let Some(code) = code
            && socket.close(Some(CloseFrame { code, reason: "".into() })).await.is_err()
        {
            return false;
        }
    }
    true
}

/// A text message to Speech to Text: an order.
fn obey(text: &str, is_listening: &mut bool, keeper: &mut Keeper) -> Next {
    let order: Value = serde_json::from_str(text).unwrap_or_default();
    match order.get("action").and_then(Value::as_str) {
        Some("start") => {
            *is_listening = true;
            Next::Say(vec![json(&listening())])
        }
        Some("stop") if *is_listening => heard(keeper),
        _ => error("unable to understand the message"),
    }
}

/// A binary message: sound for Speech to Text, of which an empty one is the end.
fn listen(sound: &Bytes, is_listening: bool, keeper: &mut Keeper) -> Next {
    match (is_listening, sound.is_empty()) {
        (false, _) => error("a start message must come before the audio"),
        (true, true) => heard(keeper),
        (true, false) => {
            keeper.take(sound);
            Next::Say(vec![])
        }
    }
}

/// The sound has ended: results, and then it listens again.
fn heard(keeper: &mut Keeper) -> Next {
    keeper.store();
    Next::Say(vec![Message::text(TRANSCRIPT), json(&listening())])
}

/// The one text message to Text to Speech: what is to be said, and as which kind of sound.
fn speak(text: &str, keeper: &mut Keeper) -> Next {
    let order: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(words) = order.get("text").and_then(Value::as_str) else { return error("the text is missing") };
    keeper.take(words.as_bytes());
    keeper.store();
    let streams = json!({ "binary_streams": [{ "content_type": "audio/wav" }] });
    Next::Close(CloseCode::Normal, vec![json(&streams), Message::binary(wav::sound())])
}

fn listening() -> Value {
    json!({ "state": "listening" })
}

fn json(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// A WebSocket's way to say that something is wrong.
fn error(sentence: &str) -> Next {
    Next::Close(CloseCode::Error, vec![json(&json!({ "error": sentence }))])
}
