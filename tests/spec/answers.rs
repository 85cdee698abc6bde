//! Answers of every shape come through with the framing that the caller understands, and with no other (P8).

use std::sync::mpsc;

use crate::client::{PATIENCE, eventually, find, request};
use crate::upstream::{Connection, Reply, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn plain() -> String {
    request(PLAIN, &[], "")
}

#[test]
fn p8_a_head_gets_the_length_and_no_body() {
    let world = World::start();
    for lines in ["Content-Length: 1234", "Transfer-Encoding: chunked", "X: y"] {
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n"));
    }
    let mut client = world.client();
    let lengths: Vec<Vec<String>> = (0..3)
        .map(|_| {
            client.send(request("HEAD /api/v1/workspaces", &[], ""));
            client.answer_to("HEAD").values("content-length")
        })
        .collect();
    assert_eq!(lengths[0], ["1234"]);
    assert!(lengths[1].is_empty() && lengths[2].is_empty(), "{lengths:?}");
    assert_eq!(client.ask(plain()).text(), "{}", "the connection is in step");
    assert_eq!(world.upstream.seen()[0].line(), "HEAD /v1/workspaces HTTP/1.1");
}

#[test]
fn p8_answers_without_a_body_have_none() {
    let world = World::start();
    for head in [
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    ] {
        world.upstream.will_say(format!("{head}\r\n"));
    }
    let mut client = world.client();
    let statuses: Vec<u16> = (0..4).map(|_| client.ask(plain()).status).collect();
    assert_eq!(statuses, [204, 304, 200, 200]);
    assert_eq!(world.upstream.connections(), 1);
}

#[test]
fn p8_a_304_may_say_how_long_it_would_have_been() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
    let mut client = world.client();
    let answer = client.ask(plain());
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(client.ask(plain()).status, 200);
}

#[test]
fn p8_a_redirect_is_the_callers_to_follow() {
    let world = World::start();
    world
        .upstream
        .will_say("HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere/x\r\nContent-Length: 0\r\n\r\n");
    let answer = world.ask(plain());
    assert_eq!((answer.status, answer.value("location")), (307, "https://elsewhere/x".to_owned()));
    assert_eq!(world.upstream.seen().len(), 1);
}

#[test]
fn p8_refusals_of_the_service_are_its_own() {
    let world = World::start();
    for status in [400, 401, 403, 404, 429, 500, 502, 503] {
        world
            .upstream
            .will_say(format!("HTTP/1.1 {status} Its Own\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nown!"));
        let answer = world.ask(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}"));
        assert_eq!((answer.status, answer.reason.as_str(), answer.text()), (status, "Its Own", "own!".to_owned()));
        assert_eq!(answer.values("forgetgate-refusal"), Vec::<String>::new());
    }
}

#[test]
fn p8_interim_answers_are_not_taken_for_the_answer() {
    let world = World::start();
    world.upstream.will_say(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = world.ask(plain());
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
}

#[test]
fn p8_an_answer_without_a_length_is_framed_anew() {
    let world = World::start();
    for version in ["1.1", "1.0"] {
        world.upstream.will(Reply::ThenClose(format!("HTTP/{version} 200 OK\r\nX: y\r\n\r\nto the end").into_bytes()));
        let mut client = world.client();
        let answer = client.ask(plain());
        assert_eq!(
            (answer.text(), answer.values("transfer-encoding")),
            ("to the end".to_owned(), vec!["chunked".to_owned()])
        );
        assert_eq!(client.ask(plain()).status, 200, "the caller's connection goes on");
    }
}

#[test]
fn p8_an_http_1_0_caller_gets_no_chunks() {
    let world = World::start();
    let old = "GET /api/v1/workspaces HTTP/1.0\r\nHost: gate\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    world.upstream.will_say(chunked);
    let mut client = world.client();
    let answer = client.ask(old);
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{}", answer.head);
    assert_eq!((answer.text(), answer.values("transfer-encoding")), ("ok".to_owned(), vec![]));
    assert!(world.upstream.only().line().ends_with("HTTP/1.1"), "{}", world.upstream.only().line());
}

#[test]
fn p8_an_http_1_0_caller_may_keep_its_connection() {
    let world = World::start();
    let mut client = world.client();
    let old = "POST /api/v9/x HTTP/1.0\r\nHost: gate\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}";
    for _ in 0..2 {
        let answer = client.ask(old);
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
        assert!(answer.value("connection").eq_ignore_ascii_case("keep-alive"), "{}", answer.head);
    }
    assert!(world.upstream.saw(2).iter().all(|seen| seen.body == b"{}"));
}

/// Both framings at once from a service: the chunks count (RFC 9112 §6.3), and only one is passed on.
#[test]
fn p9_an_answer_with_two_framings_gets_one() {
    let world = World::start();
    for length in [1, 5, 50] {
        let framing = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        let mut client = world.client();
        let answer = client.ask(plain());
        assert_eq!((answer.status, answer.text(), answer.whole), (200, "hello".to_owned(), true), "{}", answer.head);
        assert_eq!(client.ask(plain()).text(), "{}");
    }
}

#[test]
fn p9_an_answer_with_contradicting_lengths_is_none() {
    for lines in ["Content-Length: 2\r\nContent-Length: 3", "Content-Length: x", "Content-Length: -1"] {
        let world = World::start();
        world.upstream.will(Reply::ThenClose(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nabc").into_bytes()));
        world.ask(plain()).assert_refused(502, "upstream_unreachable");
    }
}

/// Bytes behind an answer are nobody's: another caller must not be given them.
#[test]
fn p9_what_a_service_sends_unasked_reaches_nobody() {
    let world = World::start();
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for _ in 0..20 {
        world.upstream.will_say(format!("{}{evil}", crate::upstream::OK));
        let mut client = world.client();
        for _ in 0..2 {
            assert_eq!(client.ask(plain()).text(), "{}");
        }
        assert_eq!(world.ask(plain()).text(), "{}");
    }
}

#[test]
fn p8_the_first_bytes_of_an_answer_arrive_before_its_last_are_sent() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::serving(move |connection| {
        connection.request().unwrap();
        connection.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in ["one", "two", "three"] {
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            connection.write(format!("{:x}\r\n{part}\r\n", part.len()));
        }
        connection.write("0\r\n\r\n");
        connection.until_closed();
    });
    let world = World::before(upstream, Plan::default());
    let mut client = world.client();
    client.send(plain());
    client.head();
    for part in ["one", "two", "three"] {
        go.send(()).unwrap();
        client.read_until(part);
    }
    client.read_until("0\r\n\r\n");
}

#[test]
fn p8_each_piece_of_a_body_is_passed_on_when_it_comes() {
    let world = World::before(Upstream::serving(Connection::until_closed), Plan::default());
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Transfer-Encoding: chunked"], ""));
    for part in ["first", "second", "third"] {
        client.send(format!("{:x}\r\n{part}\r\n", part.len()));
        eventually("the piece has arrived", || find(&world.upstream.bytes(0), part.as_bytes()).is_some());
    }
}
