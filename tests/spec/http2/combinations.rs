//! One exchange in each of the four combinations of HTTP/1.1 and HTTP/2: what the service sees and what the caller gets is
//! the same in all of them (P1, P2, P8).

use bytes::Bytes;
use h2::server::Builder;
use http::{HeaderMap, Response};

use super::caller::{Caller, Got, request, run};
use super::service::{Exchange, Service};
use super::world::Gate;
use crate::client;
use crate::upstream::{Reply, Upstream};
use crate::world::{MESSAGE, PLAIN, Plan};

type Lines = &'static [(&'static str, &'static str)];

const LABEL: (&str, &str) = ("x-watson-metadata", "customer_id=alice");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http {
    One,
    Two,
}

/// A message: head lines, a body, and trailers.
#[derive(Clone, Debug, Default)]
struct Message {
    lines: Lines,
    body: Vec<u8>,
    /// Does its head say how long the body is?
    length: bool,
    trailers: Lines,
}

/// What arrived, as far as it is the same in both.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    /// Method, authority and target; or the status.
    first: String,
    lines: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

/// Lines that belong to one hop, or that the gate adds to all.
const OTHERS: [&str; 10] = [
    "via",
    "traceparent",
    "x-request-id",
    "host",
    "transfer-encoding",
    "content-length",
    "connection",
    "te",
    "trailer",
    "date",
];

fn sorted(lines: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let kept = lines.map(|(name, value)| (name.to_ascii_lowercase(), value));
    let mut lines: Vec<_> = kept.filter(|(name, _)| !OTHERS.contains(&name.as_str())).collect();
    lines.sort();
    lines
}

fn of_map(map: &HeaderMap) -> Vec<(String, String)> {
    sorted(map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())))
}

fn of_text<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    sorted(lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    }))
}

impl Message {
    fn chunked(&self) -> bool {
        !self.length && (!self.body.is_empty() || !self.trailers.is_empty())
    }

