//! WebSockets: labelled before they are opened (P1 to P3), untouched once they are (P8), and never a way round (P9).

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc;

use forgetgate::domain::websocket::{Sender, accept_of};

use crate::client::{Client, PATIENCE, eventually, request, values};
use crate::upstream::{Connection, Upstream};
use crate::world::{Plan, World};

pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const RECOGNIZE: &str = "GET /api/v1/recognize";

pub(crate) fn handshake(target: &str, lines: &[&str]) -> String {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let own = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", &key];
    request(target, &[&own[..], lines].concat(), "")
}

pub(crate) fn accepting() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept_of(KEY.as_bytes())
    )
}

/// Accepts, and then sends back whatever comes.
pub(crate) fn echoing() -> Upstream {
    Upstream::serving(|connection: &mut Connection| {
        if connection.head().is_none() {
            return;
        }
        connection.write(accepting());
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = connection.socket.read(&mut buffer) {
            if connection.socket.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    })
}

pub(crate) fn speech(upstream: Upstream, policy: &'static str) -> World {
    World::before(upstream, Plan { profile: "watson-speech-to-text", policy, ..Plan::default() })
}

/// What the service sees of a handshake.
#[track_caller]
pub(crate) fn seen(target: &str, lines: &[&str], policy: &'static str) -> String {
    let world = speech(echoing(), policy);
    let mut client = world.client();
    client.send(handshake(target, lines));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let bytes = world.upstream.bytes(0);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn p1_p2_label_and_opt_out_leave_in_the_query_wherever_they_came_in() {
    let label = "X-Watson-Metadata: customer_id=alice";
    let ways: [(&str, &[&str], &str); 8] = [
        ("", &[label], ""),
        ("?x-watson-metadata=customer_id%3Dalice", &[], ""),
        ("?x-watson-metadata=customer_id=alice", &[], ""),
        ("?X-Watson-Metadata=customer_id%3dalice", &[label], ""),
        ("?model=en&X%2DWatson-Metadata=customer_id=alice&a=%7e", &[], "model=en&a=%7e&"),
        ("?x-watson-learning-opt-out=false", &[label], ""),
        ("?X-WDC-PL-OPT-OUT=0&model=en", &[label, "X-Watson-Learning-Opt-Out: false"], "model=en&"),
        ("?x-watson-learning-opt-out=true&x-watson-learning-opt-out=1", &[label, "X-WDC-PL-OPT-OUT: 1"], ""),
    ];
    for (query, lines, kept) in ways {
        let head = seen(&format!("{RECOGNIZE}{query}"), lines, "");
        let expected = format!(
            "GET /v1/recognize?{kept}x-watson-metadata=customer_id%3Dalice&x-watson-learning-opt-out=true HTTP/1.1\r\n"
        );
        assert!(head.starts_with(&expected), "{query} {lines:?}: {head}");
        let lower = head.to_ascii_lowercase();
        for governed in ["\r\nx-watson-metadata", "\r\nx-watson-learning-opt-out", "\r\nx-wdc-pl-opt-out"] {
            assert!(!lower.contains(governed), "{governed}: {head}");
        }
        assert_eq!(lower.matches("\r\nupgrade: websocket\r\n").count(), 1, "{head}");
        assert_eq!(lower.matches("\r\nconnection: upgrade\r\n").count(), 1, "{head}");
        assert!(head.contains(&format!("\r\nSec-WebSocket-Key: {KEY}\r\n")), "{head}");
    }
}

#[test]
fn p1_an_address_leaves_a_handshake_as_an_alias() {
    let head = seen(&format!("{RECOGNIZE}?x-watson-metadata=customer_id%3Dann%40example.com"), &[], "");
    assert!(head.contains("x-watson-metadata=customer_id%3Dfg_"), "{head}");
    assert!(!head.contains("example"), "{head}");
}

#[test]
fn p11_a_weaker_opt_out_is_the_operators_word() {
    let label = "X-Watson-Metadata: customer_id=alice";
    let off = "opt_out = \"default\"";
    let head = seen(&format!("{RECOGNIZE}?x-watson-learning-opt-out=false"), &[label], off);
    assert!(head.contains("&x-watson-learning-opt-out=false HTTP/1.1"), "{head}");
}

#[test]
fn p1_a_handshake_that_is_refused_gets_a_plain_answer_and_goes_nowhere() {
    let alice = "X-Watson-Metadata: customer_id=alice";
    let bad: [(&str, &[&str], &str); 6] = [
        ("", &[], "label_missing"),
        ("?x-watson-metadata=", &[], "label_missing"),
        ("?x-watson-metadata=customer_id%3Dbob", &[alice], "label_conflict"),
        ("?x-watson-metadata=customer_id%3Dbob&X-Watson-Metadata=customer_id%3Dbob", &[], "header_ambiguous"),
        ("", &[alice, "Content-Length: 2"], "header_ambiguous"),
        ("", &[alice, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZg=="], "header_ambiguous"),
    ];
    for (query, lines, code) in bad {
        let world = speech(Upstream::scripted(), "");
        world.ask(handshake(&format!("{RECOGNIZE}{query}"), lines)).assert_refused(400, code);
        assert_eq!(world.upstream.connections(), 0, "{query} {lines:?}");
    }
}

/// A call that the profile knows as an ordinary one reads label and opt-out in headers, whatever a caller asks for.
#[test]
fn p1_p2_a_handshake_for_an_ordinary_call_takes_nothing_out_of_its_headers() {
    let label = "X-Watson-Metadata: customer_id=alice";
    let plan = || Plan { profile: "watson-discovery", ..Plan::default() };
    let query = "/v1/environments/e/collections/c/query?natural_language_query=hello";
    for (asked, lines) in [("", &[label][..]), ("&x-watson-metadata=customer_id%3Dalice", &[])] {
        let world = World::of(plan());
        let seen = world.forwarded(handshake(&format!("GET /api{query}{asked}"), lines));
        assert!(seen.line().starts_with(&format!("GET {query}")), "{}", seen.head);
        assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "{}", seen.head);
        assert_eq!(seen.values("upgrade"), Vec::<String>::new(), "{}", seen.head);
        if lines.contains(&label) {
            assert_eq!(seen.values("x-watson-metadata"), ["customer_id=alice"], "{}", seen.head);
            assert!(!seen.line().contains("watson-"), "{}", seen.head);
        }
    }
}

/// Where one path is both, a service that does not take the upgrade reads headers.
#[test]
fn p1_p2_what_is_both_a_handshake_and_an_ordinary_call_is_labelled_in_both_places() {
    for (query, lines) in
        [("", &["X-Watson-Metadata: customer_id=alice"][..]), ("&x-watson-metadata=customer_id%3Dalice", &[])]
    {
        let world = World::before(echoing(), Plan { profile: "watson-text-to-speech", ..Plan::default() });
        let mut client = world.client();
        client.send(handshake(&format!("GET /api/v1/synthesize?text=x{query}"), lines));
        assert!(client.head().starts_with("HTTP/1.1 101 "));
        let head = String::from_utf8(world.upstream.bytes(0)).unwrap();
        let said = "?text=x&x-watson-metadata=customer_id%3Dalice&x-watson-learning-opt-out=true HTTP/1.1";
        assert!(head.contains(said), "{head}");
        assert_eq!(values(&head, "x-watson-metadata"), ["customer_id=alice"], "{head}");
        assert_eq!(values(&head, "x-watson-learning-opt-out"), ["true"], "{head}");
    }
}

pub(crate) fn opened(world: &World) -> Client {
    let mut client = world.client();
    client.send(handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice"]));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains(&accept_of(KEY.as_bytes())), "{head}");
    client
}

#[test]
fn p8_bytes_pass_untouched_both_ways_until_both_have_closed() {
    let world = speech(echoing(), "");
    let mut client = opened(&world);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut writing = client.socket.try_clone().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        writing.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(client.rest() == sent, "the echo is not what was sent");
    writer.join().unwrap();
    eventually("nothing is in flight", || world.in_flight() == 0);
}

/// Only the answer to this very handshake opens it: whatever else the service says is an answer, or none.
#[test]
fn p9_nothing_passes_unjudged_without_the_services_word() {
    let label = "X-Watson-Metadata: customer_id=alice";
    let hidden = request("DELETE /api/v1/hidden", &[], "");
    let switched = [
        accepting().replace(&accept_of(KEY.as_bytes()), &accept_of(b"another")),
        accepting().replace("Sec-WebSocket-Accept", "X-Other"),
        accepting().replace("Upgrade: websocket", "Upgrade: h2c"),
        accepting().replace("Connection: Upgrade\r\n", ""),
    ];
    for answer in switched {
        let world = speech(Upstream::scripted(), "");
        world.upstream.will_say(&answer);
        let answered = world.ask(handshake(RECOGNIZE, &[label]));
        answered.assert_refused(502, "upstream_unreachable");
    }
    let world = speech(Upstream::scripted(), "");
    world.upstream.will_say("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    let mut client = world.client();
    client.send(format!("{}{}", handshake(RECOGNIZE, &[label]), request(RECOGNIZE, &["Content-Length: 0"], "")));
    assert_eq!(client.answer().status, 426);
    client.send(&hidden);
    drop(client.answer());
    let seen = world.upstream.saw(2);
    assert!(seen.iter().skip(1).all(|seen| !seen.head.to_ascii_lowercase().contains("upgrade")), "{seen:?}");
}

/// A client that asked without a handshake learns from the service that it has to upgrade.
#[test]
fn p8_a_service_that_requires_a_websocket_is_heard() {
    let world = speech(Upstream::scripted(), "");
    world.upstream.will_say(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c, WebSocket\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = world.ask(request("GET /api/v1/models", &[], ""));
    assert_eq!(answer.status, 426);
    assert_eq!(
        (answer.values("upgrade"), answer.values("connection")),
        (vec!["websocket".into()], vec!["Upgrade".into()])
    );
    world.upstream.will_say("HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n");
    let other = world.ask(request("GET /api/v1/models", &[], ""));
    assert_eq!((other.status, other.values("upgrade").len()), (426, 0), "what the gate does not carry is not offered");
}

/// A stop says goodbye to both ends, to each only between two frames.
#[test]
fn p12_a_stop_closes_with_1001() {
    let (told, tell) = mpsc::channel::<Vec<u8>>();
    let told = Mutex::new(told);
    let upstream = Upstream::serving(move |connection: &mut Connection| {
        if connection.head().is_none() {
            return;
        }
        connection.write(accepting());
        let mut frame = [0; 6];
        connection.socket.read_exact(&mut frame).unwrap();
        connection.write([0x82, 3, 1, 2]);
        let mut last = [0; 8];
        connection.socket.read_exact(&mut last).unwrap();
        told.lock().unwrap().send(last.to_vec()).unwrap();
        // The frame that was cut short ends only when the stop has been seen here.
        connection.write([3]);
        connection.until_closed();
    });
    let plan = Plan { profile: "watson-speech-to-text", limits: "drain_timeout = \"20s\"", ..Plan::default() };
    let mut world = World::before(upstream, plan);
    let mut client = opened(&world);
    client.send([0x81, 0x80, 0, 0, 0, 0]);
    let mut start = [0; 4];
    client.socket.read_exact(&mut start).unwrap();
    assert_eq!(start, [0x82, 3, 1, 2]);
    let gate = world.take_gate();
    let stopping = std::thread::spawn(move || gate.stop());
    assert_eq!(tell.recv_timeout(PATIENCE).unwrap(), Sender::Client.going_away());
    let mut end = [0; 5];
    client.socket.read_exact(&mut end).unwrap();
    assert_eq!(end, *[&[3][..], Sender::Server.going_away()].concat());
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"");
    assert!(stopping.join().unwrap(), "nothing was cut");
}

/// Java's client says how long the body is that a handshake does not have.
#[test]
fn p8_a_handshake_may_say_that_it_has_no_body() {
    for nought in ["0", "00"] {
        let world = speech(echoing(), "");
        let mut client = world.client();
        let length = format!("Content-Length: {nought}");
        client.send(handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice", &length]));
        assert!(client.head().starts_with("HTTP/1.1 101 "));
        assert_open(&mut client);
    }
    for body in ["Content-Length: 1", "Transfer-Encoding: chunked", "Content-Length: +0", "Content-Length: 0, 0"] {
        let world = speech(Upstream::scripted(), "");
        let sent = handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice", body]);
        world.ask(sent).assert_refused(400, "header_ambiguous");
    }
}

#[test]
fn p8_a_websocket_in_which_nothing_moves_ends_with_a_close_frame() {
    let plan = Plan { profile: "watson-speech-to-text", limits: "idle_timeout = \"400ms\"", ..Plan::default() };
    let world = World::before(echoing(), plan);
    let mut client = opened(&world);
    let mut end = [0; 4];
    client.socket.read_exact(&mut end).unwrap();
    assert_eq!(end, *Sender::Server.going_away());
}

/// One that accepts WebSockets and takes deletes.
fn echoing_and_erasing() -> Upstream {
    Upstream::serving(|connection: &mut Connection| {
        while let Some(head) = connection.head() {
            if !head.contains("Upgrade: websocket") {
                connection.write(crate::upstream::OK);
                continue;
            }
            connection.write(accepting());
            let mut buffer = [0; 100];
            while let Ok(length @ 1..) = connection.socket.read(&mut buffer) {
                connection.socket.write_all(&buffer[..length]).unwrap();
            }
            return;
        }
    })
}

fn erased(world: &World) {
    let answer = world.ask(request("DELETE /api/v1/user_data?customer_id=alice", &[], ""));
    assert_eq!(answer.status, 200, "{} {}", answer.head, answer.text());
}

const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

#[track_caller]
fn assert_open(client: &mut Client) {
    client.send(PING);
    let mut echo = [0; 6];
    client.socket.read_exact(&mut echo).unwrap();
    assert_eq!(echo, PING);
}

#[test]
fn p4_an_erasure_closes_its_customers_websockets_where_the_operator_wants_that() {
    let limits = "\n[erasure]\nopen_websockets = \"close\"";
    let plan = Plan { profile: "watson-speech-to-text", limits, ..Plan::default() };
    let world = World::before(echoing_and_erasing(), plan);
    let (mut alice, mut bob) = (opened(&world), world.client());
    bob.send(handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=bob"]));
    assert!(bob.head().starts_with("HTTP/1.1 101 "));
    assert_open(&mut alice);
    erased(&world);
    let mut goodbye = [0; 4];
    alice.socket.read_exact(&mut goodbye).unwrap();
    assert_eq!(goodbye, *Sender::Server.going_away());
    assert_open(&mut bob);
}

#[test]
fn p4_an_erasure_leaves_open_websockets_alone_otherwise() {
    let plan = Plan { profile: "watson-speech-to-text", ..Plan::default() };
    let world = World::before(echoing_and_erasing(), plan);
    let mut alice = opened(&world);
    erased(&world);
    assert_open(&mut alice);
}

#[test]
fn p2_p9_on_other_calls_a_query_says_nothing_else_than_the_headers() {
    let alice = "X-Watson-Metadata: customer_id=alice";
    let speaking = || World::of(Plan { profile: "watson-text-to-speech", ..Plan::default() });
    let target = "GET /api/v1/synthesize?text=hello";
    let seen = speaking().forwarded(request(&format!("{target}&X-Watson-Learning-Opt-Out=false&b=%7e"), &[alice], ""));
    assert_eq!(seen.line(), "GET /v1/synthesize?text=hello&b=%7e HTTP/1.1");
    assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"]);
    let seen = speaking().forwarded(request(&format!("{target}&x-watson-metadata=customer_id=alice"), &[], ""));
    assert_eq!(
        (seen.line(), seen.values("x-watson-metadata")),
        ("GET /v1/synthesize?text=hello HTTP/1.1", vec!["customer_id=alice".to_owned()])
    );
    let conflict = request(&format!("{target}&x-watson-metadata=customer_id=bob"), &[alice], "");
    speaking().refused_first(conflict, "label_conflict");
}

impl World {
    /// A request that is refused before the service has seen anything.
    #[track_caller]
    fn refused_first(&self, bytes: String, code: &str) {
        self.ask(bytes).assert_refused(400, code);
        assert_eq!(self.upstream.connections(), 0);
    }
}
