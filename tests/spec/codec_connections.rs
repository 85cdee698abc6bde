//! How long a caller's connection lives, and what is answered on it in which order (P8, P9).

use crate::client::{Client, eventually, latin1, request};
use crate::codec_wire::{ANY, GET, Script, echoing, in_pieces};
use crate::upstream::{Connection, Upstream};
use crate::world::{LABEL, MESSAGE, Plan, World};

/// A request of a kind of its own for each number, and the body that an echo gives back.
fn numbered(number: usize) -> (String, String) {
    let line = format!("POST /api/v9/{number}");
    let text = format!("body {number}\r\n\r\nGET / HTTP/1.1\r\n");
    let (half, rest) = text.split_at(number % text.len());
    let chunk = |text: &str| if text.is_empty() { String::new() } else { format!("{:x}\r\n{text}\r\n", text.len()) };
    let sent = match number % 4 {
        0 => return (request(&line.replace("POST", "GET"), &[], ""), format!("/v9/{number} ")),
        1 => request(&line, &[&format!("Content-Length: {}", text.len())], &text),
        2 => request(&line, &["Transfer-Encoding: chunked"], &format!("{}{}0\r\n\r\n", chunk(half), chunk(rest))),
        _ => return (request(&line, &["Content-Length: 0"], ""), format!("/v9/{number} ")),
    };
    (sent, format!("/v9/{number} {text}"))
}

#[test]
fn p8_pipelined_requests_with_bodies_are_answered_in_their_order() {
    for count in [2, 50] {
        let world = echoing();
        let (sent, wanted): (Vec<String>, Vec<String>) = (0..count).map(numbered).unzip();
        let whole = sent.concat().into_bytes();
        for size in [whole.len(), 1000, 97] {
            let mut client = world.client();
            assert!(in_pieces(&client.socket, whole.chunks(size)));
            for wanted in &wanted {
                let answer = client.answer();
                assert_eq!((answer.status, &answer.text()), (200, wanted), "{count} in pieces of {size}");
            }
        }
        assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (3 * count, 1));
    }
}

/// The answers have every framing that there is; none of them may be taken for a part of its neighbour.
#[test]
fn p8_pipelined_answers_of_every_framing_stay_apart() {
    let script = Script::default();
    let world = script.world();
    let kinds = [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "one"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", ""),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2;x\r\nwo\r\n0\r\n\r\n", "two"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        ("GET", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ""),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
    ];
    let mut client = world.client();
    let mut all = String::new();
    for round in 0..5 {
        for (method, answer, _) in kinds {
            script.will_split(answer.as_bytes(), (round * 7 + 1).min(answer.len()));
            all.push_str(&request(&format!("{method} /api/v9/x"), &[], ""));
        }
    }
    client.send(&all);
    for _ in 0..5 {
        for (method, sent, body) in kinds {
            let answer = client.answer_to(method);
            assert_eq!((answer.text().as_str(), answer.whole), (body, true), "{sent}");
            assert!(sent.contains(&format!("HTTP/1.1 {} ", answer.status)), "{}", answer.head);
        }
    }
    assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (40, 1));
}

/// What the two ends have agreed on by version and `Connection` (RFC 9112 §9.3).
#[test]
fn p8_a_connection_goes_on_or_ends_as_was_agreed() {
    let agreements: [(&str, &[&str], bool); 12] = [
        ("1.1", &[], true),
        ("1.1", &["Connection: keep-alive"], true),
        ("1.1", &["Connection: Keep-Alive, X-Hop"], true),
        ("1.1", &["Connection: close"], false),
        ("1.1", &["connection: CLOSE"], false),
        ("1.1", &["Connection: X-Hop , close"], false),
        ("1.1", &["Connection: X-Hop", "Connection: close"], false),
        ("1.0", &[], false),
        ("1.0", &["Connection: close"], false),
        ("1.0", &["Connection: keep-alive"], true),
        ("1.0", &["connection: Keep-Alive"], true),
        ("1.0", &["Connection: X-Hop"], false),
    ];
    for (version, lines, goes_on) in agreements {
        let world = echoing();
        let sent = request(ANY, &[lines, &["Content-Length: 2"]].concat(), "{}").replace("1.1", version);
        let mut client = world.client();
        let answer = client.ask(&sent);
        assert_eq!((answer.status, answer.text()), (200, "/v9/x {}".to_owned()), "{sent}");
        let said = answer.values("connection").concat().to_ascii_lowercase();
        assert_eq!(said.contains("close"), version == "1.1" && !goes_on, "{sent}: {}", answer.head);
        assert_eq!(said.contains("keep-alive"), version == "1.0" && goes_on, "{sent}: {}", answer.head);
        if goes_on {
            assert_eq!(client.ask(&sent).text(), "/v9/x {}", "{sent}");
        } else {
            // It is the gate that closes: this caller keeps its side open.
            assert_eq!(client.rest(), b"", "{sent}");
        }
        assert_eq!(world.forwarded(request(GET, &[], "")).connection, 0, "the service's connection goes on: {sent}");
    }
}

