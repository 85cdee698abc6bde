//! The stand-ins' WebSockets, spoken to by a client that is not the gate's.

use std::net::TcpStream;

use forgetgate_stand_ins::{Kind, Options, Running};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::support::{customers, held, started, started_with};
use crate::wire::{request, send};

const LABEL: &str = "x-watson-metadata=customer_id%3Dann&x-watson-learning-opt-out=true";

/// The socket, or the status of the answer that refused it.
fn open(service: &Running, target: &str, lines: &[(&'static str, &'static str)]) -> Result<WebSocket<TcpStream>, u16> {
    let mut request = format!("ws://{}{target}", service.addr).into_client_request().expect("a proper target");
    for (name, value) in lines {
        request.headers_mut().insert(*name, value.parse().expect("a proper value"));
    }
    match client(request, TcpStream::connect(service.addr).expect("a service that listens")) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

fn say(socket: &mut WebSocket<TcpStream>, order: &Value) {
    socket.send(Message::text(order.to_string())).expect("a service that reads");
}

fn hear(socket: &mut WebSocket<TcpStream>) -> Value {
    let message = socket.read().expect("a service that answers");
    message.to_text().ok().and_then(|text| serde_json::from_str(text).ok()).expect("a message of JSON")
}

/// Reads to the goodbye; its code.
fn goodbye(socket: &mut WebSocket<TcpStream>) -> CloseCode {
    loop {
        if let Message::Close(frame) = socket.read().expect("a goodbye comes") {
            return frame.expect("it says why").code;
        }
    }
}

fn dictate(socket: &mut WebSocket<TcpStream>, sound: &[&[u8]]) {
    say(socket, &json!({ "action": "start", "content-type": "audio/wav" }));
    assert_eq!(hear(socket), json!({ "state": "listening" }));
    for piece in sound {
        socket.send(Message::binary(piece.to_vec())).expect("a service that reads");
    }
    say(socket, &json!({ "action": "stop" }));
    assert_eq!(hear(socket).pointer("/results/0/alternatives/0/transcript"), Some(&json!("hello ")));
    assert_eq!(hear(socket), json!({ "state": "listening" }));
}

#[test]
fn each_dictation_is_kept_under_the_label_of_the_handshake() {
    let speech = started(Kind::SpeechToText);
    let mut socket = open(&speech, &format!("/api/v1/recognize?{LABEL}"), &[]).unwrap();
    dictate(&mut socket, &[b"one", b"two"]);
    dictate(&mut socket, &[b"three"]);
    assert_eq!(customers(&speech), held(&[("ann", 2)]));
    assert!(speech.rows().iter().all(|row| row.opted_out && row.what == "audio"));
    assert_eq!(speech.rows().iter().map(|row| row.bytes).collect::<Vec<_>>(), [6, 5]);
    let seen = speech.seen();
    assert_eq!((seen.len(), seen[0].answered, seen[0].body_start.as_slice()), (1, Some(101), &b"onetwothree"[..]));

    send(speech.addr, request("DELETE /v1/user_data?customer_id=ann", &[], b""));
    assert_eq!(customers(&speech), []);
}

/// Only the query is documented: a label that a gate leaves in a header labels nothing.
#[test]
fn a_label_in_a_header_of_the_handshake_counts_for_nothing() {
    let speech = started(Kind::SpeechToText);
    let lines = [("x-watson-metadata", "customer_id=ann"), ("x-watson-learning-opt-out", "true")];
    let mut socket = open(&speech, "/v1/recognize", &lines).unwrap();
    dictate(&mut socket, &[b"one"]);
    assert_eq!(customers(&speech), [(None, 1)]);
    assert!(!speech.rows()[0].opted_out);
}

/// What came over a socket that broke is kept, and an erasure must reach it too.
#[test]
fn sound_without_an_end_is_kept_when_the_socket_ends() {
    let speech = started(Kind::SpeechToText);
    let mut socket = open(&speech, &format!("/v1/recognize?{LABEL}"), &[]).unwrap();
    say(&mut socket, &json!({ "action": "start" }));
    assert_eq!(hear(&mut socket), json!({ "state": "listening" }));
    socket.send(Message::binary(b"one".to_vec())).unwrap();
    socket.close(None).unwrap();
    assert!(socket.read().is_ok_and(|message| message.is_close()));
    assert!(socket.read().is_err(), "the service closes the connection");
    assert_eq!(customers(&speech), held(&[("ann", 1)]));
    assert!(speech.seen()[0].complete);
}

#[test]
fn text_is_spoken_and_kept() {
    let voice = started(Kind::TextToSpeech);
    let mut socket = open(&voice, &format!("/v1/synthesize?{LABEL}"), &[]).unwrap();
    say(&mut socket, &json!({ "text": "hello", "accept": "audio/wav" }));
    assert_eq!(hear(&mut socket)["binary_streams"][0]["content_type"], "audio/wav");
    assert!(socket.read().unwrap().into_data().starts_with(b"RIFF"));
    assert_eq!(goodbye(&mut socket), CloseCode::Normal);
    assert_eq!(customers(&voice), held(&[("ann", 1)]));
}

#[test]
fn what_is_out_of_order_ends_in_an_error() {
    let speech = started(Kind::SpeechToText);
    let wrong = [Message::binary(b"sound".to_vec()), Message::text("no JSON"), Message::text("{\"action\":\"stop\"}")];
    for message in wrong {
        let mut socket = open(&speech, "/v1/recognize", &[]).unwrap();
        socket.send(message).unwrap();
        assert!(hear(&mut socket)["error"].is_string());
        assert_eq!(goodbye(&mut socket), CloseCode::Error);
    }
    let mut socket = open(&speech, "/v1/recognize", &[]).unwrap();
    // Half of it is on its way when the service closes.
    drop(socket.send(Message::binary(vec![0; 4 * 1024 * 1024 + 1])));
    assert_eq!(goodbye(&mut socket), CloseCode::Size);
    assert_eq!(customers(&speech), []);
}

#[test]
fn handshakes_that_are_not_accepted_get_a_plain_answer() {
    let speech = started_with(Kind::SpeechToText, Options::basic("apikey", "KEY"));
    let mine = ("authorization", "Basic YXBpa2V5OktFWQ==");
    assert_eq!(open(&speech, "/v1/recognize", &[]).err(), Some(401));
    assert_eq!(open(&speech, "/v1/synthesize", &[mine]).err(), Some(501));
    let other = ["Upgrade: h2c", "Authorization: Basic YXBpa2V5OktFWQ=="];
    assert_eq!(send(speech.addr, request("GET /v1/recognize", &other, b"")).status, 501);
    speech.answer_calls_with(503, None);
    assert_eq!(open(&speech, "/v1/recognize", &[mine]).err(), Some(503));
    speech.answer_as_usual();
    assert!(open(&speech, "/v1/recognize", &[mine]).is_ok());
}

#[test]
fn a_service_that_goes_down_cuts_its_sockets() {
    let speech = started(Kind::SpeechToText);
    let mut socket = open(&speech, "/v1/recognize", &[]).unwrap();
    speech.go_down();
    assert!(socket.read().is_err());
}
