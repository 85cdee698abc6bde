//! Where a proxy stands before the gate, its PROXY header says who calls; nobody else's word is taken (P9, P10, P12).

use crate::client::{Client, eventually, request};
use crate::world::{LABEL, MESSAGE, Plan, World};

const SIGN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn world(listen: &str, limits: &'static str) -> World {
    let upstream = "forwarded = true".to_owned();
    World::of(Plan { listen: listen.to_owned(), limits, upstream, ..Plan::default() })
}

fn message() -> Vec<u8> {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}").into_bytes()
}

/// Version 2: PROXY, TCP over IPv4, 203.0.113.7:12345, and a TLV that nobody knows.
fn binary() -> Vec<u8> {
    let rest = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90, 0xea, 0, 2, 1, 2];
    [SIGN, &[0x21, 0x11, 0, 17], &rest].concat()
}

#[test]
fn the_header_says_who_calls_in_both_versions_and_for_every_request() {
    let world = world("proxy_protocol = true", "");
    let headers: [(&[u8], &str); 6] = [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8080\r\n", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 12345 8080\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.1"),
        (&binary(), "203.0.113.7"),
        (&[SIGN, &[0x20, 0x00, 0, 0]].concat(), "127.0.0.1"),
        // An IPv4 caller as an IPv6 socket sees it.
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 12345 8080\r\n", "203.0.113.9"),
    ];
    for (header, ip) in headers {
        let mut client = world.client();
        client.send([header, &message()].concat());
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.ask(message()).status, 200);
        let seen = world.upstream.seen();
        assert!(seen.iter().rev().take(2).all(|seen| seen.values("x-forwarded-for") == [ip]), "{ip}: {seen:?}");
    }
    assert_eq!(world.metric("forgetgate_connections_turned_away_total{code=\"proxy_header\"}"), 0);
}

#[test]
fn a_header_may_come_in_pieces() {
    let world = world("proxy_protocol = true", "");
    for header in [b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 8080\r\n".to_vec(), binary()] {
        let mut client = world.client();
        for byte in header {
            client.send([byte]);
        }
        assert_eq!(client.ask(message()).status, 200);
        assert_eq!(world.upstream.seen().last().unwrap().values("x-forwarded-for"), ["203.0.113.7"]);
    }
}

/// Nothing is answered: who does not speak the protocol is no proxy of ours, and learns nothing.
#[test]
fn p9_a_connection_without_the_header_is_closed_and_counted() {
    let world = world("proxy_protocol = true", "");
    let wrong = [
        message(),
        b"PROXY TCP4 203.0.113.7 10.0.0.1 +1 8080\r\n".to_vec(),
        format!("PROXY UNKNOWN {}\r\n", "x".repeat(200)).into_bytes(),
        [SIGN, &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PROXY TCP4 203".to_vec(),
    ];
    for bytes in &wrong {
        let mut client = world.client();
        client.send(bytes);
        assert_eq!(client.rest_within_a_moment(), b"", "{bytes:?}");
    }
    let counted = || world.metric("forgetgate_connections_turned_away_total{code=\"proxy_header\"}");
    eventually("each is counted", || counted() == wrong.len() as u64);
    assert!(world.upstream.seen().is_empty());
    // A second header is part of no request.
    let header = "PROXY TCP4 203.0.113.7 10.0.0.1 12345 8080\r\n";
    let twice = world.ask([format!("{header}{header}").as_bytes(), &message()].concat());
    assert_eq!(twice.status, 400);
}

#[test]
fn p12_a_header_that_does_not_come_is_not_waited_for() {
    let world = world("proxy_protocol = true", "header_timeout = \"300ms\"");
    for half in [b"".as_slice(), b"PROXY TCP4 203.0.113.7 1", SIGN] {
        let mut client = world.client();
        client.send(half);
        assert_eq!(client.rest(), b"");
    }
    let counted = || world.metric("forgetgate_connections_turned_away_total{code=\"proxy_timeout\"}");
    eventually("each is counted", || counted() == 3);
}

#[test]
fn a_stop_does_not_wait_for_a_header() {
    let mut world = world("proxy_protocol = true", "header_timeout = \"1h\"\ndrain_timeout = \"1h\"");
    let mut client = world.client();
    client.send("PROXY ");
    eventually("it is open", || world.metric("forgetgate_connections_open") == 1);
    assert!(world.stop(), "something was cut");
    assert_eq!(client.rest(), b"");
}

#[test]
fn p10_headers_are_believed_from_where_the_operator_says_and_nowhere_else() {
    let trusted = world("proxy_protocol = { from = [\"10.0.0.0/8\", \"127.0.0.0/8\"] }", "");
    let bytes = [binary(), message()].concat();
    assert_eq!(trusted.ask(&bytes).status, 200);
    let elsewhere = world("proxy_protocol = { from = [\"10.0.0.0/8\"] }", "");
    let mut client = Client::to(elsewhere.address);
    client.try_send(&bytes).ok();
    assert_eq!(client.rest(), b"");
    let counted = || elsewhere.metric("forgetgate_connections_turned_away_total{code=\"proxy_untrusted\"}");
    eventually("it is counted", || counted() == 1);
    assert!(elsewhere.upstream.seen().is_empty());
}
