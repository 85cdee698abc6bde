//! Heads of requests as they may arrive, and what is none: it is answered once, goes nowhere, and ends its connection (P9).

use crate::client::{Client, eventually, request};
use crate::codec_wire::{ANY, GET, assert_over, byte_by_byte, in_pieces};
use crate::upstream::{OK, Reply, Seen};
use crate::world::{LABEL, MESSAGE, Plan, World};

/// What a request is to the service, without what the gate gives each a new one of.
fn gist(seen: &Seen) -> (String, Vec<String>, Vec<u8>) {
    (seen.line().to_owned(), seen.lines().into_iter().map(str::to_owned).collect(), seen.body.clone())
}

#[test]
fn p8_a_request_may_arrive_byte_by_byte() {
    // However long a busy machine takes for so many bytes.
    let limits = "header_timeout = \"10m\"\nupstream_idle_timeout = \"1m\"";
    let world = World::of(Plan { limits, ..Plan::default() });
    let mut client = world.client();
    let sent = request(MESSAGE, &[LABEL, "x-Odd:  a\t", "Content-Length: 5"], "hello");
    assert!(in_pieces(&client.socket, byte_by_byte(sent.as_bytes())));
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.ask(&sent).status, 200);
    let seen = world.upstream.saw(2);
    assert_eq!((seen[0].body.as_slice(), seen[0].values("x-odd")), (&b"hello"[..], vec!["a".to_owned()]));
    assert!(seen.iter().all(|each| gist(each) == gist(&seen[1])), "{seen:?}");
    assert_eq!(world.upstream.connections(), 1);
}

#[test]
fn p8_a_request_may_be_split_anywhere() {
    let bodies = [("Content-Length: 2", "{}"), ("Transfer-Encoding: chunked", "2;x=y\r\n{}\r\n0\r\n\r\n")];
    for (framing, body) in bodies {
        let world = World::start();
        let sent = request(MESSAGE, &[LABEL, framing, "X-Empty:"], body).into_bytes();
        let mut client = world.client();
        assert_eq!(client.ask(&sent).status, 200);
        for at in 1..sent.len() {
            assert!(in_pieces(&client.socket, [&sent[..at], &sent[at..]]), "split at {at}");
            assert_eq!(client.answer().status, 200, "split at {at}");
        }
        let seen = world.upstream.saw(sent.len());
        assert!(seen.iter().all(|each| gist(each) == gist(&seen[0])), "{seen:?}");
        assert_eq!((seen.len(), world.upstream.connections()), (sent.len(), 1));
    }
}

/// The last bytes of one request and the first of the next in one read, whatever the split.
#[test]
fn p8_two_requests_may_be_split_anywhere() {
    let world = World::start();
    let one = request(ANY, &["Content-Length: 3"], "one");
    let two = request("PUT /api/v9/y", &["Transfer-Encoding: chunked"], "3\r\ntwo\r\n0\r\n\r\n");
    let both = [one.as_bytes(), two.as_bytes()].concat();
    let mut client = world.client();
    for at in 1..both.len() {
        assert!(in_pieces(&client.socket, [&both[..at], &both[at..]]));
        assert_eq!([client.answer().status, client.answer().status], [200, 200], "split at {at}");
        let seen = world.upstream.saw(2 * at).split_off(2 * at - 2);
        assert_eq!((seen[0].body.as_slice(), seen[1].body.as_slice()), (&b"one"[..], &b"two"[..]), "split at {at}");
        assert_eq!((seen[0].line(), seen[1].line()), ("POST /v9/x HTTP/1.1", "PUT /v9/y HTTP/1.1"));
    }
}

#[test]
fn p8_empty_lines_before_a_request_are_skipped_however_they_come() {
    let world = World::start();
    let plain = request(GET, &[], "");
    for before in ["\r\n", "\r\n\r\n\r\n", "\n", "\n\r\n"] {
        let mut client = world.client();
        for _ in 0..2 {
            assert_eq!(client.ask(format!("{before}{plain}")).status, 200, "{before:?}");
            assert!(in_pieces(&client.socket, byte_by_byte(before.as_bytes())));
            assert_eq!(client.ask(&plain).status, 200, "{before:?}");
        }
    }
    assert!(world.upstream.saw(16).iter().all(|seen| seen.line() == "GET /v9/x HTTP/1.1"));
}

