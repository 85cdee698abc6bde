//! Answers of a service in every framing, in any pieces, good and bad: what the caller is given ends where the service
//! meant it to end, or is seen not to have ended (P8, P9).

use std::sync::{Mutex, mpsc};

use crate::client::{PATIENCE, latin1, request};
use crate::codec_wire::{ANY, GET, Made, Script, made_of_the_last};
use crate::upstream::{Reply, Upstream};
use crate::world::{Plan, World};

fn get() -> String {
    request(GET, &[], "")
}

/// The caller is told so, or sees that something is missing.
#[track_caller]
fn assert_no_answer(world: &World, about: &str) {
    let made = made_of_the_last(&mut world.client(), GET);
    assert!(matches!(made, Made::Part | Made::Whole(502, _)), "{about:?}: {made:?}");
}

#[test]
fn p8_an_answer_may_be_split_anywhere() {
    let answers = [
        ("HTTP/1.1 200 OK\r\nX-Odd: a\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n0003\r\nllo\r\n0\r\nX: y\r\n\r\n",
            200,
            "hello",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok", 201, "ok"),
        ("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 204 None\r\n\r\n", 204, ""),
        ("HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n", 304, ""),
        ("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, ""),
    ];
    let script = Script::default();
    let world = script.world();
    let mut client = world.client();
    for (bytes, status, body) in answers {
        for at in 1..bytes.len() {
            script.will_split(bytes.as_bytes(), at);
            let answer = client.ask(get());
            assert_eq!(
                (answer.status, answer.text().as_str(), answer.whole),
                (status, body, true),
                "at {at} of {bytes}"
            );
        }
    }
    let (chunked, ..) = answers[1];
    script.will(chunked.bytes().map(|byte| vec![byte]).collect());
    assert_eq!(client.ask(get()).text(), "hello", "byte by byte");
}

/// However many there are and whatever they say, an interim answer has no body and is not the answer.
#[test]
fn p8_no_interim_answer_is_taken_for_the_answer() {
    let world = World::start();
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let interim = [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n",
        "HTTP/1.1 199 Odd\r\nX: y\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nConnection: X-Odd\r\nX-Odd: 1\r\n\r\n",
    ];
    let mut client = world.client();
    for interim in interim {
        for count in [1, 2, 20] {
            for sent in [get(), request(ANY, &["Content-Length: 2"], "{}"), get().replace("1.1", "1.0")] {
                world.upstream.will_say(format!("{}{last}", interim.repeat(count)));
                let mut one = world.client();
                let client = if sent.contains("1.0") { &mut one } else { &mut client };
                client.send(sent);
                let mut answer = client.answer();
                while answer.status < 200 {
                    answer = client.answer();
                }
                assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()), "{count} of {interim}");
            }
        }
    }
    assert_eq!(world.upstream.connections(), 1);
}

/// What was only announced has not come.
#[test]
fn p8_an_interim_answer_with_nothing_behind_it_is_a_502() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 O"] {
        for reply in [Reply::ThenClose, Reply::ThenReset] {
            let world = World::start();
            world.upstream.will(reply(interim.as_bytes().to_vec()));
            let mut client = world.client();
            client.send(get());
            let mut answer = client.answer();
            while answer.status < 200 {
                answer = client.answer();
            }
            answer.assert_refused(502, "upstream_unreachable");
            assert_eq!(world.forwarded(get()).connection, 1);
        }
    }
}

/// No body whatever the head says (RFC 9112 §6.3), and so the next answer is the next answer.
#[test]
fn p8_answers_that_can_have_no_body_have_none_in_any_framing() {
    let framings = ["X: y", "Content-Length: 0", "Content-Length: 9", "Transfer-Encoding: chunked"];
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200), ("HEAD", 404), ("HEAD", 204), ("HEAD", 304)] {
        for framing in framings {
            let world = World::start();
            let mut client = world.client();
            for _ in 0..2 {
                world.upstream.will_say(format!("HTTP/1.1 {status} Such\r\n{framing}\r\n\r\n"));
                client.send(request(&format!("{method} /api/v9/x"), &[], ""));
                let answer = client.answer_to(method);
                assert_eq!(answer.status, status, "{method} {status} {framing}");
                assert!(status != 204 || answer.values("transfer-encoding").is_empty(), "{}", answer.head);
                assert_eq!(client.ask(get()).text(), "{}", "{method} {status} {framing}: out of step");
            }
            assert_eq!(world.upstream.seen().len(), 4);
        }
    }
}

/// A service that sends a body all the same: it is nobody's, and least of all the next caller's.
#[test]
fn p9_a_body_where_none_can_be_reaches_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let cases = [("HEAD", 200, "Content-Length: 42"), ("GET", 204, "X: y"), ("GET", 304, "Content-Length: 42")];
    for (method, status, framing) in cases {
        let world = World::start();
        for _ in 0..10 {
            world.upstream.will_say(format!("HTTP/1.1 {status} Such\r\n{framing}\r\n\r\n{evil}"));
            let mut client = world.client();
            client.send(request(&format!("{method} /api/v9/x"), &[], ""));
            assert_eq!(client.answer_to(method).status, status);
            assert_eq!(client.ask(get()).text(), "{}");
            assert_eq!(world.ask(get()).text(), "{}");
        }
    }
}

#[test]
fn p8_chunks_of_an_answer_may_be_spelt_in_many_ways() {
    let world = World::start();
    let mut client = world.client();
    for size in ["a", "A", "0a", "00000000000000A", "a;x", "a;x=\"q;r\"", "a ;x", "a ", "a;"] {
        world.upstream.will_say(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n0123456789\r\n1\r\n!\r\n00;z\r\nX-Sum: 1\r\n\r\n"
        ));
        let answer = client.ask(get());
        assert_eq!((answer.text().as_str(), answer.whole), ("0123456789!", true), "{size}");
        assert!(!answer.head.contains("X-Sum") && client.ask(get()).text() == "{}");
    }
}

