//! P8: what is not governed passes unchanged, both ways, as bytes.

use crate::client::{find, request};
use crate::upstream::Upstream;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

#[test]
fn p8_path_and_query_keep_their_bytes() {
    let targets = [
        "/v1/workspaces?version=2021-06-14&a=%7e+b%20c&&d=&=e&f",
        "/v1/workspaces?",
        "/v1/workspaces/caf%C3%A9%20x/?q='(*)!~[]|^{}\\`",
        "/v9/a%2Fb/%2E/c;d=e?x=/../..",
        "/v1/workspaces/caf\u{e9}",
        "",
        "?a",
        "/",
    ];
    let world = World::start();
    for target in targets {
        let line = format!("GET /api{target}");
        let seen = world.forwarded(request(&line, &[], ""));
        let expected = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let as_bytes: String = expected.bytes().map(char::from).collect();
        assert_eq!(seen.line(), format!("GET {as_bytes} HTTP/1.1"));
    }
}

#[test]
fn p8_the_path_goes_on_behind_the_upstreams_own() {
    let base = "/instances/6bbda3b3";
    let world = World::of(Plan { base, route: "{ path = \"/assistant/api\" }", ..Plan::default() });
    for (target, expected) in [("/v1/workspaces?a=b", "/v1/workspaces?a=b"), ("", ""), ("?x", "?x"), ("/", "/")] {
        let seen = world.forwarded(request(&format!("GET /assistant/api{target}"), &[], ""));
        assert_eq!(seen.line(), format!("GET {base}{expected} HTTP/1.1"));
    }
}

#[test]
fn p8_header_lines_keep_case_order_and_bytes() {
    let world = World::start();
    let mut sent = request(
        MESSAGE,
        &[
            "user-AGENT: watson-apis-python-sdk-core-3.0",
            "X-lower: a",
            "x-UPPER: b",
            "X-Empty:",
            "X-Odd: \t a \t\"b\";c=d, ?",
            "x-Latin: \u{1}",
            LABEL,
            "Accept: a/b",
            "accept: c/d",
            "Content-TYPE: application/json",
            "Content-Length: 2",
            "Authorization: Basic YXBpa2V5OktFWQ==",
            "Cookie: a=b; c=d",
            "X-Twin_name: kept",
        ],
        "{}",
    )
    .into_bytes();
    let at = sent.iter().position(|byte| *byte == 1).unwrap();
    sent[at] = 0xe9;
    let seen = world.forwarded(&sent);
    let expected = [
        &format!("Host: {}", world.upstream.address),
        "user-AGENT: watson-apis-python-sdk-core-3.0",
        "X-lower: a",
        "x-UPPER: b",
        "X-Empty:",
        "X-Odd: a \t\"b\";c=d, ?",
        "x-Latin: \u{e9}",
        LABEL,
        "Accept: a/b",
        "accept: c/d",
        "Content-TYPE: application/json",
        "Content-Length: 2",
        "Authorization: Basic YXBpa2V5OktFWQ==",
        "Cookie: a=b; c=d",
        "X-Twin_name: kept",
        "X-Watson-Learning-Opt-Out: true",
    ];
    assert_eq!(seen.lines(), expected);
}

#[test]
fn p8_an_answers_lines_keep_case_order_bytes_and_reason() {
    let world = World::start();
    let lines = [
        "x-GLOBAL-transaction-id: 7f2c",
        "X-DP-Watson-Tran-ID: gateway01-1",
        "Set-Cookie: a=b; Path=/",
        "set-cookie: c=d",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT",
        "X-Empty:",
        "Server: -",
        "Content-LENGTH: 2",
    ];
    world.upstream.will_say(format!("HTTP/1.1 299 Rather Fine, Thanks\r\n{}\r\n\r\n{{}}", lines.join("\r\n")));
    let answer = world.ask(request(PLAIN, &["X-Request-Id: mine-1"], ""));
    assert_eq!((answer.status, answer.reason.as_str()), (299, "Rather Fine, Thanks"));
    let got: Vec<&str> = answer.head.split("\r\n").skip(1).collect();
    assert_eq!(got, [&lines[..], &["Via: 1.1 forgetgate", "X-Request-Id: mine-1"]].concat());
}

#[test]
fn p8_no_date_and_no_server_line_is_made_up() {
    let answer = World::start().ask(request(PLAIN, &[], ""));
    assert_eq!((answer.values("date"), answer.values("server")), (vec![], vec![]));
}

#[test]
fn p8_lines_for_one_hop_only_do_not_go_further() {
    let world = World::start();
    let lines = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
    ];
    let seen = world.forwarded(request(PLAIN, &lines, ""));
    for name in ["keep-alive", "proxy-connection", "connection"] {
        assert_eq!(seen.values(name), Vec::<String>::new(), "{}", seen.head);
    }
    world.upstream.will_say(
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = world.ask(request(PLAIN, &[], ""));
    for name in ["keep-alive", "connection", "x-hop"] {
        assert_eq!(answer.values(name), Vec::<String>::new(), "{}", answer.head);
    }
    assert_eq!((answer.value("x-end"), answer.value("content-length")), ("2".into(), "0".into()));
}

