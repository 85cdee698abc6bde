//! P12: bounded. A slow or hostile peer meets a limit that the operator can set.

use std::time::Duration;

use crate::client::{Client, eventually, request};
use crate::upstream::Reply;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

fn limited(limits: &'static str) -> World {
    World::of(Plan { limits, ..Plan::default() })
}

#[test]
fn p12_a_head_that_is_too_large_is_a_431() {
    let world = World::start();
    let padded =
        |bytes: usize| request(MESSAGE, &[LABEL, &format!("X-Pad: {}", "x".repeat(bytes)), "Content-Length: 2"], "{}");
    assert_eq!(world.ask(padded(60_000)).status, 200);
    let world = World::start();
    world.refused(padded(66_000), 431, "header_too_large");
}

#[test]
fn p12_the_operator_may_set_the_size_of_a_head() {
    let padded = |bytes: usize| request(PLAIN, &[&format!("X-Pad: {}", "x".repeat(bytes))], "");
    let world = limited("header_bytes_max = \"8KiB\"");
    assert_eq!(world.ask(padded(7_000)).status, 200);
    world.ask(padded(9_000)).assert_refused(431, "header_too_large");
    let world = limited("header_bytes_max = \"1KiB\"");
    assert_eq!(world.ask(padded(700)).status, 200);
    world.ask(padded(1_100)).assert_refused(431, "header_too_large");
}

#[test]
fn p12_too_many_lines_are_a_431() {
    let lines = |count: usize| {
        let lines: Vec<String> = (0..count).map(|number| format!("X-{number}: y")).collect();
        request(PLAIN, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "")
    };
    let world = limited("headers_max = 20");
    assert_eq!(world.ask(lines(19)).status, 200);
    world.ask(lines(20)).assert_refused(431, "header_too_large");
    assert_eq!(World::start().ask(lines(99)).status, 200);
    assert_eq!(World::start().ask(lines(101)).status, 431);
    let world = limited("headers_max = 200");
    assert_eq!(world.ask(lines(199)).status, 200);
    world.ask(lines(200)).assert_refused(431, "header_too_large");
}

/// It is answered when it is too much, and what still comes is thrown away, so that the answer can be read.
#[test]
fn p12_ten_megabytes_of_head_are_a_431_too() {
    let world = World::start();
    for head in [format!("X: {}", "x".repeat(10 << 20)), "X: y\r\n".repeat(2 << 20)] {
        let mut client = world.client();
        client.send("GET /api/v1/workspaces HTTP/1.1\r\nHost: gate\r\n");
        client.try_send(&head).expect("it is taken off the wire");
        let answer = client.answer();
        assert_eq!(answer.status, 431, "{}", answer.head);
    }
    world.assert_untouched();
}

#[test]
fn p12_a_target_that_is_too_long_is_refused() {
    let world = World::start();
    for length in [65_000, 66_000, 1 << 20] {
        let mut client = world.client();
        client
            .try_send(request(&format!("GET /api/v1/{}", "x".repeat(length)), &[], ""))
            .expect("it is taken off the wire");
        let answer = client.answer();
        assert!(
            matches!(answer.status, 414 | 431) || (length == 65_000 && answer.status == 200),
            "{length}: {}",
            answer.head
        );
    }
    assert!(world.upstream.seen().len() <= 1);
}

#[test]
fn p12_a_caller_that_says_nothing_is_left() {
    let world = limited("idle_timeout = \"300ms\"");
    assert_eq!(world.client().rest(), b"");
    let mut client = world.client();
    assert_eq!(client.ask(message()).status, 200);
    assert_eq!(client.rest(), b"");
}

#[test]
fn p12_half_a_head_is_not_waited_for() {
    let world = limited("header_timeout = \"300ms\"");
    for half in ["P", "PRI ", "GET /api HTTP/1.1\r\nHost: ga", "\r\n"] {
        let mut client = world.client();
        client.send(half);
        client.rest();
    }
    let mut second = world.client();
    assert_eq!(second.ask(message()).status, 200);
    second.send("POST /api");
    second.rest();
    assert_eq!(world.ask(message()).status, 200);
}

