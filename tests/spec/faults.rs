//! Services that are down, slow, broken or rude: what the caller is told, and that nothing is ever sent twice (P8).

use std::net::TcpListener;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::client::{PATIENCE, eventually, request};
use crate::upstream::{Connection, OK, Reply, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

const QUICK: &str = "connect_timeout = \"300ms\"\nresponse_timeout = \"500ms\"\nbody_stall_timeout = \"500ms\"\nanswer_stall_timeout = \"500ms\"";

#[test]
fn p8_a_service_that_is_down_is_a_502() {
    let mut upstream = Upstream::scripted();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    upstream.address = free;
    let world = World::before(upstream, Plan::default());
    for sent in [message(), request(PLAIN, &[], "")] {
        let answer = world.ask(sent);
        answer.assert_refused(502, "upstream_unreachable");
        assert_eq!(answer.values("retry-after"), Vec::<String>::new());
    }
}

#[test]
fn p8_a_service_that_never_answers_is_a_504() {
    let world = World::of(Plan { limits: QUICK, ..Plan::default() });
    for sent in [message(), request(PLAIN, &[], "")] {
        world.upstream.will(Reply::Hang);
        world.ask(sent).assert_refused(504, "upstream_timeout");
    }
    assert_eq!(world.upstream.saw(2).len(), 2, "each was sent once");
    assert_eq!(world.upstream.connections(), 2, "a connection that owes an answer is not used again");
}

/// What was given up is given up: it is not read on in the background, and counts as data that may still be stored.
#[test]
fn p4_an_answer_that_comes_too_late_is_not_taken_any_more() {
    let limits = "response_timeout = \"500ms\"\nupstream_idle_timeout = \"1h\"";
    let world = World::of(Plan { limits, ..Plan::default() });
    let (go, wait) = mpsc::channel();
    world.upstream.will(Reply::When(wait, OK.into()));
    world.ask(message()).assert_refused(504, "upstream_timeout");
    go.send(()).unwrap();
    eventually("the connection to the service has ended", || world.upstream.open() == 0);
    assert_eq!(world.forwarded(message()).connection, 1);
}

#[test]
fn p8_a_service_that_does_not_even_read_is_a_504() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::serving(move |connection| {
        connection.head();
        wait.lock().unwrap().recv_timeout(PATIENCE * 2).unwrap();
        connection.until_closed();
    });
    let world = World::before(upstream, Plan { limits: QUICK, ..Plan::default() });
    let mut client = world.client();
    let most = 90_000_000;
    client.send(request(MESSAGE, &[LABEL, &format!("Content-Length: {most}")], ""));
    client.try_send(vec![b'x'; most]).expect("what nobody wants any more is taken off the wire");
    client.answer().assert_refused(504, "upstream_timeout");
    // And what was given up never arrives whole, also when the service wakes up at last.
    go.send(()).unwrap();
    eventually("the service's connection has ended", || world.upstream.open() == 0);
    assert!(world.upstream.bytes(0).len() < most);
}

#[test]
fn p8_a_service_that_breaks_off_before_its_answer_is_a_502_and_is_asked_once() {
    for reply in [Reply::ThenClose(vec![]), Reply::ThenReset(vec![]), Reply::ThenClose(b"HTTP/1.1 200 O".to_vec())] {
        let world = World::start();
        world.upstream.will(reply);
        world.ask(message()).assert_refused(502, "upstream_unreachable");
        assert_eq!(world.upstream.seen().len(), 1);
    }
}

/// A reused connection makes no difference: what was written may have been done.
#[test]
fn p8_nothing_that_was_written_is_sent_again_over_a_reused_connection_either() {
    for sent in [message(), request(PLAIN, &[], "")] {
        let world = World::start();
        let mut client = world.client();
        assert_eq!(client.ask(&sent).status, 200);
        world.upstream.will(Reply::ThenClose(vec![]));
        client.ask(&sent).assert_refused(502, "upstream_unreachable");
        let seen = world.upstream.seen();
        assert_eq!((seen.len(), seen[1].connection), (2, 0), "the second one went over the first's connection, once");
        assert_eq!(client.ask(&sent).status, 200, "the caller's connection goes on");
    }
}

/// The service closes after each answer, without a word. Whether the gate sees it before it writes is a race, which it
/// may lose only so that nothing is sent twice and nobody is told a falsehood.
#[test]
fn p8_a_connection_that_died_in_the_pool_is_replaced_if_nothing_was_sent() {
    let closing = |connection: &mut Connection| {
        connection.request();
        connection.write(OK);
    };
    let world = World::before(Upstream::serving(closing), Plan::default());
    let mut client = world.client();
    for number in 1..=50 {
        let answer = client.ask(message());
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert_eq!(world.upstream.connections(), number);
        // Where the service closes while the next request is on its way, nobody can know what became of that.
        eventually("the service has closed it", || world.upstream.open() == 0);
    }
    assert_eq!(world.upstream.seen().len(), 50, "each was done once");
}

#[test]
fn p8_what_is_no_answer_is_a_502() {
    let answers: [&[u8]; 8] = [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for bytes in answers {
        let world = World::start();
        world.upstream.will(Reply::ThenClose(bytes.to_vec()));
        let answer = world.ask(message());
        assert_eq!(answer.status, 502, "{:?}: {}", String::from_utf8_lossy(bytes), answer.head);
        answer.assert_refused(502, "upstream_unreachable");
        assert_eq!(world.forwarded(message()).connection, 1);
    }
}

#[test]
fn p12_an_answers_head_is_bounded() {
    let world = World::start();
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(100_000));
    for head in [huge, many] {
        world.upstream.will(Reply::ThenClose(format!("{head}Content-Length: 0\r\n\r\n").into_bytes()));
        world.ask(message()).assert_refused(502, "upstream_unreachable");
    }
}

/// An answer that ends too early must not look like one that has ended.
#[test]
fn p8_an_answer_that_breaks_off_is_seen_to_break_off() {
    let halves = [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ];
    for half in halves {
        for reply in [Reply::ThenClose, Reply::ThenReset] {
            let world = World::start();
            world.upstream.will(reply(format!("HTTP/1.1 200 OK\r\n{half}").into_bytes()));
            let answer = world.ask(message());
            assert_eq!((answer.status, answer.whole), (200, false), "{half:?}");
            assert_eq!(world.forwarded(message()).connection, 1, "and its connection is not used again");
        }
    }
}

#[test]
fn p12_an_answer_that_stops_in_its_middle_is_given_up() {
    let upstream = Upstream::serving(|connection| {
        connection.request();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        connection.until_closed();
    });
    let world = World::before(upstream, Plan { limits: QUICK, ..Plan::default() });
    for sent in [message(), request(PLAIN, &[], "")] {
        let answer = world.ask(sent);
        assert_eq!((answer.status, answer.text(), answer.whole), (200, "half".to_owned(), false));
    }
}

/// A slow answer is no answer that has stopped.
#[test]
fn p8_an_answer_may_take_its_time_as_long_as_it_moves() {
    let upstream = Upstream::serving(|connection| {
        connection.request();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        for _ in 0..8 {
            std::thread::park_timeout(Duration::from_millis(150));
            connection.write("x");
        }
    });
    let world = World::before(upstream, Plan { limits: QUICK, ..Plan::default() });
    let answer = world.ask(message());
    assert_eq!((answer.text(), answer.whole), ("xxxxxxxx".to_owned(), true));
}
