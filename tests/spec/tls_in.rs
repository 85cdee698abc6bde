//! Callers over TLS: everything that holds without it holds with it, and nothing is spoken instead of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::certificates::{Authority, Caller, Issued, Secured, secured};
use crate::client::{Client, PATIENCE, eventually, request};
use crate::upstream::{Connection, Reply, Upstream};
use crate::websocket::{RECOGNIZE, accepting, handshake};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

/// A gate that shows these, the first to everybody else; `more` are further keys of its `tls`.
pub(crate) fn plan(certificates: &[&Issued], more: &str) -> Plan {
    let (first, further) = certificates.split_first().unwrap();
    let further: Vec<String> = further.iter().map(|each| format!("{{ {} }}", each.keys())).collect();
    let certs = if further.is_empty() { String::new() } else { format!(", certs = [{}]", further.join(", ")) };
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    Plan { listen: format!("tls = {{ {}{certs}{more} }}", first.keys()), ..Plan::default() }
}

pub(crate) fn labelled() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

/// A connection as `gate.test`.
pub(crate) fn over(world: &World, caller: &Caller) -> Secured {
    secured(world.address, "gate.test", &caller.config()).unwrap()
}

/// How many handshakes of callers have ended so.
pub(crate) fn handshakes(world: &World, code: &str) -> u64 {
    world.metric(&format!("forgetgate_tls_handshakes_total{{code=\"{code}\"}}"))
}

/// Waits until so many have: a caller may know it before they are counted.
#[track_caller]
pub(crate) fn counted(world: &World, code: &str, count: u64) {
    eventually(&format!("{count} handshakes are counted as {code}"), || handshakes(world, code) == count);
}

#[test]
fn p1_p8_a_caller_over_tls_is_labelled_towards_a_service_that_asks_for_a_certificate() {
    let authority = Authority::new();
    let (gate, shown) = (authority.issue("gate", &["gate.test"]), authority.issue("client", &["forgetgate.test"]));
    let service = authority.service("localhost", true, Connection::follow_script);
    let towards = format!("tls = {{ ca = \"{}\", {} }}\nforwarded = true", authority.ca().display(), shown.keys());
    let world = World::before(service, Plan { scheme: "https", upstream: towards, ..plan(&[&gate], "") });
    let mut caller = over(&world, &Caller::believing(&authority));
    assert_eq!(caller.protocol.as_deref(), Some("http/1.1"));
    for _ in 0..3 {
        let answer = caller.client.ask(labelled());
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    }
    let seen = world.upstream.saw(3);
    assert!(seen.iter().all(|seen| seen.connection == 0 && seen.body == b"{}"));
    assert_eq!(seen[0].values("x-watson-metadata"), ["customer_id=alice"]);
    assert_eq!(seen[0].values("x-watson-learning-opt-out"), ["true"]);
    assert_eq!(seen[0].values("x-forwarded-proto"), ["https"]);
    caller.client.ask(request(MESSAGE, &["Content-Length: 2"], "{}")).assert_refused(400, "label_missing");
}

#[test]
fn p1_a_service_that_asks_for_a_certificate_and_is_shown_none_sees_nothing() {
    let authority = Authority::new();
    let towards = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    let service = authority.service("localhost", true, Connection::follow_script);
    let world = World::before(service, Plan { scheme: "https", upstream: towards, ..Plan::default() });
    world.ask(labelled()).assert_refused(502, "upstream_unreachable");
    assert_eq!(world.upstream.seen().len(), 0);
}

#[test]
fn p8_bodies_of_any_size_pass_both_ways() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    for length in [0, 1, 2_047, 2_049, 16_384, 16_385, 1_000_000] {
        let body = "x".repeat(length);
        world.upstream.will_say(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
        let answer = caller.ask(request(MESSAGE, &[LABEL, &format!("Content-Length: {length}")], &body));
        assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, length));
    }
    assert_eq!(world.upstream.saw(7)[6].body.len(), 1_000_000);
}

#[test]
fn p9_what_is_no_tls_is_closed_and_counted() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    for bytes in [labelled().as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff, 1], &[0x80; 64]]
    {
        let mut socket = TcpStream::connect(world.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(bytes).unwrap();
        let mut came = Vec::new();
        socket.read_to_end(&mut came).ok();
        assert!(came.starts_with(&[0x15, 3]) && came.len() == 7, "an alert, and nothing else: {came:?}");
    }
    counted(&world, "not_tls", 4);
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    assert_eq!(caller.ask(request(PLAIN, &[], "")).status, 200);
    assert_eq!(world.upstream.seen().len(), 1);
}