/// Nothing may be done for what stands behind the last request (RFC 9112 §9.6).
#[test]
fn p9_behind_a_request_that_is_the_last_nothing_is_served() {
    let next = request("DELETE /api/v9/behind", &[], "");
    let last = [
        request(GET, &["Connection: close"], ""),
        request(ANY, &["Connection: close", "Content-Length: 2"], "{}"),
        request(ANY, &["Connection: close", "Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\n\r\n"),
        request(GET, &[], "").replace("HTTP/1.1", "HTTP/1.0"),
        request(MESSAGE, &["Connection: close", "Content-Length: 2"], "{}"),
    ];
    for last in last {
        let world = World::start();
        let mut client = world.client();
        client.send(format!("{last}{next}{next}"));
        assert!(client.answer().status > 0);
        assert_eq!(latin1(&client.rest()), "", "{last}");
        assert!(world.upstream.seen().iter().all(|seen| !seen.line().contains("behind")), "{last}");
        eventually("nothing is in flight", || world.in_flight() == 0);
        assert!(world.upstream.seen().len() <= 1);
    }
}

/// Nothing that HTTP/2 reads can be said to it, but what was answered before must not be lost, as it can be where a connection
/// is reset (RFC 9112 §9.6).
#[test]
fn p8_an_answer_before_the_preface_of_http_2_is_not_cut_off() {
    let world = echoing();
    let mut client = world.client();
    client.send(format!("{}PRI * HTTP/2.0\r\n\r\n{}", request(GET, &[], ""), "x".repeat(1 << 20)));
    client.finish_sending();
    let (came, ended) = client.until_its_end();
    let came = latin1(&came);
    assert!(ended && came.starts_with("HTTP/1.1 200 ") && came.matches("HTTP/1.1 ").count() == 1, "{ended} {came}");
}

/// HTTP/1.0 knows no chunks: what has no length lasts until the connection ends, so it cannot go on.
#[test]
fn p8_an_http_1_0_caller_gets_an_answer_without_a_length_until_its_end() {
    let answers = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\nb\r\nhello world\r\n0\r\nX: y\r\n\r\n",
    ];
    for answer in answers {
        for lines in [&[][..], &["Connection: keep-alive"], &["TE: trailers", "Connection: TE, keep-alive"]] {
            let world = World::start();
            world.upstream.will_say(answer);
            let mut client = world.client();
            client.send(request(GET, lines, "").replace("HTTP/1.1", "HTTP/1.0"));
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (200, "hello world".to_owned()), "{}", answer.head);
            assert_eq!(answer.values("transfer-encoding").len() + answer.values("content-length").len(), 0);
        }
    }
}

#[test]
fn p8_an_http_1_0_caller_needs_no_host_and_its_request_ends_with_its_head() {
    let world = World::start();
    let mut client = world.client();
    // Without a length there is no body: these bytes would be a next request, and there is none on this connection.
    client.send("POST /api/v9/x HTTP/1.0\r\nX: y\r\n\r\nleft over");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.rest(), b"");
    let seen = world.upstream.only();
    assert_eq!((seen.line(), seen.body.len()), ("POST /v9/x HTTP/1.1", 0));
    assert_eq!(seen.values("host"), [world.upstream.address.to_string()]);
}

/// Leaves in the middle of an answer, in either way.
fn leave(client: Client, rudely: bool) {
    if rudely {
        socket2::SockRef::from(&client.socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    drop(client);
}

/// What was left unread by one caller is not read by the next.
#[test]
fn p9_an_answer_whose_caller_has_left_is_nobody_elses() {
    for sent in [request(GET, &[], ""), request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")] {
        for rudely in [false, true] {
            let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".repeat(90_000);
            let upstream = Upstream::serving(move |connection: &mut Connection| {
                while connection.request().is_some() {
                    connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil}", evil.len()));
                }
            });
            let world = World::before(upstream, Plan::default());
            let mut client = world.client();
            client.send(&sent);
            client.read_until("evil");
            leave(client, rudely);
            eventually("nothing is in flight", || world.in_flight() == 0);
            let next = world.ask(&sent);
            assert_eq!(
                (next.value("content-length"), next.whole),
                ("3780000".to_owned(), true),
                "not an answer's rest"
            );
        }
    }
}

/// Half of a body, and its caller goes: the half is the end of that connection, and the next one is in step.
#[test]
fn p9_a_caller_that_leaves_in_its_body_leaves_nothing_behind() {
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        for rudely in [false, true] {
            let world = World::start();
            assert_eq!(world.ask(request(GET, &[], "")).status, 200);
            let mut client = world.client();
            client.send(request(ANY, &[framing], "3e8\r\nhalf"));
            eventually("it has begun to arrive", || latin1(&world.upstream.bytes(0)).contains("half"));
            leave(client, rudely);
            let next = world.forwarded(request("GET /api/v9/next", &[], ""));
            assert_eq!((next.line(), next.connection), ("GET /v9/next HTTP/1.1", 1));
            assert_eq!(world.upstream.seen().len(), 2);
            eventually("the service's connection has ended", || world.upstream.open() == 1);
        }
    }
}

/// Callers side by side, each with requests of its own sizes: nobody is given anything of another's.
#[test]
fn p9_many_callers_at_once_get_their_own_answers() {
    let world = echoing();
    let address = world.address;
    let ask = move |caller: usize| {
        let mut client = Client::to(address);
        for number in 0..40 {
            let text = format!("{caller}-{number}.").repeat(1 + (caller * 37 + number * 101) % 900);
            let line = format!("POST /api/v9/{caller}/{number}");
            let length = format!("Content-Length: {}", text.len());
            let chunks = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
            let sent = match number % 2 {
                0 => request(&line, &[&length], &text),
                _ => request(&line, &["Transfer-Encoding: chunked"], &chunks),
            };
            let answer = client.ask(sent);
            assert!(answer.text() == format!("/v9/{caller}/{number} {text}"), "{caller}, {number}: {}", answer.head);
        }
    };
    let callers: Vec<_> = (0..16).map(|caller| std::thread::spawn(move || ask(caller))).collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert_eq!(world.upstream.seen().len(), 16 * 40);
    assert!(world.upstream.connections() <= 16, "no more connections than there were callers at once");
}
