//! Request bodies: every spelling of a chunk that is one, none that is not, and whom a bad one must not harm (P8, P9).

use crate::client::{eventually, find, latin1, request};
use crate::codec_wire::{ANY, GET, assert_over, echoing, in_pieces};
use crate::world::{LABEL, MESSAGE, World};

fn chunked(body: &str) -> String {
    request(ANY, &["Transfer-Encoding: chunked"], body)
}

#[test]
fn p8_a_chunk_size_may_be_spelt_in_many_ways() {
    let world = World::start();
    let mut client = world.client();
    let spellings = [
        "a",
        "A",
        "0a",
        "0A",
        "00000000000000a",
        "a;x",
        "a;x=y",
        "A;x=\"q;r\"",
        "a;x=y;z",
        "a ;x",
        "a; x = y",
        "a;x=\"0\"",
        "a\t;x",
        "a ",
        "a;",
        "a;;",
        "a;\u{e9}",
    ];
    for (at, size) in spellings.iter().enumerate() {
        let body = format!("{size}\r\n0123456789\r\n0\r\n\r\n");
        for sent in [body.clone(), body.replace("\r\n0\r\n\r\n", "\r\n000;last=1\r\n\r\n")] {
            assert_eq!(client.ask(chunked(&sent)).status, 200, "{sent:?}");
        }
        let head = chunked("");
        let pieces = [head.as_str(), &body[..1], &body[1..=size.len()], &body[size.len() + 1..]];
        assert!(in_pieces(&client.socket, pieces));
        assert_eq!(client.answer().status, 200, "{size} in pieces");
        let seen = world.upstream.saw(3 * (at + 1));
        assert!(seen.iter().all(|seen| seen.body == b"0123456789"), "{size}");
    }
    let bytes = latin1(&world.upstream.bytes(0));
    assert!(!bytes.contains(';'), "an extension is for one hop only: {bytes}");
}

#[test]
fn p8_a_chunked_body_may_be_split_anywhere() {
    let world = World::start();
    let head = request(ANY, &["Trailer: X-Sum", "Transfer-Encoding: chunked"], "").into_bytes();
    let body = b"3\r\none\r\n0B;a=\"b\"\r\ntwo\r\nthree!\r\n1\r\n\n\r\n00\r\nX-Sum: 9\r\n\r\n";
    let sent = [&head[..], body].concat();
    let mut client = world.client();
    for at in head.len()..sent.len() {
        assert!(in_pieces(&client.socket, [&sent[..head.len()], &sent[head.len()..at], &sent[at..]]));
        assert_eq!(client.answer().status, 200, "split at {at}");
    }
    let seen = world.upstream.saw(body.len());
    assert!(seen.iter().all(|seen| seen.body == b"onetwo\r\nthree!\n" && seen.trailers == ["X-Sum: 9"]), "{seen:?}");
    assert_eq!(seen.len(), body.len());
}

#[test]
fn p8_large_chunks_of_any_size_arrive() {
    let world = echoing();
    let mut client = world.client();
    for size in [1, 15, 16, 4095, 4096, 8191, 8192, 16_383, 16_384, 65_535, 65_536, 100_000, 1 << 20] {
        let body: String = (0..size).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        let answer = client.ask(chunked(&format!("{size:x}\r\n{body}\r\n1\r\n!\r\n0\r\n\r\n")));
        assert_eq!(answer.body, format!("/v9/x {body}!").as_bytes(), "{size}");
        let length = format!("Content-Length: {size}");
        assert_eq!(client.ask(request(ANY, &[&length], &body)).body, format!("/v9/x {body}").as_bytes(), "{size}");
    }
    assert_eq!(world.upstream.connections(), 1);
}