#[test]
fn p8_forgetgates_own_request_lines_stay_here() {
    let seen = World::start().forwarded(request(PLAIN, &["Forgetgate-Authorization: Bearer secret"], ""));
    assert_eq!(seen.values("forgetgate-authorization"), Vec::<String>::new());
}

#[test]
fn p8_a_request_has_a_name_both_sides_know() {
    let world = World::start();
    let seen = world.forwarded(request(PLAIN, &["A: 1", "x-Request-ID: mine-1", "B: 2"], ""));
    let head = seen.head.split("\r\n").collect::<Vec<_>>();
    let at = head.iter().position(|line| *line == "x-Request-ID: mine-1").unwrap_or_else(|| panic!("{head:?}"));
    assert_eq!((head[at - 1], head[at + 1]), ("A: 1", "B: 2"), "in its place");
    let answer = world.ask(request(PLAIN, &[], ""));
    let made = answer.value("x-request-id");
    assert_eq!(world.upstream.seen().last().unwrap().values("x-request-id"), std::slice::from_ref(&made));
    assert!(uuid::Uuid::try_parse(&made).is_ok());
    world.upstream.will_say("HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(world.ask(request(PLAIN, &[], "")).value("x-request-id"), "theirs");
}

#[test]
fn p7_a_request_id_that_could_spoil_a_log_is_replaced() {
    let world = World::start();
    for bad in ["a b", "", &"x".repeat(129), "caf\u{e9}"] {
        let seen = world.forwarded(request(PLAIN, &[&format!("X-Request-Id: {bad}")], ""));
        let [made] = seen.values("x-request-id").try_into().unwrap();
        assert!(uuid::Uuid::try_parse(&made).is_ok(), "{made}");
    }
    let seen = world.forwarded(request(PLAIN, &["X-Request-Id: one", "X-Request-Id: two"], ""));
    assert_eq!(seen.values("x-request-id"), ["one"]);
}

#[test]
fn p8_a_trace_is_continued_or_begun() {
    let world = World::start();
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let sent = format!("traceparent: 00-{trace}-{span}-01");
    let seen = world.forwarded(request(PLAIN, &[&sent, "tracestate: a=b"], ""));
    let [ours] = seen.values("traceparent").try_into().unwrap();
    assert!(ours.starts_with(&format!("00-{trace}-")) && ours.ends_with("-01") && !ours.contains(span), "{ours}");
    assert_eq!(seen.values("tracestate"), ["a=b"]);
    for bad in ["traceparent: nonsense", "A: 1"] {
        let seen = world.forwarded(request(PLAIN, &[bad, "tracestate: a=b"], ""));
        let [ours] = seen.values("traceparent").try_into().unwrap();
        assert!(ours.starts_with("00-") && ours.len() == 55 && !ours.contains(trace), "{ours}");
        assert_eq!(seen.values("tracestate"), Vec::<String>::new(), "a state belongs to its trace");
    }
}

#[test]
fn p8_via_is_added_to_on_both_ways() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 200 OK\r\nVia: 1.1 theirs\r\nContent-Length: 0\r\n\r\n");
    let answer = world.ask(request(PLAIN, &["Via: 1.0 mine"], ""));
    assert_eq!(answer.values("via"), ["1.1 theirs", "1.1 forgetgate"]);
    assert_eq!(world.upstream.only().values("via"), ["1.0 mine", "1.1 forgetgate"]);
}

#[test]
fn p8_where_a_request_came_from_is_told_only_where_the_operator_says_so() {
    let lines =
        ["X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "Forwarded: for=10.0.0.1", "X-Forwarded-Host: evil"];
    let seen = World::start().forwarded(request(PLAIN, &lines, ""));
    assert_eq!(&seen.lines()[1..], lines, "somebody else's are somebody else's");
    let told = World::of(Plan { upstream: "forwarded = true".into(), ..Plan::default() });
    let seen = told.forwarded(request(PLAIN, &lines, ""));
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.values("x-forwarded-host"), ["gate"]);
    assert_eq!(seen.values("forwarded"), ["for=127.0.0.1;proto=http;host=\"gate\""]);
}

#[test]
fn p8_any_method_passes() {
    let world = World::start();
    for method in ["GET", "PATCH", "PUT", "DELETE", "OPTIONS", "REPORT", "M-SEARCH"] {
        assert_eq!(
            world.forwarded(request(&format!("{method} /api/v9/x"), &[], "")).line(),
            format!("{method} /v9/x HTTP/1.1")
        );
    }
}

