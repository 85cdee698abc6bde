//! Each clock of a connection and of its streams (P12), and how a stop ends them.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::Builder;
use h2::{Reason, server};

use super::caller::{Caller, Got, request, run};
use super::frames::{GOAWAY, PREFACE};
use super::raw::Raw;
use super::service::{Exchange, Service, answer};
use super::world::{Gate, plan};
use crate::client::{Client, eventually};
use crate::upstream::{Reply, Upstream};
use crate::world::{MESSAGE, PLAIN, Plan};

fn gate(limits: &'static str) -> (Upstream, Gate) {
    let service = Upstream::scripted();
    let gate = Gate::of(service.address, &Plan { limits, ..Plan::default() });
    (service, gate)
}

/// Sends this and waits until the gate has closed the connection.
fn ended(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = Client::to(address);
    client.send(bytes);
    client.rest()
}

#[test]
fn p12_a_connection_that_does_not_begin_or_does_nothing_is_closed() {
    let (_service, gate) = gate("header_timeout = \"300ms\"\nidle_timeout = \"400ms\"");
    for part in [1, 3, 4, 10, PREFACE.len() - 1] {
        assert_eq!(ended(gate.address, &PREFACE[..part]), b"", "{part}");
    }
    assert_eq!(ended(gate.address, b"PRI / HTTP/1.1\r\nHost: gate\r\n\r\n"), b"");
    // Without its settings, it has not begun.
    ended(gate.address, PREFACE);
    let mut raw = Raw::to(gate.address);
    assert_eq!(raw.until(GOAWAY, 0)[4..8], [0; 4], "nothing is wrong with one that is idle");
    assert!(raw.client.rest().len() < 100);
}

#[test]
fn p12_a_body_that_stands_still_ends_its_stream_and_no_other() {
    let (_service, gate) = gate("body_stall_timeout = \"300ms\"");
    run(async {
        let caller = Caller::to(gate.address).await;
        let alice = [("x-watson-metadata", "customer_id=alice")];
        let (stalled, mut stream) = caller.begin(request(MESSAGE, &alice), false).await;
        stream.send_data(Bytes::from_static(b"some"), false).unwrap();
        assert!(stalled.await.is_err());
        assert_eq!(caller.ask(request(PLAIN, &[])).await.status, 200);
    });
}

#[test]
fn p12_a_reader_that_stands_still_loses_its_stream_and_no_other_whatever_is_left_of_the_answer() {
    for length in [10_000, 3_000_000] {
        let (service, gate) = gate("body_stall_timeout = \"300ms\"");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length));
        service.will(Reply::Bytes(answer.into_bytes()));
        run(async {
            let mut builder = Builder::new();
            let caller = Caller::with(gate.address, builder.initial_window_size(0)).await;
            let (answer, _) = caller.begin(request(PLAIN, &[]), true).await;
            let mut body = answer.await.unwrap().into_body();
            let cut = body.data().await.unwrap();
            assert!(cut.is_err(), "{length}");
        });
        eventually("nothing is held", || gate.in_flight() == 0);
    }
}

#[test]
fn p12_an_answer_that_does_not_come_is_a_timeout_of_its_stream() {
    let service = Service::start(server::Builder::new(), Exchange::until_reset);
    let gate = Gate::of(service.address, &Plan { limits: "response_timeout = \"300ms\"", ..plan() });
    run(async {
        let caller = Caller::to(gate.address).await;
        caller.ask(request(PLAIN, &[])).await.assert_refused(504, "upstream_timeout");
    });
    eventually("the service is told", || service.resets() == [Reason::CANCEL]);
}

#[test]
fn p12_large_heads_are_refused_as_over_http_1_1() {
    let (service, gate) = gate("headers_max = 20\nheader_bytes_max = \"8KiB\"");
    run(async {
        let caller = Caller::to(gate.address).await;
        let names: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        caller.ask(request(PLAIN, &many)).await.assert_refused(431, "header_too_large");
        let long = "a".repeat(8200);
        caller.ask(request(PLAIN, &[("x-a", &long)])).await.assert_refused(431, "header_too_large");
        // Beyond that it is the library that answers.
        let longer = "a".repeat(12_000);
        assert_eq!(caller.ask(request(PLAIN, &[("x-a", &longer)])).await.status, 431);
        assert_eq!(caller.ask(request(PLAIN, &[("x-a", "short")])).await.status, 200);
    });
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn p12_requests_in_flight_are_bounded_over_http_2() {
    let service = Service::start(server::Builder::new(), Exchange::until_reset);
    let gate = Gate::of(service.address, &Plan { limits: "in_flight_max = 3", ..plan() });
    run(async {
        let caller = Caller::to(gate.address).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(caller.begin(request(PLAIN, &[]), true).await);
        }
        caller.ask(request(PLAIN, &[])).await.assert_refused(503, "overloaded");
    });
}