/// Trailers that nobody announced may be lost, but they are never lines of this request or of the next.
#[test]
fn p9_trailers_that_were_not_announced_end_where_they_end() {
    let world = World::start();
    let mut client = world.client();
    let evil =
        "X-Watson-Metadata: customer_id=mallory\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\nHost: evil";
    for trailers in ["X-Sum: 1", "X-Sum: 1\r\nX-Sum: 2\r\nX-Empty:", evil] {
        for announced in ["A: b", "Trailer: X-Other"] {
            let sent = request(MESSAGE, &[LABEL, announced, "Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\n");
            assert_eq!(client.ask(format!("{sent}{trailers}\r\n\r\n")).status, 200, "{trailers}");
        }
    }
    assert_eq!(client.ask(request(GET, &[], "")).status, 200);
    let seen = world.upstream.saw(7);
    for each in &seen[..6] {
        assert_eq!(
            (each.body.as_slice(), each.values("x-watson-metadata")),
            (&b"{}"[..], vec!["customer_id=alice".into()])
        );
        assert!(each.trailers.iter().all(|trailer| trailer.starts_with("X-Sum") || trailer.starts_with("X-Empty")));
    }
    assert!(find(&world.upstream.bytes(0), b"mallory").is_none());
    assert!(find(&world.upstream.bytes(0), b"evil").is_none());
}

/// What a caller is told about a body that is none, and that nobody else is harmed by it.
#[track_caller]
fn assert_malformed(body: &str) {
    let world = World::start();
    assert_eq!(world.ask(request(GET, &[], "")).status, 200);
    let mut client = world.client();
    client.send(format!("{}{}", chunked(body), request("GET /api/v9/behind", &[], "")));
    client.answer().assert_refused(400, "header_ambiguous");
    assert_over(&mut client, body);
    let next = world.forwarded(request("GET /api/v9/next", &[], ""));
    assert_eq!((next.line(), next.connection > 0), ("GET /v9/next HTTP/1.1", true), "{body:?}: the connection went on");
    assert_eq!(
        world.upstream.seen().len(),
        2,
        "{body:?}: a whole request was made of it, or the one behind it was served"
    );
    assert!(!latin1(&world.upstream.bytes(0)).contains("behind"));
    eventually("the connection with half a request has ended", || world.upstream.open() == 1);
}

#[test]
fn p9_a_chunk_size_that_is_none_harms_nobody_else() {
    let sizes = [
        "g",
        "-1",
        "+2",
        " 2",
        "\t2",
        "2 2",
        "0x2",
        "2h",
        "2.",
        "",
        ";a",
        " ",
        "2\r",
        "\r2",
        "2,2",
        "\"2\"",
        "2\0",
        "\u{0}2",
        "fffffffffffffffff",
        "10000000000000000",
        "100000000000000002",
        "2_0",
        "\u{b2}",
    ];
    for size in sizes {
        assert_malformed(&format!("{size}\r\n{{}}\r\n0\r\n\r\n"));
        assert_malformed(&format!("3\r\none\r\n{size}\r\n{{}}\r\n0\r\n\r\n"));
    }
}

#[test]
fn p9_chunks_that_do_not_end_as_chunks_do_harm_nobody_else() {
    let bodies = [
        "2\n{}\r\n0\r\n\r\n",
        "2;a\n{}\r\n0\r\n\r\n",
        "2\r{}\r\n0\r\n\r\n",
        "2;a\r{}\r\n0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}\r0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}}\r\n0\r\n\r\n",
        "2\r\n{}\r\n\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\n\r\n",
        "0\rX\r\n\r\n",
    ];
    for body in bodies {
        assert_malformed(body);
    }
}

/// What is not sent to its end is not a request, also when the caller says politely that nothing more will come.
#[test]
fn p9_a_chunked_body_without_its_end_is_no_request() {
    for body in [
        "",
        "2",
        "2\r\n",
        "2\r\n{",
        "2\r\n{}",
        "2\r\n{}\r\n",
        "2\r\n{}\r\n0",
        "2\r\n{}\r\n0\r\n",
        "2\r\n{}\r\n0\r\nX: y\r\n",
    ] {
        let world = World::start();
        assert_eq!(world.ask(request(GET, &[], "")).status, 200);
        let mut client = world.client();
        client.send(chunked(body));
        let answers = latin1(&client.rest_within_a_moment());
        assert!(!answers.contains(" 200 "), "{body:?}: {answers}");
        let next = world.forwarded(request("GET /api/v9/next", &[], ""));
        assert_eq!((next.line(), next.body.len()), ("GET /v9/next HTTP/1.1", 0), "{body:?}");
        assert_eq!(world.upstream.seen().len(), 2, "{body:?}");
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

#[test]
fn p9_a_body_shorter_than_its_length_is_no_request() {
    let world = World::start();
    for sent in ["", "x", "123456789"] {
        let mut client = world.client();
        client.send(request(ANY, &["Content-Length: 10"], sent));
        let answers = latin1(&client.rest_within_a_moment());
        assert!(!answers.contains(" 200 "), "{sent:?}: {answers}");
    }
    assert_eq!(world.forwarded(request("GET /api/v9/next", &[], "")).line(), "GET /v9/next HTTP/1.1");
    assert_eq!(world.upstream.seen().len(), 1);
}

/// Blanks round a number are no part of it; a body of no bytes ends at once, and what follows is the next request.
#[test]
fn p8_a_length_may_have_blanks_round_it_and_be_nought() {
    let world = World::start();
    let mut client = world.client();
    for line in ["Content-Length:2", "Content-Length:  2", "Content-Length: 2 \t", "content-length:\t02"] {
        assert_eq!(client.ask(request(ANY, &[line], "{}")).status, 200, "{line:?}");
        assert_eq!(world.upstream.seen().pop().unwrap().values("content-length"), ["2"]);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"] {
        let line = format!("{method} /api/v9/x");
        client.send(request(&line, &["Content-Length: 0"], "").repeat(2));
        assert_eq!([client.answer().status, client.answer().status], [200, 200], "{method}");
    }
    client.send(chunked("0\r\n\r\n").repeat(2));
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
    assert_eq!(world.upstream.saw(18).len(), 18);
}

/// A length that is none is never guessed: what stands behind the head is neither body nor request.
#[test]
fn p9_behind_a_length_that_is_none_nothing_is_served() {
    let values = [
        "+2",
        "-2",
        "2,",
        ",2",
        "2, 2",
        "2,3",
        "2 2",
        "0x2",
        "2.0",
        "2e0",
        "\"2\"",
        "two",
        "",
        " ",
        "2;",
        "\u{b2}",
        "18446744073709551616",
        "36893488147419103234",
        "99999999999999999999999999",
    ];
    let world = World::start();
    for value in values {
        let mut client = world.client();
        let sent = request(ANY, &[&format!("Content-Length: {value}")], "{}");
        client.send(format!("{sent}{}", request(GET, &[], "")));
        assert_eq!(client.answer().status, 400, "{value:?}");
        assert_over(&mut client, value);
    }
    for (one, two) in [("2", "3"), ("2", "2"), ("2", ""), ("", "2"), ("2", "+2"), ("0", "2")] {
        let mut client = world.client();
        let sent = request(ANY, &[&format!("Content-Length: {one}"), "A: b", &format!("content-length: {two}")], "{}");
        client.send(format!("{sent}{}", request(GET, &[], "")));
        assert_eq!(client.answer().status, 400, "{one:?} and {two:?}");
        assert_over(&mut client, one);
    }
    world.assert_untouched();
}