#[test]
fn p8_a_get_arrives_with_its_body() {
    let world = World::start();
    let seen = world.forwarded(request(PLAIN, &["Content-Length: 5"], "hello"));
    assert_eq!((seen.body.as_slice(), seen.values("content-length")), (&b"hello"[..], vec!["5".to_owned()]));
    for method in ["GET", "DELETE", "OPTIONS"] {
        let line = format!("{method} /api/v9/x");
        let seen = world.forwarded(request(&line, &["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(
            (seen.body.as_slice(), seen.values("transfer-encoding")),
            (&b"hello"[..], vec!["chunked".to_owned()])
        );
    }
}

#[test]
fn p8_an_empty_body_stays_as_it_was_framed() {
    let world = World::start();
    let seen = world.forwarded(request("POST /api/v9/x", &["Content-Length: 0"], ""));
    assert_eq!((seen.values("content-length"), seen.values("transfer-encoding")), (vec!["0".to_owned()], vec![]));
    let seen = world.forwarded(request("POST /api/v9/x", &["Transfer-Encoding: chunked"], "0\r\n\r\n"));
    assert_eq!((seen.values("content-length"), seen.values("transfer-encoding")), (vec![], vec!["chunked".to_owned()]));
    let seen = world.forwarded(request(PLAIN, &[], ""));
    assert_eq!((seen.values("content-length"), seen.values("transfer-encoding")), (vec![], vec![]));
}

#[test]
fn p8_announced_trailers_pass_both_ways() {
    let world = World::start();
    world.upstream.will_say(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Two\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 9\r\nX-Two: 8\r\n\r\n",
    );
    let lines = ["TE: trailers", "Trailer: X-Sum", "Trailer: X-Other", "Transfer-Encoding: chunked"];
    let answer = world.ask(request("POST /api/v9/x", &lines, "2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"));
    let mut trailers = world.upstream.only().trailers;
    trailers.sort_unstable();
    assert_eq!(trailers, ["X-Other: 2", "X-Sum: 1"]);
    assert_eq!(world.upstream.only().values("te"), ["trailers"]);
    assert_eq!(
        (answer.body.as_slice(), answer.trailers),
        (&b"{}"[..], vec!["X-Sum: 9".to_owned(), "X-Two: 8".to_owned()])
    );
}

#[test]
fn p8_large_bodies_arrive_byte_for_byte_both_ways() {
    let world = World::start();
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    world.upstream.will_say(&answer);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut sent = request(MESSAGE, &[LABEL, "Transfer-Encoding: chunked"], "").into_bytes();
    for chunk in body.chunks(70_001) {
        for to in [&mut chunked, &mut sent] {
            to.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            to.extend_from_slice(chunk);
            to.extend_from_slice(b"\r\n");
        }
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    sent.extend_from_slice(b"0\r\n\r\n");
    world.upstream.will_say(&chunked);
    let mut client = world.client();
    for _ in 0..2 {
        let got = client.ask(&sent);
        assert!(got.whole && got.body == body);
    }
    assert!(world.upstream.seen().iter().all(|seen| seen.body == body && seen.connection == 0));
}

#[test]
fn p8_a_body_is_never_changed_by_its_coding() {
    let world = World::start();
    world.upstream.will_say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00");
    let answer = world.ask(request(PLAIN, &["Accept-Encoding: gzip, br"], ""));
    assert_eq!(answer.body, b"\x1f\x8b\x00");
    assert_eq!(world.upstream.only().values("accept-encoding"), ["gzip, br"]);
}

#[test]
fn p8_a_connection_is_kept_on_both_sides() {
    let world = World::start();
    let mut client = world.client();
    for _ in 0..5 {
        assert_eq!(client.ask(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")).status, 200);
    }
    assert_eq!((world.upstream.saw(5).len(), world.upstream.connections()), (5, 1));
}

#[test]
fn p8_close_is_between_two_ends_only() {
    let world = World::start();
    let mut client = world.client();
    let answer = client.ask(request(PLAIN, &["Connection: close"], ""));
    assert_eq!((answer.status, answer.value("connection")), (200, "close".to_owned()));
    assert_eq!(client.rest(), b"");
    assert_eq!(world.ask(request(PLAIN, &[], "")).status, 200);
    assert_eq!(world.upstream.connections(), 1, "the service's connection went on");
}

/// What is asked of a service at the first byte is passed on at the first byte, not when there is enough of it.
#[test]
fn p8_the_head_of_a_request_does_not_wait_for_its_body() {
    let (told, tell) = std::sync::mpsc::channel();
    let upstream = Upstream::serving(move |connection| {
        let head = connection.head().unwrap();
        told.send(head).unwrap();
        connection.until_closed();
    });
    let world = World::before(upstream, Plan::default());
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 1000000"], ""));
    let head = tell.recv_timeout(crate::client::PATIENCE).unwrap();
    assert!(find(head.as_bytes(), b"Content-Length: 1000000").is_some(), "{head}");
}