/// Whichever lines end in a bare line feed: the service sees the same lines, each ended as it must be.
#[test]
fn p9_mixed_line_ends_are_read_once_and_written_well() {
    let world = World::start();
    let lines = ["POST /api/v9/x HTTP/1.1", "Host: a", "X-One: 1", "Content-Length: 2", ""];
    for mix in 0..1 << lines.len() {
        let ended = |(at, line): (usize, &&str)| format!("{line}{}", if mix >> at & 1 == 0 { "\r\n" } else { "\n" });
        let head: String = lines.iter().enumerate().map(ended).collect();
        let mut client = world.client();
        client.send(format!("{head}{{}}{}", request(GET, &[], "")));
        assert_eq!([client.answer().status, client.answer().status], [200, 200], "{head:?}");
        let seen = world.upstream.saw(2 * (mix + 1)).split_off(2 * mix);
        assert_eq!((seen[0].line(), seen[0].body.as_slice()), ("POST /v9/x HTTP/1.1", &b"{}"[..]), "{head:?}");
        assert_eq!((seen[0].values("x-one"), seen[1].line()), (vec!["1".to_owned()], "GET /v9/x HTTP/1.1"));
    }
    let bytes = world.upstream.bytes(0);
    let bare = memchr::memchr_iter(b'\n', &bytes).filter(|at| bytes[at - 1] != b'\r').count();
    assert_eq!(bare, 0, "a bare line feed went on");
}

/// Sends what is no request, and a good request behind it. There is one answer of the 400 family, or none.
#[track_caller]
fn assert_nothing_is_served(world: &World, bad: &[u8]) {
    let about = String::from_utf8_lossy(bad).into_owned();
    let mut client = world.client();
    drop(client.try_send([bad, request(GET, &[], "").as_bytes()].concat()));
    assert_refused_once(&mut client, &about);
    assert_eq!(world.upstream.seen().len(), 0, "{about:?} went on, or what stood behind it");
}

#[track_caller]
fn assert_refused_once(client: &mut Client, about: &str) {
    let answers = crate::client::latin1(&client.rest());
    let count = answers.matches("HTTP/1.1 ").count();
    assert!(count <= 1 && (answers.is_empty() || answers.starts_with("HTTP/1.1 4")), "{about:?}: {answers}");
}

/// What is said about a bad request waits until those before it have been answered.
#[test]
fn p9_a_refusal_does_not_overtake_the_answers_before_it() {
    for bad in ["GET /api/v9/x HTTP/1.1\r\nno colon\r\n\r\n", "\0", "G@T / HTTP/1.1\r\n\r\n"] {
        let world = World::start();
        let (go, wait) = std::sync::mpsc::channel();
        world.upstream.will(Reply::When(wait, OK.into()));
        let mut client = world.client();
        let good = request(GET, &[], "");
        client.send(format!("{good}{good}{bad}{good}"));
        world.upstream.saw(1);
        go.send(()).unwrap();
        let answers = [client.answer(), client.answer()];
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "{}"), "{answers:?}");
        assert_refused_once(&mut client, bad);
        assert_eq!(world.upstream.seen().len(), 2, "{bad:?}");
    }
}

#[test]
fn p9_behind_header_lines_that_are_none_nothing_is_served() {
    let lines: [&[u8]; 21] = [
        b"X : a",
        b"X\t: a",
        b" X: a",
        b"\tX: a",
        b"A: b\r\n c",
        b"A: b\r\n\tc: d",
        b"A: b\r\n ",
        b"A: b\0c",
        b"A: \0",
        b"A: b\rc",
        b"A: b\r\rX: y",
        b"A: b\r",
        b"A\rB: c",
        b"A\0: b",
        b"A B: c",
        b"(A): b",
        b"A\"B: c",
        b"A\xe9: b",
        b"no colon",
        b": b",
        b"A\x7f: b",
    ];
    let world = World::start();
    for line in lines {
        for at in [0, 1] {
            let mut lines: Vec<&[u8]> = vec![b"GET /api/v9/x HTTP/1.1", b"Host: gate", b"B: c", b"\r\n"];
            lines.insert(at + 1, line);
            assert_nothing_is_served(&world, &lines.join(&b"\r\n"[..]));
        }
    }
    world.assert_untouched();
}

