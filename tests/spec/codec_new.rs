//! What is wanted of the wire beyond what today's gate does, each with what it does instead.

use crate::client::request;
use crate::codec_wire::{ANY, GET, Made, made_of_the_last};
use crate::upstream::Reply;
use crate::world::World;

/// Today such a connection is thrown away, since the body's end behind its trailers is not noticed.
#[test]
fn p8_a_request_with_trailers_does_not_cost_its_connection() {
    let world = World::start();
    let mut client = world.client();
    let sent = request(ANY, &["Trailer: X-Sum", "Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\nX-Sum: 9\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(client.ask(&sent).status, 200);
        assert_eq!(client.ask(request(GET, &[], "")).status, 200);
    }
    assert_eq!((world.upstream.saw(6).len(), world.upstream.connections()), (6, 1));
}

/// The same the other way, announced or not.
#[test]
fn p8_an_answer_with_trailers_does_not_cost_its_connection() {
    let world = World::start();
    let mut client = world.client();
    for trailer in ["X: y", "Trailer: X-Sum"] {
        let head = format!("HTTP/1.1 200 OK\r\n{trailer}\r\nTransfer-Encoding: chunked\r\n\r\n");
        world.upstream.will_say(format!("{head}2\r\n{{}}\r\n0\r\nX-Sum: 9\r\n\r\n"));
        assert_eq!(client.ask(request(GET, &["TE: trailers", "Connection: TE"], "")).text(), "{}");
    }
    assert_eq!(client.ask(request(GET, &[], "")).status, 200);
    assert_eq!(world.upstream.connections(), 1);
}

/// An answer without a length ends with the connection, so the answer must not say that the connection goes on. Today it
/// says so to a caller that has asked for it, and then closes.
#[test]
fn p8_an_http_1_0_caller_is_not_promised_a_connection_that_ends() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let answer = world.ask(request(GET, &["Connection: keep-alive"], "").replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    assert!(!answer.values("connection").concat().eq_ignore_ascii_case("keep-alive"), "{}", answer.head);
}

/// A list of lengths is none: it is made one, or refused (RFC 9112 §6.3), since readers take it for this or that. Today
/// the line goes on as it is.
#[test]
fn p9_a_list_of_lengths_in_an_answer_is_not_passed_on() {
    for lengths in ["5, 5", "5,5", "5,"] {
        let world = World::start();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {lengths}\r\n\r\nhello");
        world.upstream.will(Reply::ThenClose(answer.into_bytes()));
        let made = made_of_the_last(&mut world.client(), GET);
        let once = made == Made::Whole(200, "hello".to_owned());
        assert!(once || matches!(made, Made::Whole(502, _)), "{lengths:?}: {made:?}");
    }
}
