//! Where one request ends and the next begins: nobody behind the gate may see it otherwise (P9, RFC 9112 §6).

use crate::client::{Client, request};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

/// A labelled request with these lines before its body.
fn framed(lines: &[&str], body: &str) -> String {
    request(MESSAGE, &[&[LABEL], lines].concat(), body)
}

const ONE_CHUNK: &str = "2\r\n{}\r\n0\r\n\r\n";

#[test]
fn p9_content_length_and_transfer_encoding_together_are_refused_in_either_order() {
    let (length, coding) = ("Content-Length: 12", "Transfer-Encoding: chunked");
    for lines in [[length, coding], [coding, length]] {
        World::start().refused(framed(&lines, ONE_CHUNK), 400, "header_ambiguous");
    }
}

#[test]
fn p9_the_only_transfer_coding_is_chunked_on_one_line() {
    let odd: [&[&str]; 9] = [
        &["Transfer-Encoding: ,chunked"],
        &["Transfer-Encoding: chunked, chunked"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: identity", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: ", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: chunked,"],
        &["Transfer-Encoding: \"chunked\""],
        &["Transfer-Encoding: chunked;q=1"],
    ];
    for lines in odd {
        let world = World::start();
        let answer = world.ask(framed(lines, ONE_CHUNK));
        assert_eq!(answer.status, 400, "{lines:?}: {}", answer.head);
        world.assert_untouched();
    }
}

#[test]
fn p8_chunked_is_taken_in_any_case() {
    let seen = World::start().forwarded(framed(&["transfer-encoding: CHUNKED"], ONE_CHUNK));
    assert_eq!(seen.body, b"{}");
    assert_eq!(seen.values("transfer-encoding"), ["chunked"]);
    assert_eq!(seen.values("content-length"), Vec::<String>::new());
}

/// The HTTP library answers these itself, before any of the gate's code has run: no refusal header, no body.
#[test]
fn p9_what_is_no_http_is_answered_400_and_goes_nowhere() {
    let heads = [
        framed(&["Transfer-Encoding: xchunked"], ONE_CHUNK),
        framed(&["Transfer-Encoding: \u{b}chunked"], ONE_CHUNK),
        framed(&["Transfer-Encoding: chunked, identity"], ONE_CHUNK),
        framed(&["Transfer-Encoding: chunked"], ONE_CHUNK).replace("HTTP/1.1", "HTTP/1.0"),
        framed(&["Content-Length: +2"], "{}"),
        framed(&["Content-Length: -2"], "{}"),
        framed(&["Content-Length: 2, 2"], "{}"),
        framed(&["Content-Length: 2,"], "{}"),
        framed(&["Content-Length: 0x2"], "{}"),
        framed(&["Content-Length: "], "{}"),
        framed(&["Content-Length: 2 2"], "{}"),
        framed(&["Content-Length: 18446744073709551616"], "{}"),
        framed(&["Content-Length: 2", "Content-Length: 3"], "{} "),
        framed(&["X-Folded: a", " b", "Content-Length: 2"], "{}"),
        framed(&["X-Watson-Metadata : customer_id=bob", "Content-Length: 2"], "{}"),
        framed(&[" X-Leading: a", "Content-Length: 2"], "{}"),
        framed(&["X-Nul: a\0b", "Content-Length: 2"], "{}"),
        framed(&["X-Return: a\rb", "Content-Length: 2"], "{}"),
        framed(&[": empty", "Content-Length: 2"], "{}"),
        framed(&["no colon", "Content-Length: 2"], "{}"),
        framed(&["Content-Length: 2"], "{}").replace("POST ", "POST  "),
        framed(&["Content-Length: 2"], "{}").replace("HTTP/1.1", "HTTP/1.2"),
        framed(&["Content-Length: 2"], "{}").replace("HTTP/1.1", "HTTP/2.0"),
        "\u{16}\u{3}\u{1}\u{0}\u{5}hello\r\n\r\n".to_owned(),
    ];
    for head in heads {
        let world = World::start();
        let mut client = world.client();
        client.send(&head);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{head:?}: {}", answer.head);
        client.rest();
        world.assert_untouched();
    }
}

/// Prior knowledge of HTTP/2 on a listener that does not speak it: nothing would be an answer that such a client reads.
#[test]
fn p9_the_preface_of_http_2_ends_the_connection() {
    let world = World::of(Plan { listen: "http2 = false".to_owned(), ..Plan::default() });
    let mut client = world.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.rest(), b"");
    world.assert_untouched();
}

