//! Callers that ask before they send a body (RFC 9110 §10.1.1): told to go on once, and only when that is meant (P8).

use crate::client::{latin1, request};
use crate::codec_wire::{ANY, byte_by_byte, echoing, in_pieces};
use crate::world::{LABEL, MESSAGE, World};

const EXPECT: &str = "Expect: 100-continue";

#[test]
fn p8_a_body_may_wait_for_the_word_in_either_framing_again_and_again() {
    let world = echoing();
    let mut client = world.client();
    let bodies = [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")];
    for (framing, body) in bodies.iter().chain(&bodies) {
        client.send(request(ANY, &[framing, EXPECT], ""));
        assert_eq!(client.head(), "HTTP/1.1 100 Continue");
        assert!(in_pieces(&client.socket, byte_by_byte(body.as_bytes())));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, "/v9/x hello".to_owned()));
    }
    assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (4, 1));
    assert!(world.upstream.seen().iter().all(|seen| seen.values("expect").is_empty()));
}

/// The word comes before the answer and never behind it, where it would be read as the answer to the next request.
#[test]
fn p9_the_word_to_go_on_is_never_a_further_answer() {
    let world = echoing();
    let sent = request(ANY, &["Content-Length: 5", EXPECT], "hello");
    let mut client = world.client();
    client.send(sent.repeat(3));
    let answers = latin1(&client_answers(&mut client, 3));
    assert!(answers.ends_with("/v9/x hello"), "{answers}");
    // There is nobody to be told what to do about a body that is not there.
    for framing in ["A: b", "Content-Length: 0"] {
        let mut client = world.client();
        let mut answer = client.ask(request(ANY, &[framing, EXPECT], ""));
        if answer.status == 100 {
            answer = client.answer();
        }
        assert_eq!((answer.status, answer.text()), (200, "/v9/x ".to_owned()));
        assert_eq!(client.ask(request(ANY, &["Content-Length: 2"], "{}")).text(), "/v9/x {}");
    }
}

/// Reads so many final answers; all that came with them is given back.
fn client_answers(client: &mut crate::client::Client, count: usize) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..count {
        text.push_str(&client.read_until("/v9/x hello"));
    }
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), count, "{text}");
    assert!(text.matches("HTTP/1.1 ").count() <= 2 * count, "{text}");
    client.finish_sending();
    [text.into_bytes(), client.rest()].concat()
}

/// HTTP/1.0 knows no interim answers: such a caller would take one for the answer.
#[test]
fn p9_an_http_1_0_caller_is_not_told_to_continue() {
    let world = echoing();
    let sent = request(ANY, &["Content-Length: 5", EXPECT, "Connection: keep-alive"], "hello");
    let mut client = world.client();
    for _ in 0..2 {
        let answer = client.ask(sent.replace("HTTP/1.1", "HTTP/1.0"));
        assert_eq!((answer.status, answer.text()), (200, "/v9/x hello".to_owned()), "{}", answer.head);
    }
}

/// An expectation that nobody knows is refused as such or let be, as the RFC allows; the framing is the same either way.
#[test]
fn p8_other_expectations_change_no_framing() {
    let world = World::start();
    for value in ["200-ok", "100-continue-please", "\"100-continue\"", ""] {
        let mut client = world.client();
        let expect = format!("Expect: {value}");
        let answer = client.ask(request(ANY, &["Content-Length: 5", &expect], "hello"));
        assert!(matches!(answer.status, 200 | 417), "{value:?}: {}", answer.head);
        if answer.values("connection") != ["close"] {
            assert_eq!(client.ask(request(ANY, &["Content-Length: 2"], "{}")).status, 200);
        }
    }
    assert!(world.upstream.seen().iter().all(|seen| seen.body == b"hello" || seen.body == b"{}"));
}

/// Refused before it was told to go on, a caller may send its body all the same, or not, or send the next request: none
/// of this is told apart, so none of it is served.
#[test]
fn p9_behind_a_refused_expectation_nothing_is_served() {
    let labelled = request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}");
    for framing in [format!("Content-Length: {}", labelled.len()), "Transfer-Encoding: chunked".to_owned()] {
        let world = World::start();
        let mut client = world.client();
        client.send(request(MESSAGE, &[&framing, EXPECT], ""));
        let answer = client.answer();
        answer.assert_refused(400, "label_missing");
        assert_eq!(answer.value("connection"), "close");
        drop(client.try_send(&labelled));
        crate::codec_wire::assert_over(&mut client, &framing);
        world.assert_untouched();
    }
}
