//! Status lines and header lines of answers: every byte that is sound passes, and what is not makes no answer (P8, P9).

use crate::client::request;
use crate::codec_wire::{ANY, GET, Made, made_of_the_last};
use crate::upstream::Reply;
use crate::world::World;

fn get() -> String {
    request(GET, &[], "")
}

#[test]
fn p8_a_status_line_needs_no_reason_and_keeps_the_one_it_has() {
    let world = World::start();
    let mut client = world.client();
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.1 200 Fine", 200, "Fine"),
        ("HTTP/1.1 404 ", 404, ""),
        ("HTTP/1.1 404", 404, ""),
        ("HTTP/1.1 299 A: b, c; d=\"e\"", 299, "A: b, c; d=\"e\""),
        ("HTTP/1.1 599 Odd\tOne", 599, "Odd\tOne"),
        ("HTTP/1.1 418 I'm a teapot", 418, "I'm a teapot"),
    ] {
        world.upstream.will_say(format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
        let answer = client.ask(get());
        assert_eq!((answer.status, answer.text()), (status, "ok".to_owned()), "{line:?}");
        // Where there is none, the usual one may stand in its place.
        assert!(answer.reason == reason || (reason.is_empty() && !answer.reason.contains(':')), "{}", answer.head);
    }
    assert_eq!(world.upstream.connections(), 1);
}

#[test]
fn p8_all_bytes_that_a_value_may_have_pass_both_ways() {
    let world = World::start();
    let value: Vec<u8> = (0x21..=0xff_u8).filter(|byte| *byte != 0x7f).collect();
    let inner = [&b"a \t "[..], &value, b"\t b"].concat();
    for value in [&value[..], &inner, b"\xff", b":", b"", b"a"] {
        let line = [b"X-All: ", value].concat();
        world.upstream.will_say([b"HTTP/1.1 200 OK\r\n", &line[..], b"\r\nContent-Length: 0\r\n\r\n"].concat());
        let mut client = world.client();
        client.send([b"GET /api/v9/x HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n"].concat());
        let wanted = crate::client::latin1(&line);
        let head = client.head();
        assert!(head.split("\r\n").any(|line| line.trim_end() == wanted.trim_end()), "{head}");
        let seen = world.upstream.seen().pop().unwrap();
        assert!(seen.lines().into_iter().any(|line| line.trim_end() == wanted.trim_end()), "{}", seen.head);
    }
}

#[test]
fn p8_all_bytes_that_a_name_may_have_pass_both_ways() {
    let world = World::start();
    let mut client = world.client();
    for name in ["Z-!#$%&'*+-^`|~", "Z1234567890", "zZ-AbCdEfGhIjKlMnOpQrStUvWxYz", "Z", &"zZ-Long".repeat(100)] {
        let line = format!("{name}: value");
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.ask(request(GET, &[&line], ""));
        assert!(answer.head.split("\r\n").any(|each| each == line), "{}", answer.head);
        let seen = world.upstream.seen().pop().unwrap();
        assert!(seen.lines().contains(&line.as_str()), "{}", seen.head);
    }
}

#[test]
fn p8_lines_of_one_name_keep_their_number_order_and_case_both_ways() {
    let world = World::start();
    let lines = [
        "Set-Cookie: a=1; Expires=Thu, 01 Jan",
        "Set-cookie: b=2",
        "SET-COOKIE: a=1; Expires=Thu, 01 Jan",
        "Set-Cookie:",
    ];
    world.upstream.will_say(format!(
        "HTTP/1.1 200 OK\r\nB: 1\r\n{}\r\nA: 2\r\nContent-Length: 2\r\n\r\n{{}}",
        lines.join("\r\n")
    ));
    let answer = world.ask(request(ANY, &[&["B: 1"], &lines[..], &["A: 2", "Content-Length: 2"]].concat(), "{}"));
    let wanted = [&["B: 1"], &lines[..], &["A: 2", "Content-Length: 2"]].concat();
    let as_written = |line: &str| line.trim_end().to_owned();
    let wanted: Vec<String> = wanted.into_iter().map(as_written).collect();
    let got: Vec<String> = answer.head.split("\r\n").skip(1).map(as_written).collect();
    assert_eq!(got[..7], wanted);
    let seen: Vec<String> = world.upstream.only().lines()[1..].iter().copied().map(as_written).collect();
    assert_eq!(seen, wanted);
}