#[test]
fn p9_behind_request_lines_that_are_none_nothing_is_served() {
    let lines: [&[u8]; 24] = [
        b"G@T /api/v9/x HTTP/1.1",
        b"(GET) /api/v9/x HTTP/1.1",
        b"G\xc9T /api/v9/x HTTP/1.1",
        b"GE\0T /api/v9/x HTTP/1.1",
        b" GET /api/v9/x HTTP/1.1",
        b"GET\t/api/v9/x HTTP/1.1",
        b"GET: /api/v9/x HTTP/1.1",
        b"GET /api/v9/x y HTTP/1.1",
        b"GET /api/v9/\tx HTTP/1.1",
        b"GET /api/v9/\x01x HTTP/1.1",
        b"GET /api/v9/\x7fx HTTP/1.1",
        b"GET /api/v9/\0x HTTP/1.1",
        b"GET /api/v9/\rx HTTP/1.1",
        b"GET /api/v9/x\tHTTP/1.1",
        b"GET  /api/v9/x HTTP/1.1",
        b"GET /api/v9/x  HTTP/1.1",
        b"GET HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET api/v9/x HTTP/1.1",
        b"GET\r\n/api/v9/x HTTP/1.1",
        b"GET",
        b"GET /api/v9/x",
        b"/api/v9/x HTTP/1.1",
        b"HTTP/1.1 200 OK",
    ];
    let world = World::start();
    for line in lines {
        assert_nothing_is_served(&world, &[line, b"\r\nHost: gate\r\n\r\n"].concat());
    }
    world.assert_untouched();
}

#[test]
fn p9_behind_a_version_that_is_not_spoken_nothing_is_served() {
    let world = World::start();
    let versions = [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/2",
        "HTTP/2.0",
        "HTTP/3.0",
        "http/1.1",
        "Http/1.1",
        "HTTP/1.10",
        "HTTP/11",
        "HTTP/1,1",
        "HTTP/01.1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP1.1",
        "HTTP /1.1",
        "HTTPS/1.1",
        "ICY",
        "HTTP/1.1x",
    ];
    for version in versions {
        assert_nothing_is_served(&world, format!("GET /api/v9/x {version}\r\nHost: gate\r\n\r\n").as_bytes());
    }
    world.assert_untouched();
}

/// None of these ends in an empty line, and some not in a line at all: it is seen all the same that they are no HTTP.
#[test]
fn p9_other_protocols_are_turned_away_at_once() {
    let hello = [&b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"[..], &[0xa5; 189]].concat();
    let others: [&[u8]; 7] = [
        &hello,
        &[0; 100],
        b"\xff\xfe\xfd",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"{\"jsonrpc\": \"2.0\"}\n",
        b"<policy-file-request/>\0",
    ];
    let world = World::start();
    for other in others {
        let mut client = world.client();
        client.send(other);
        assert_refused_once(&mut client, &String::from_utf8_lossy(other));
    }
    world.assert_untouched();
}

/// The bound is a number of bytes, from the request line's first to the empty line's last, and holds in any pieces.
#[test]
fn p12_a_head_may_be_as_large_as_the_bound_and_no_byte_larger() {
    let world = World::of(Plan { limits: "header_bytes_max = \"8KiB\"", ..Plan::default() });
    let of_size = |size: usize| {
        let room = size - request(ANY, &["X-Pad: ", "Content-Length: 2"], "").len();
        request(ANY, &[&format!("X-Pad: {}", "x".repeat(room)), "Content-Length: 2"], "{}")
    };
    for size in [8190, 8191, 8192] {
        assert_eq!(world.ask(of_size(size)).status, 200, "{size}");
        let mut client = world.client();
        assert!(in_pieces(&client.socket, of_size(size).as_bytes().chunks(1000)));
        assert_eq!(client.answer().status, 200, "{size} in pieces");
    }
    for size in [8193, 9000, 12_000] {
        let answer = world.ask(of_size(size));
        answer.assert_refused(431, "header_too_large");
        let mut client = world.client();
        assert!(in_pieces(&client.socket, of_size(size).as_bytes().chunks(1000)));
        client.answer().assert_refused(431, "header_too_large");
    }
    assert_eq!(world.upstream.seen().len(), 6);
    eventually("nothing is in flight", || world.in_flight() == 0);
}

/// The refusal comes while the head is still on its way, and what stands behind the head is not served.
#[test]
fn p12_behind_a_head_that_is_too_large_nothing_is_served() {
    let world = World::of(Plan { limits: "header_bytes_max = \"8KiB\"", ..Plan::default() });
    for ending in ["", "\r\n\r\n"] {
        let mut client = world.client();
        client.send(format!("GET /api/v9/x HTTP/1.1\r\nHost: gate\r\nX: {}{ending}", "x".repeat(60_000)));
        assert_eq!(client.answer().status, 431);
        drop(client.try_send(request(GET, &[], "")));
        assert_over(&mut client, ending);
    }
    world.assert_untouched();
}