/// The time runs from the first byte of a head to its last, however the bytes between are spread.
#[test]
fn p12_a_head_that_drips_is_not_waited_for() {
    let world = limited("header_timeout = \"400ms\"");
    let mut client = world.client();
    client.send("GET /api/v1/workspaces HTTP/1.1\r\nHost: gate\r\nX: ");
    client.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut closed = false;
    for _ in 0..100 {
        if client.try_send("y").is_err() {
            closed = true;
            break;
        }
        let mut byte = [0; 1];
        match std::io::Read::read(&mut client.socket, &mut byte) {
            Ok(0) => closed = true,
            Ok(_) => panic!("an answer to half a head"),
            Err(error) => {
                closed = !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        }
        if closed {
            break;
        }
    }
    assert!(closed, "five seconds of dripping were borne");
}

#[test]
fn p12_a_body_that_stops_is_not_waited_for() {
    let world = limited("body_stall_timeout = \"300ms\"");
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 100"], "half"));
    client.rest();
    eventually("the service's connection has ended", || world.upstream.open() == 0);
    assert!(world.upstream.seen().is_empty());
}

#[test]
fn p12_a_caller_that_stops_reading_is_left() {
    let world = limited("body_stall_timeout = \"400ms\"");
    let mut large = b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n".to_vec();
    large.resize(large.len() + (64 << 20), b'x');
    world.upstream.will_say(large);
    let mut client = world.client();
    client.send(request(PLAIN, &[], ""));
    client.head();
    eventually("the gate has given the caller up", || world.in_flight() == 0);
    let rest = client.rest();
    assert!(rest.len() < 64 << 20);
}

#[test]
fn p12_more_requests_than_allowed_are_told_to_come_again() {
    let world = limited("in_flight_max = 2");
    let mut held = Vec::new();
    let mut go = Vec::new();
    for number in 1..=2 {
        let (tell, told) = std::sync::mpsc::channel();
        world.upstream.will(Reply::When(told, crate::upstream::OK.into()));
        let mut client = world.client();
        client.send(message());
        world.upstream.saw(number);
        held.push(client);
        go.push(tell);
    }
    let answer = world.ask(message());
    answer.assert_refused(503, "overloaded");
    assert_eq!(answer.value("retry-after"), "1");
    for (tell, client) in go.iter().zip(&mut held) {
        tell.send(()).unwrap();
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(world.ask(message()).status, 200);
}

#[test]
fn p12_more_connections_than_allowed_wait_their_turn() {
    let world = limited("connections_max = 2");
    let (mut one, mut two) = (world.client(), world.client());
    assert_eq!([one.ask(message()).status, two.ask(message()).status], [200, 200]);
    let mut three = world.client();
    three.send(message());
    assert_eq!(one.ask(message()).status, 200);
    assert_eq!(world.upstream.seen().len(), 3, "the third caller's request has not been read");
    drop(two);
    assert_eq!(three.answer().status, 200);
}

/// Very many small requests at once on one connection: none is lost, none is answered twice.
#[test]
fn p12_a_flood_of_pipelined_requests_is_answered() {
    let world = World::start();
    let mut client = world.client();
    let count = 2_000;
    let mut sending = client.socket.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut sending, "GET /api/x HTTP/1.1\nHost:a\n\n".repeat(count).as_bytes()).unwrap();
    });
    for _ in 0..count {
        assert_eq!(client.answer().status, 200);
    }
    writer.join().unwrap();
    assert_eq!(world.upstream.seen().len(), count);
}

/// Room is for those who come, and not for the listeners that wait for them.
#[test]
fn p12_a_listener_at_which_nobody_calls_takes_no_room_from_another() {
    let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\n".repeat(2);
    let world = World::of(Plan { limits: "connections_max = 1", listen, ..Plan::default() });
    let addresses = world.running().addresses.clone();
    for listener in [0, 0, 2, 0, 1, 1, 2, 2] {
        assert_eq!(Client::to(addresses[listener]).ask(message()).status, 200);
    }
}
