//! What is wanted of the wire beyond what today's gate does, each with what it does instead.

use crate::client::request;
use crate::codec_wire::{ANY, GET, Made, made_of_the_last};
use crate::upstream::{Reply, Upstream};
use crate::world::{Plan, World};

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

/// A name may come back later on. The RFC lets lines of other names change places, but what is kept line by line is
/// easier to promise. Today the lines of one name are brought together.
#[test]
fn p8_lines_stay_in_their_places_when_a_name_comes_again() {
    let world = World::start();
    let lines = ["X-A: 1", "X-B: 2", "x-a: 3", "X-C: 4", "X-b: 5", "X-A: 6"];
    world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n")));
    let answer = world.ask(request(GET, &lines, ""));
    assert_eq!(world.upstream.only().lines()[1..], lines);
    let got: Vec<&str> = answer.head.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("x-")).collect();
    assert_eq!(got[..6], lines);
}

/// Today it is moved behind the others.
#[test]
fn p8_a_length_of_nought_stays_in_its_place() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\nB: 2\r\n\r\n");
    let answer = world.ask(request(GET, &[], ""));
    assert_eq!(answer.head.split("\r\n").collect::<Vec<_>>()[1..4], ["A: 1", "Content-Length: 0", "B: 2"]);
}

/// A number has an end. Today noughts before it are read as long as they come.
#[test]
fn p12_noughts_before_a_chunk_size_are_bounded() {
    let body = format!("{}2\r\n{{}}\r\n0\r\n\r\n", "0".repeat(1 << 20));
    let world = World::start();
    world.upstream.will_say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let made = made_of_the_last(&mut world.client(), GET);
    assert!(matches!(made, Made::Part | Made::Whole(502, _)), "{made:?}");
    let mut client = world.client();
    client.send(request(ANY, &["Transfer-Encoding: chunked"], ""));
    client.try_send(body).expect("it is taken off the wire");
    assert_eq!(client.answer().status, 400);
    assert_eq!(world.upstream.seen().len(), 1);
}

/// A method is a token, and a `#` may stand in one (RFC 9110 §5.6.2). Today it is taken for one in the target.
#[test]
fn p8_a_hash_in_a_method_is_no_fragment() {
    let seen = World::start().forwarded(request("A#B /api/v9/x", &[], ""));
    assert_eq!(seen.line(), "A#B /v9/x HTTP/1.1");
}

/// A service says why it will not take an upload, and leaves, which breaks what is still being written: what it said is
/// what the caller has to hear.
#[test]
fn p8_an_early_answer_is_not_lost_when_its_service_leaves() {
    let upstream = Upstream::serving(|connection| {
        connection.head();
        connection.write("HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!");
    });
    let world = World::before(upstream, Plan::default());
    for framing in ["Content-Length: 5000008", "Transfer-Encoding: chunked"] {
        for _ in 0..10 {
            let mut client = world.client();
            client.send(request(ANY, &[framing], "4c4b40\r\n"));
            client.try_send(vec![b'x'; 5_000_000]).expect("the upload is taken off the wire");
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (413, "no!".to_owned()), "{}", answer.head);
        }
    }
}

/// A `Host` that is no host and port is a bad request (RFC 9112 §3.2). Today any text is taken.
#[test]
fn p9_a_host_that_is_none_is_refused() {
    let world = World::start();
    let get = |host: &str| format!("GET /api/v9/x HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["gate", "gate:80", "gate:", "[::1]:80", "127.0.0.1", "a_b.example", "a%20b"] {
        assert_eq!(world.ask(get(host)).status, 200, "{host:?}");
    }
    for host in ["a b", "a\tb", "a/b", "user@gate", "[::1", "a:b", "a:80:80", "a#b", "a?b", "a\\b", "a\"b", "\u{e9}"] {
        assert_eq!(world.ask(get(host)).status, 400, "{host:?}");
    }
    assert_eq!(world.upstream.seen().len(), 7);
}

/// What is asked of another protocol is not asked of this service (RFC 9110 §7.4). Today the scheme is not looked at.
#[test]
fn p9_a_target_of_another_scheme_is_refused() {
    let world = World::start();
    for scheme in ["ftp", "ws", "javascript", "file"] {
        let answer = world.ask(request(&format!("GET {scheme}://gate/api/v9/x"), &[], ""));
        assert_eq!(answer.status, 400, "{scheme}: {}", answer.head);
    }
    assert_eq!(world.upstream.seen().len(), 0);
}