#[test]
fn p12_who_sends_nothing_or_dribbles_has_as_long_as_a_head_has() {
    let authority = Authority::new();
    let limits = "header_timeout = \"300ms\"\nconnections_max = 2";
    let world = World::of(Plan { limits, ..plan(&[&authority.issue("gate", &["gate.test"])], "") });
    let began = Instant::now();
    let mut silent = Client::to(world.address);
    let mut slow = Client::to(world.address);
    // The beginning of a ClientHello of 512 bytes, of which one byte comes at a time.
    slow.send([0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
    let socket = slow.socket.try_clone().unwrap();
    let dribble = std::thread::spawn(move || {
        let mut socket = socket;
        while socket.write_all(&[0]).is_ok() && began.elapsed() < PATIENCE {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    assert_eq!(silent.rest(), b"");
    slow.rest();
    dribble.join().unwrap();
    assert!(began.elapsed() < PATIENCE);
    counted(&world, "timeout", 2);
    // Half-open handshakes had counted against `connections_max`.
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    assert_eq!(caller.ask(request(PLAIN, &[], "")).status, 200);
}

#[test]
fn p12_a_stop_does_not_wait_for_handshakes() {
    let authority = Authority::new();
    let limits = "header_timeout = \"1h\"\ndrain_timeout = \"1h\"";
    let mut world = World::of(Plan { limits, ..plan(&[&authority.issue("gate", &["gate.test"])], "") });
    let mut silent = Client::to(world.address);
    eventually("it has been accepted", || world.metric("forgetgate_connections_open") == 1);
    assert!(world.stop());
    assert_eq!(silent.rest(), b"");
}

#[test]
fn p1_p8_a_websocket_runs_over_tls() {
    let echoing = |connection: &mut Connection| {
        if connection.head().is_some() {
            connection.write(accepting());
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = connection.socket.read(&mut buffer) {
                connection.write(&buffer[..length]);
            }
        }
    };
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let plan = Plan { profile: "watson-speech-to-text", ..plan(&[&gate], "") };
    let world = World::before(Upstream::serving(echoing), plan);
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    caller.send(handshake(RECOGNIZE, &[LABEL]));
    assert!(caller.head().starts_with("HTTP/1.1 101 "));
    caller.send([0x81, 0x85, 1, 2, 3, 4, 105, 103, 111, 104, 110]);
    assert_eq!(caller.read_until("n").as_bytes().last(), Some(&110));
    let bytes = String::from_utf8_lossy(&world.upstream.bytes(0)).into_owned();
    assert!(bytes.starts_with("GET /v1/recognize?x-watson-metadata=customer_id%3Dalice&"), "{bytes}");
}

/// The end of TLS is said; what ends without that was cut, and must not look whole (RFC 8446 §6.1).
#[test]
fn p8_an_answer_of_a_service_that_is_cut_does_not_look_whole() {
    let authority = Authority::new();
    let gate = authority.issue("gate", &["gate.test"]);
    let cutting = |connection: &mut Connection| {
        let seen = connection.request().unwrap();
        connection.write("HTTP/1.1 200 OK\r\n\r\nhalf of");
        // Where it says so, the socket ends and TLS does not.
        if seen.line().contains("cut") {
            connection.socket.shutdown(std::net::Shutdown::Both).unwrap();
        } else {
            connection.say_end();
        }
    };
    let service = authority.service("localhost", false, cutting);
    let towards = format!("tls = {{ ca = \"{}\" }}", authority.ca().display());
    let world = World::before(service, Plan { scheme: "https", upstream: towards, ..plan(&[&gate], "") });
    for (path, whole) in [("GET /api/v1/workspaces?cut", false), ("GET /api/v1/workspaces?whole", true)] {
        let mut caller = over(&world, &Caller::believing(&authority)).client;
        let answer = caller.ask(request(path, &[], ""));
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (200, "half of", whole), "{path}");

        // A caller of HTTP/1.0 knows an answer's end by the connection's: there TLS says it, or does not.
        let mut caller = over(&world, &Caller::believing(&authority)).client;
        caller.send(format!("{path} HTTP/1.0\r\n\r\n"));
        let (came, ended) = caller.until_its_end();
        assert!(came.ends_with(b"half of"), "{path}");
        assert_eq!(ended, whole, "{path}");
    }
}

#[test]
fn p8_a_caller_that_says_its_end_gets_its_answer() {
    let authority = Authority::new();
    let world = World::of(plan(&[&authority.issue("gate", &["gate.test"])], ""));
    let (tell, told) = std::sync::mpsc::channel();
    world.upstream.will(Reply::When(told, crate::upstream::OK.into()));
    let mut caller = over(&world, &Caller::believing(&authority)).client;
    caller.send(labelled());
    world.upstream.saw(1);
    tell.send(()).unwrap();
    assert_eq!(caller.answer().status, 200);
}