/// To the end of the connection, in whatever sizes: the caller gets all of it and is told where it ends.
#[test]
fn p8_an_answer_to_the_end_of_its_connection_is_whole() {
    let world = World::start();
    for (length, version) in [(0, "1.1"), (1, "1.0"), (70_000, "1.1"), (3 << 20, "1.0"), (3 << 20, "1.1")] {
        let body = "x".repeat(length);
        world.upstream.will(Reply::ThenClose(format!("HTTP/{version} 200 OK\r\n\r\n{body}").into_bytes()));
        let mut client = world.client();
        let answer = client.ask(get());
        assert_eq!((answer.body.len(), answer.whole), (length, true));
        let framed = answer.values("transfer-encoding") == ["chunked"] || answer.values("connection") == ["close"];
        assert!(framed, "{}", answer.head);
        assert_eq!(world.ask(get()).status, 200);
    }
}

/// Wherever it breaks off, nobody could take what came for a whole answer.
#[test]
fn p8_an_answer_that_breaks_off_anywhere_is_seen_to_break_off() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let halves = [
        ("Content-Length: 10\r\n\r\n", ""),
        ("Content-Length: 10\r\n\r\n", "123456789"),
        (chunked, ""),
        (chunked, "4"),
        (chunked, "4\r\n"),
        (chunked, "4\r\nhalf"),
        (chunked, "4\r\nhalf\r"),
        (chunked, "4\r\nhalf\r\n0"),
        (chunked, "4\r\nhalf\r\n0\r\n"),
        (chunked, "4\r\nhalf\r\n0\r\nX: y"),
        (chunked, "4\r\nhalf\r\n0\r\nX: y\r\n"),
    ];
    for (framing, half) in halves {
        for reply in [Reply::ThenClose, Reply::ThenReset] {
            let world = World::start();
            world.upstream.will(reply(format!("HTTP/1.1 200 OK\r\n{framing}{half}").into_bytes()));
            assert_no_answer(&world, &format!("{framing}{half}"));
            assert_eq!(world.forwarded(get()).connection, 1);
        }
    }
}

/// Chunks that are none: what came before may have gone on, an end is not made up, and nothing behind is believed.
#[test]
fn p9_an_answer_with_chunks_that_are_none_never_ends_well() {
    let chunks = [
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
    ];
    for chunks in chunks {
        let world = World::start();
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        assert_no_answer(&world, chunks);
        assert_eq!(world.forwarded(get()).connection, 1, "{chunks:?}: its connection was used again");
    }
}

/// Lengths and codings that do not say one thing: no answer, or one that says one thing, and never a further request.
#[test]
fn p9_an_answer_whose_length_is_in_doubt_is_given_once_or_not_at_all() {
    let doubtful = [
        ("Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("Content-Length: +5", "hello"),
        ("Content-Length: 0x5", "hello"),
        ("Content-Length: 5 5", "hello"),
        ("Content-Length:", "hello"),
        ("Content-Length: 5\r\nContent-Length: 2", "hello"),
        ("Content-Length: 2\r\nX: y\r\ncontent-length: 5", "hello"),
        ("Content-Length: 18446744073709551621", "hello"),
        ("Transfer-Encoding: xchunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: identity", "hello"),
        ("Transfer-Encoding: chunked, identity", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked, chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: \u{b}chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked;q=1", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding:", "hello"),
    ];
    for (lines, body) in doubtful {
        let world = World::start();
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{body}"));
        let made = made_of_the_last(&mut world.client(), GET);
        let once = made == Made::Whole(200, "hello".to_owned()) && lines.starts_with("Content-Length: 5");
        assert!(once || matches!(made, Made::Whole(502, _)), "{lines:?}: {made:?}");
        assert!(once || world.forwarded(get()).connection == 1);
    }
}

/// A version that knows no chunks says that there are some (RFC 9112 §6.1): the chunks may be taken for what they are, but
/// never for text, and the connection is not believed any further.
#[test]
fn p9_chunks_from_an_http_1_0_service_are_chunks_or_no_answer() {
    for lines in ["", "Connection: keep-alive\r\n", "Content-Length: 15\r\n"] {
        let world = World::start();
        let head = format!("HTTP/1.0 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n");
        world.upstream.will_say(format!("{head}5\r\nhello\r\n0\r\n\r\n"));
        let made = made_of_the_last(&mut world.client(), GET);
        assert!(
            matches!(made, Made::Whole(502, _)) || made == Made::Whole(200, "hello".to_owned()),
            "{lines}: {made:?}"
        );
        assert_eq!(world.forwarded(get()).connection, 1, "{lines}");
    }
}

/// Only a proper end is one: a reset in an answer that lasts to the end of its connection leaves it unfinished.
#[test]
fn p8_an_answer_without_a_length_that_is_reset_is_seen_to_break_off() {
    for version in ["1.1", "1.0"] {
        let (world, go) = reset_when_told(version);
        let mut client = world.client();
        client.send(get());
        client.read_until("half");
        go.send(()).unwrap();
        assert!(!latin1(&client.rest()).contains("0\r\n\r\n"), "an end was made up");
    }
}

/// A service that answers without a length, and resets its connection when the test says so.
fn reset_when_told(version: &'static str) -> (World, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::serving(move |connection| {
        connection.request();
        connection.write(format!("HTTP/{version} 200 OK\r\n\r\nhalf"));
        if wait.lock().unwrap().recv_timeout(PATIENCE).is_ok() {
            connection.reset();
        }
    });
    (World::before(upstream, Plan::default()), go)
}