    /// As HTTP/1.1, behind its first line.
    fn text(&self) -> Vec<u8> {
        let mut head = String::new();
        for (name, value) in self.lines {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunked() {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if self.length {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut bytes = format!("{head}\r\n").into_bytes();
        if !self.chunked() {
            bytes.extend(&self.body);
            return bytes;
        }
        for piece in self.body.chunks(10_000) {
            bytes.extend(format!("{:x}\r\n", piece.len()).as_bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n");
        for (name, value) in self.trailers {
            bytes.extend(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend(b"\r\n");
        bytes
    }

    fn trailer_map(&self) -> HeaderMap {
        self.trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Sends the body in frames, as the other side has room for them.
    async fn send(&self, mut stream: h2::SendStream<Bytes>) {
        let mut left = Bytes::from(self.body.clone());
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            let piece = left.split_to(room.min(left.len()));
            stream.send_data(piece, false).unwrap();
        }
        if self.trailers.is_empty() {
            stream.send_data(Bytes::new(), true).unwrap();
        } else {
            stream.send_trailers(self.trailer_map()).unwrap();
        }
    }
}

/// What the service sees of `ask`, and what the caller gets of `reply`.
fn exchange(from: Http, to: Http, target: &str, ask: &Message, status: u16, reply: &Message) -> (Arrived, Arrived) {
    match to {
        Http::One => {
            let service = Upstream::scripted();
            let mut answer = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
            answer.extend(reply.text());
            service.will(Reply::Bytes(answer));
            let gate = Gate::of(service.address, &Plan::default());
            let got = caller(from, &gate, target, ask);
            let seen = service.saw(1).pop().unwrap();
            let mut first = seen.line().split(' ');
            let (method, path) = (first.next().unwrap(), first.next().unwrap());
            let authority = seen.values("host").join("|").replace(&service.address.to_string(), "SERVICE");
            let arrived = Arrived {
                first: format!("{method} {authority} {path}"),
                lines: of_text(seen.head.split("\r\n").skip(1)),
                body: seen.body,
                trailers: of_text(seen.trailers.iter().map(String::as_str)),
            };
            (arrived, got)
        }
        Http::Two => {
            let said = reply.clone();
            let handle = move |exchange: Exchange| {
                let reply = said.clone();
                async move {
                    let (_, mut respond) = exchange.read().await;
                    let mut head = Response::builder().status(status);
                    for (name, value) in reply.lines {
                        head = head.header(*name, *value);
                    }
                    if reply.length {
                        head = head.header("content-length", reply.body.len());
                    }
                    let bare = reply.body.is_empty() && reply.trailers.is_empty();
                    let stream = respond.send_response(head.body(()).unwrap(), bare).unwrap();
                    if !bare {
                        reply.send(stream).await;
                    }
                }
            };
            let service = Service::start(Builder::new(), handle);
            let gate = Gate::before(service.address);
            let got = caller(from, &gate, target, ask);
            let seen = service.saw(1).pop().unwrap();
            let uri = &seen.head.uri;
            let authority = uri.authority().unwrap().as_str().replace(&service.address.to_string(), "SERVICE");
            assert_eq!(seen.values("host"), Vec::<&str>::new());
            let arrived = Arrived {
                first: format!("{} {authority} {}", seen.head.method, uri.path_and_query().unwrap()),
                lines: of_map(&seen.head.headers),
                body: seen.body.clone(),
                trailers: of_map(&seen.trailers),
            };
            (arrived, got)
        }
    }
}

fn caller(from: Http, gate: &Gate, target: &str, ask: &Message) -> Arrived {
    match from {
        Http::One => {
            let mut client = gate.client();
            let mut bytes = format!("{target} HTTP/1.1\r\nHost: gate\r\n").into_bytes();
            bytes.extend(ask.text());
            client.send(bytes);
            let answer = client.answer_to(target.split(' ').next().unwrap());
            assert!(answer.whole);
            Arrived {
                first: answer.status.to_string(),
                lines: of_text(answer.head.split("\r\n").skip(1)),
                body: answer.body,
                trailers: of_text(answer.trailers.iter().map(String::as_str)),
            }
        }
        Http::Two => run(async {
            let caller = Caller::to(gate.address).await;
            let mut head = request(target, ask.lines);
            if ask.length {
                head.headers_mut().insert("content-length", ask.body.len().into());
            }
            let bare = ask.body.is_empty() && ask.trailers.is_empty();
            let (answer, stream) = caller.begin(head, bare).await;
            let sending = async {
                if !bare {
                    ask.send(stream).await;
                }
            };
            let (answer, ()) = tokio::join!(answer, sending);
            let got = Got::of(answer.unwrap()).await;
            assert!(got.cut.is_none(), "{:?}", got.cut);
            Arrived {
                first: got.status.to_string(),
                lines: of_map(&got.head),
                body: got.body,
                trailers: of_map(&got.trailers),
            }
        }),
    }
}

const ALL: [(Http, Http); 4] =
    [(Http::One, Http::One), (Http::One, Http::Two), (Http::Two, Http::One), (Http::Two, Http::Two)];

/// The same in all four: what arrives at the service, and what comes back.
#[track_caller]
fn same(target: &str, ask: &Message, status: u16, reply: &Message, expected: &str) {
    let path = target.split(' ').nth(1).unwrap().strip_prefix("/api").unwrap();
    let method = target.split(' ').next().unwrap();
    for (from, to) in ALL {
        let (seen, got) = exchange(from, to, target, ask, status, reply);
        let case = format!("{target} {from:?} to {to:?}");
        assert_eq!(seen.first, format!("{method} SERVICE {path}"), "{case}");
        assert_eq!(format!("{:?}", seen.lines), expected, "{case}");
        assert!(seen.body == ask.body, "{case}: {} of {} bytes arrived", seen.body.len(), ask.body.len());
        assert_eq!(seen.trailers, of_map(&ask.trailer_map()), "{case}");
        assert_eq!(got.first, status.to_string(), "{case}");
        assert_eq!(got.lines, sorted(reply.lines.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))), "{case}");
        let body: &[u8] = if method == "HEAD" { b"" } else { &reply.body };
        assert!(got.body == body, "{case}: {} of {} bytes came back", got.body.len(), body.len());
        assert_eq!(got.trailers, of_map(&reply.trailer_map()), "{case}");
    }
}

const LABELLED: &str = r#"[("x-watson-learning-opt-out", "true"), ("x-watson-metadata", "customer_id=alice")]"#;

fn message(body: &[u8], length: bool) -> Message {
    Message { lines: &[LABEL], body: body.to_vec(), length, ..Message::default() }
}

fn nothing() -> Message {
    Message { length: true, ..Message::default() }
}

fn big() -> Vec<u8> {
    (0..3_000_000_u32).map(|number| number.to_le_bytes()[usize::from(number % 5 == 0)]).collect()
}

#[test]
fn p8_gets_pass_in_all_four_combinations() {
    let reply = Message { body: b"[]".to_vec(), length: true, ..Message::default() };
    same(&format!("{PLAIN}?a=%7e&b=1/2"), &Message::default(), 200, &reply, "[]");
    let chunked = Message { length: false, ..reply };
    same(PLAIN, &Message::default(), 200, &chunked, "[]");
}

#[test]
fn p1_p2_p8_posts_pass_in_all_four_combinations_however_long_they_say_they_are() {
    let reply =
        Message { lines: &[("x-more", "1"), ("set-cookie", "a=1")], body: b"{}".to_vec(), ..Message::default() };
    for length in [true, false] {
        same(MESSAGE, &message(b"{\"a\":1}", length), 200, &reply, LABELLED);
    }
    same(MESSAGE, &message(b"", true), 201, &Message { length: true, ..Message::default() }, LABELLED);
}

#[test]
fn p8_a_get_with_a_body_of_unknown_length_keeps_it() {
    let ask = Message { body: b"unusual".to_vec(), ..Message::default() };
    same(PLAIN, &ask, 200, &nothing(), "[]");
}

#[test]
fn p8_large_bodies_pass_both_ways_in_all_four_combinations() {
    for length in [true, false] {
        let reply = Message { body: big(), length, ..Message::default() };
        same(MESSAGE, &message(&big(), length), 200, &reply, LABELLED);
    }
}

#[test]
fn p8_trailers_pass_both_ways_in_all_four_combinations() {
    let ask = Message { trailers: &[("x-sum", "1")], ..message(b"data", false) };
    let reply = Message { trailers: &[("x-end", "2"), ("x-more", "3")], body: b"data".to_vec(), ..Message::default() };
    same(MESSAGE, &ask, 200, &reply, LABELLED);
    let empty = Message { trailers: &[("x-sum", "1")], ..message(b"", false) };
    same(MESSAGE, &empty, 200, &Message { body: Vec::new(), ..reply }, LABELLED);
}

#[test]
fn p8_answers_without_a_body_stay_without_one_in_all_four_combinations() {
    same(&PLAIN.replace("GET", "HEAD"), &Message::default(), 200, &Message::default(), "[]");
    same(PLAIN, &Message::default(), 204, &Message::default(), "[]");
    same(PLAIN, &Message::default(), 304, &Message { lines: &[("etag", "\"a\"")], ..Message::default() }, "[]");
}

#[test]
fn p8_the_crumbs_of_a_cookie_are_one_line() {
    let ask = Message { lines: &[("cookie", "a=1"), ("cookie", "b=2; c=3")], ..Message::default() };
    for to in [Http::One, Http::Two] {
        let (seen, _) = exchange(Http::Two, to, PLAIN, &ask, 200, &nothing());
        assert_eq!(seen.lines, [("cookie".to_owned(), "a=1; b=2; c=3".to_owned())], "{to:?}");
    }
}

#[test]
fn p9_governed_names_are_kept_from_trailers_in_all_four_combinations() {
    let ask =
        Message { trailers: &[("x-watson-metadata", "customer_id=mallory"), ("x-sum", "1")], ..message(b"d", false) };
    for (from, to) in ALL {
        let (seen, _) = exchange(from, to, MESSAGE, &ask, 200, &nothing());
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())], "{from:?} to {to:?}");
    }
}

/// HTTP/1.1's own end-of-connection framing has no place in a pool, and the raw client is asked for it alone.
#[test]
fn p8_an_answer_that_ends_with_its_connection_is_whole_over_http_2() {
    let service = Upstream::scripted();
    service.will(Reply::ThenClose(b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec()));
    let gate = Gate::of(service.address, &Plan::default());
    run(async {
        let got = Caller::to(gate.address).await.ask(request(PLAIN, &[])).await;
        assert_eq!((got.body.as_slice(), got.cut.is_none()), (&b"to the end"[..], true));
    });
    let plain = client::request(PLAIN, &[], "");
    assert_eq!(gate.client().ask(plain).status, 200);
}