#[test]
fn p8_a_stop_finishes_the_streams_that_are_open_and_says_goodbye() {
    let (release, released) = tokio::sync::watch::channel(false);
    let handle = move |exchange: Exchange| {
        let mut released = released.clone();
        async move {
            let (_, respond) = exchange.read().await;
            released.wait_for(|released| *released).await.unwrap();
            answer(respond, 200, "{}");
        }
    };
    let service = Service::start(server::Builder::new(), handle);
    let mut gate = Gate::before(service.address);
    run(async {
        let caller = Caller::to(gate.address).await;
        let idle = Caller::to(gate.address).await;
        let alice = [("x-watson-metadata", "customer_id=alice")];
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(caller.begin(request(MESSAGE, &alice), true).await.0);
        }
        while service.seen().len() < 20 {
            tokio::task::yield_now().await;
        }
        let running = gate.take();
        let stopping = std::thread::spawn(move || running.stop());
        // The idle one is told at once, and closed.
        idle.driver.await.unwrap().unwrap();
        assert!(!stopping.is_finished());
        release.send_replace(true);
        for answer in answers {
            let got = Got::of(answer.await.unwrap()).await;
            assert_eq!((got.status, got.body.as_slice(), got.cut.is_none()), (200, &b"{}"[..], true));
        }
        caller.driver.await.unwrap().unwrap();
        assert!(stopping.join().unwrap(), "nothing was cut");
    });
}

/// A stream costs what a connection does, also one that the gate has answered and whose caller takes nothing.
#[test]
fn p12_streams_count_against_connections_max_until_they_are_closed() {
    let (_service, gate) = gate("connections_max = 4");
    run(async {
        let mut builder = Builder::new();
        let caller = Caller::with(gate.address, builder.initial_window_size(0)).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            // Refused, with an answer that has a body.
            let (answer, _) = caller.begin(request(MESSAGE, &[]), true).await;
            held.push(answer.await.unwrap().into_body());
        }
        let (beyond, _) = caller.begin(request(PLAIN, &[]), true).await;
        assert_eq!(beyond.await.unwrap_err().reason(), Some(Reason::REFUSED_STREAM));
        drop(held.pop());
        loop {
            let (answer, _) = caller.begin(request(PLAIN, &[]), true).await;
            if answer.await.is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    });
}

/// The callers of one service share its connection.
#[test]
fn p12_callers_that_do_not_read_take_nothing_from_others_at_the_same_service() {
    const STALLED: usize = 60;
    let handle = |exchange: Exchange| async move {
        let large = exchange.request.uri().path().ends_with("large");
        let (_, respond) = exchange.read().await;
        answer(respond, 200, if large { LARGE } else { "{}" });
    };
    let service = Service::start(server::Builder::new(), handle);
    let gate = Gate::before(service.address);
    run(async {
        let mut builder = Builder::new();
        let stalled = Caller::with(gate.address, builder.initial_window_size(0)).await;
        let mut held = Vec::new();
        for _ in 0..STALLED {
            let (answer, _) = stalled.begin(request("GET /api/v9/large", &[]), true).await;
            held.push(answer.await.unwrap().into_body());
        }
        let other = Caller::to(gate.address).await;
        for _ in 0..50 {
            assert_eq!(other.ask(request(PLAIN, &[])).await.body, b"{}");
        }
        assert_eq!(gate.in_flight(), STALLED as u64, "the others were not cut to make room");
    });
    assert_eq!(service.connections(), 1);
}

/// More than a stream's window.
static LARGE: &str = {
    static BYTES: [u8; 100 * 1024] = [b'a'; 100 * 1024];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};
