//! Parts of a message that no length announces: each of them has a bound, in both directions (P12).

use crate::client::{eventually, latin1, request};
use crate::codec_wire::{ANY, GET, Made, assert_over, made_of_the_last};
use crate::upstream::{Connection, Upstream};
use crate::world::{Plan, World};

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Extensions and trailers, each far longer than anybody needs.
fn endless() -> [(&'static str, String); 4] {
    let mega = 1 << 20;
    [
        ("one extension", format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(mega))),
        (
            "an extension for each of many chunks",
            format!("{}0\r\n\r\n", format!("1;{}\r\n!\r\n", "x".repeat(1000)).repeat(1000)),
        ),
        ("one trailer", format!("2\r\n{{}}\r\n0\r\nX: {}\r\n\r\n", "x".repeat(mega))),
        ("many trailers", format!("2\r\n{{}}\r\n0\r\n{}\r\n", "X: y\r\n".repeat(mega / 6))),
    ]
}

#[test]
fn p12_what_stands_between_the_chunks_of_a_request_is_bounded() {
    for (what, body) in endless() {
        let world = World::start();
        let mut client = world.client();
        client.send(request(ANY, &[CHUNKED], ""));
        client.try_send(body + &request("GET /api/v9/behind", &[], "")).expect("it is taken off the wire");
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{what}: {}", answer.head);
        assert_over(&mut client, what);
        assert!(world.upstream.seen().is_empty(), "{what}");
        assert!(!latin1(&world.upstream.bytes(0)).contains("behind"), "{what}");
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

#[test]
fn p12_what_stands_between_the_chunks_of_an_answer_is_bounded() {
    for (what, body) in endless() {
        let world = World::start();
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{CHUNKED}\r\n\r\n{body}"));
        let made = made_of_the_last(&mut world.client(), GET);
        assert!(matches!(made, Made::Part | Made::Whole(502, _)), "{what}: {made:?}");
        assert_eq!(world.forwarded(request(GET, &[], "")).connection, 1, "{what}");
    }
}

/// A service that always announces an answer and never gives one has not answered.
#[test]
fn p12_interim_answers_do_not_go_on_for_ever() {
    let upstream = Upstream::serving(|connection: &mut Connection| {
        connection.request();
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        while std::io::Write::write_all(&mut connection.socket, interim.as_bytes()).is_ok() {}
    });
    let world = World::before(upstream, Plan { limits: "response_timeout = \"500ms\"", ..Plan::default() });
    let mut client = world.client();
    client.send(request(GET, &[], ""));
    let mut answer = client.answer();
    while answer.status < 200 {
        answer = client.answer();
    }
    assert!(matches!(answer.status, 502 | 504), "{}", answer.head);
    eventually("the service's connection has ended", || world.upstream.open() == 0);
}