#[test]
fn p9_two_equal_content_lengths_are_refused() {
    World::start().refused(framed(&["Content-Length: 2", "Content-Length: 2"], "{}"), 400, "header_ambiguous");
}

#[test]
fn p9_a_length_goes_on_in_canonical_decimal() {
    let seen = World::start().forwarded(framed(&["Content-Length: 0002"], "{}"));
    assert_eq!(seen.values("content-length"), ["2"]);
    assert_eq!(seen.body, b"{}");
}

#[test]
fn p8_bare_line_feeds_in_a_head_are_mended() {
    let world = World::start();
    let seen = world.forwarded(framed(&["Content-Length: 2"], "{}").replace("\r\n", "\n"));
    assert_eq!(seen.body, b"{}");
    let bytes = world.upstream.bytes(0);
    let feeds: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).collect();
    assert!(feeds.len() > 5 && feeds.iter().all(|at| bytes[at - 1] == b'\r'), "{bytes:?}");
}

#[test]
fn p9_a_chunk_that_is_no_chunk_is_the_callers_fault() {
    let bodies = [
        "2\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
        "2_0\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}x\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
    ];
    for body in bodies {
        let world = World::start();
        let mut client = world.client();
        let answer = client.ask(framed(&["Transfer-Encoding: chunked"], body));
        answer.assert_refused(400, "header_ambiguous");
        assert_eq!(answer.value("connection"), "close", "{body:?}");
        client.rest();
        assert_eq!(world.upstream.seen().len(), 0, "{body:?}: the service saw a whole request");
    }
}

#[test]
fn p8_chunk_extensions_and_leading_zeros_in_sizes_are_harmless() {
    let world = World::start();
    let seen =
        world.forwarded(framed(&["Transfer-Encoding: chunked"], "0002;a=b;c=\"d\"\r\n{}\r\n1 \r\n!\r\n000\r\n\r\n"));
    assert_eq!(seen.body, b"{}!");
}

/// A body that would be a request is a body, and a request behind it is a request.
#[test]
fn p9_what_follows_a_body_is_judged_on_its_own() {
    let world = World::start();
    let hidden = request(MESSAGE, &["Content-Length: 2"], "{}");
    for lines in [format!("Content-Length: {}", hidden.len()), "Transfer-Encoding: chunked".to_owned()] {
        let body = if lines.starts_with('T') {
            format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len())
        } else {
            hidden.clone()
        };
        let mut client = world.client();
        client.send(format!("{}{hidden}", framed(&[&lines], &body)));
        assert_eq!(client.answer().status, 200);
        client.answer().assert_refused(400, "label_missing");
    }
    let seen = world.upstream.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.body == hidden.as_bytes()), "{seen:?}");
}

#[test]
fn p9_behind_a_doubtful_request_nothing_is_served_any_more() {
    let world = World::start();
    let mut client = world.client();
    let doubtful = framed(&["Content-Length: 4", "Transfer-Encoding: chunked"], "0\r\n\r\n");
    client.send(format!("{doubtful}{}", request(PLAIN, &[], "")));
    let answer = client.answer();
    answer.assert_refused(400, "header_ambiguous");
    assert_eq!(answer.value("connection"), "close");
    assert_eq!(client.rest(), b"");
    world.assert_untouched();
}

#[test]
fn p8_pipelined_requests_are_answered_in_their_order() {
    let world = World::start();
    let mut client = world.client();
    let count = 600;
    let mut all = String::new();
    for number in 0..count {
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{number:04}"));
        all.push_str(&format!("GET /api/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client.send(all);
    for number in 0..count {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, format!("{number:04}")), "{}", answer.head);
    }
}

#[test]
fn p9_each_of_several_pipelined_requests_is_judged() {
    let world = World::start();
    let mut client = world.client();
    let unlabelled = request(MESSAGE, &["Content-Length: 2"], "{}");
    let labelled = framed(&["Content-Length: 2"], "{}");
    client.send(format!("{labelled}{unlabelled}{labelled}"));
    let answers: Vec<u16> = (0..3).map(|_| client.answer().status).collect();
    assert_eq!(answers, [200, 400, 200]);
    assert_eq!(world.upstream.saw(2).len(), 2);
}

/// Empty lines before a request line are allowed (RFC 9112 §2.2); some old clients send one behind a body.
#[test]
fn p8_empty_lines_between_requests_are_skipped() {
    let world = World::start();
    let mut client: Client = world.client();
    let labelled = framed(&["Content-Length: 2"], "{}");
    client.send(format!("\r\n{labelled}\r\n{labelled}"));
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
}