/// What an answer says about this hop ends here, in any case and any number of lines; what frames it cannot be named.
#[test]
fn p8_what_an_answer_nominates_goes_no_further() {
    let world = World::start();
    world.upstream.will_say(
        "HTTP/1.1 200 OK\r\nX-One: 1\r\nConnection: x-ONE ,, X-Two\r\nX-Three: 3\r\nconnection:\tX-four, Content-Length\r\n\
         X-TWO: 2\r\nX-two: 22\r\nX-Four: 4\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    );
    let mut client = world.client();
    let answer = client.ask(get());
    for gone in ["x-one", "x-two", "x-four", "connection", "proxy-connection", "upgrade"] {
        assert_eq!(answer.values(gone), Vec::<String>::new(), "{}", answer.head);
    }
    assert_eq!((answer.value("x-three"), answer.text()), ("3".to_owned(), "{}".to_owned()));
    assert_eq!(client.ask(get()).status, 200);
}

/// No answer is made of these, and nothing that comes behind them over the same connection is believed.
#[test]
fn p9_what_is_no_status_line_is_no_answer() {
    let lines = [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/2 200",
        "HTTP/1.2 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200\rOK",
        "HTTP/1.1 200 O\0K",
        "GET / HTTP/1.1",
        "200 OK",
        "{}",
        "<html>",
        "\0",
    ];
    for line in lines {
        let world = World::start();
        world.upstream.will_say(format!("{line}\r\nContent-Length: 2\r\n\r\n{{}}{}", crate::upstream::OK));
        let made = made_of_the_last(&mut world.client(), GET);
        assert!(matches!(made, Made::Whole(502, _)), "{line:?}: {made:?}");
        assert_eq!(world.forwarded(get()).connection, 1, "{line:?}");
    }
}

/// A line that is none makes the answer none, or is mended as the RFC has it; it never becomes another line.
#[test]
fn p9_odd_lines_of_an_answer_never_become_other_lines() {
    let odd: [&[u8]; 15] = [
        b"X-Odd : a",
        b"X-Odd\t: a",
        b" X-Odd: a",
        b"X-Odd: a\r\n Evil: b",
        b"X-Odd: a\r\n\tEvil: b",
        b"X-Odd: a\0b",
        b"X-Odd: a\rEvil: b",
        b"X-Odd\r: a",
        b"X-Odd",
        b": X-Odd",
        b"X Odd: a",
        b"X(Odd): a",
        b"X-Odd\xe9: a",
        b"\xef\xbb\xbfX-Odd: a",
        b"X-Odd\0: a",
    ];
    for line in odd {
        let world = World::start();
        let bytes = [b"HTTP/1.1 200 OK\r\nA: b\r\n", line, b"\r\nContent-Length: 2\r\n\r\n{}"].concat();
        world.upstream.will(Reply::ThenClose(bytes));
        let answer = world.ask(get());
        let about = String::from_utf8_lossy(line);
        assert!(matches!(answer.status, 200 | 502), "{about:?}: {}", answer.head);
        for each in answer.head.split("\r\n").skip(1) {
            let (name, _) = each.split_once(':').unwrap_or_else(|| panic!("{about:?}: {}", answer.head));
            assert!(
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
                "{about:?}: {}",
                answer.head
            );
        }
        assert_eq!(answer.values("evil"), Vec::<String>::new(), "{about:?}: {}", answer.head);
        assert!(!answer.head.contains(['\0', '\u{b}']) && !answer.head.replace("\r\n", "").contains(['\r', '\n']));
    }
}
