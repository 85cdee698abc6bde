//! Connections to a service: how many, how old, how long idle; and whom one that hangs keeps waiting (P12).

use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::client::{Client, eventually, request};
use crate::upstream::{OK, Reply, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn limited(limits: &'static str) -> World {
    World::of(Plan { limits, ..Plan::default() })
}

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

fn a_while(long: Duration) {
    std::thread::park_timeout(long);
}

/// A request that the service has and does not answer before it is told to.
fn held(world: &World, number: usize) -> (Client, Sender<()>) {
    let (tell, told) = channel();
    world.upstream.will(Reply::When(told, OK.into()));
    let mut client = world.client();
    client.send(message());
    world.upstream.saw(number);
    (client, tell)
}

#[test]
fn p12_who_finds_every_place_taken_waits_in_line() {
    let world = limited("upstream_connections_max = 2\nconnect_timeout = \"1h\"");
    let (mut one, go_one) = held(&world, 1);
    let (mut two, go_two) = held(&world, 2);
    let mut waiting: Vec<Client> = (0..3)
        .map(|number| {
            let mut client = world.client();
            client.send(request(&format!("{PLAIN}?number={number}"), &[], ""));
            eventually("it has been read", || world.in_flight() == 3 + number);
            client
        })
        .collect();
    assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (2, 2));
    go_one.send(()).unwrap();
    assert_eq!(one.answer().status, 200);
    for client in &mut waiting {
        assert_eq!(client.answer().status, 200);
    }
    let lines: Vec<String> = world.upstream.seen()[2..].iter().map(|seen| seen.line().to_owned()).collect();
    let expected: Vec<String> = (0..3).map(|n| format!("GET /v1/workspaces?number={n} HTTP/1.1")).collect();
    assert_eq!(lines, expected, "first come, first served");
    assert_eq!(world.upstream.connections(), 2, "over the connection that came free");
    go_two.send(()).unwrap();
    assert_eq!(two.answer().status, 200);
}

#[test]
fn p12_who_waits_in_vain_is_told_to_come_again_and_nothing_of_it_was_sent() {
    let world = limited("upstream_connections_max = 1\nconnect_timeout = \"300ms\"");
    let (mut client, go) = held(&world, 1);
    for sent in [message(), request(PLAIN, &[], "")] {
        let answer = world.ask(sent);
        answer.assert_refused(503, "overloaded");
        assert_eq!(answer.values("retry-after").len(), 1);
    }
    assert_eq!((world.upstream.seen().len(), world.upstream.connections()), (1, 1));
    for kind in ["timeout", "connect"] {
        let name = format!("forgetgate_upstream_failures_total{{upstream=\"service\",code=\"{kind}\"}}");
        assert_eq!(world.metric(&name), 0, "the service is not to blame");
    }
    go.send(()).unwrap();
    assert_eq!(client.answer().status, 200);
    assert_eq!(world.ask(message()).status, 200);
}

/// A caller that leaves while it waits takes no place with it, and one whose exchange goes on without it gives its place
/// back at the end.
#[test]
fn p12_places_come_back_however_exchanges_end() {
    let world = limited("upstream_connections_max = 1\nconnect_timeout = \"1h\"");
    let (leaving, go) = held(&world, 1);
    let mut impatient = world.client();
    impatient.send(message());
    eventually("it waits", || world.in_flight() == 2);
    drop((leaving, impatient));
    go.send(()).unwrap();
    assert_eq!(world.ask(message()).status, 200);
    world.upstream.will(Reply::ThenReset(vec![]));
    assert_eq!(world.ask(message()).status, 502);
    for _ in 0..3 {
        assert_eq!(world.ask(message()).status, 200);
    }
}

/// Who has lost patience comes again: a service that is behind would only ever work for those who have left.
#[test]
fn p12_who_leaves_while_it_waits_leaves_the_line_and_nothing_of_it_is_sent() {
    let world = limited("upstream_connections_max = 1\nconnect_timeout = \"1h\"");
    let (mut client, go) = held(&world, 1);
    let mut impatient = world.client();
    impatient.send(message());
    eventually("it waits", || world.in_flight() == 2);
    drop(impatient);
    eventually("it has left the line", || world.in_flight() == 1);
    go.send(()).unwrap();
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.ask(request(PLAIN, &[], "")).status, 200);
    assert_eq!(world.upstream.seen().len(), 2);
    assert!(world.upstream.seen()[1].line().starts_with("GET "));
}

#[test]
fn an_idle_connection_is_left_before_the_service_leaves_it() {
    let world = limited("upstream_idle_timeout = \"200ms\"");
    assert_eq!(world.forwarded(message()).connection, 0);
    eventually("it has been closed", || world.upstream.open() == 0);
    assert_eq!(world.forwarded(message()).connection, 1);
}

#[test]
fn a_service_says_for_how_long_it_keeps_a_connection() {
    let world = World::start();
    let keeps =
        |seconds: u32| format!("HTTP/1.1 200 OK\r\nKeep-Alive: max=9, timeout={seconds}\r\nContent-Length: 0\r\n\r\n");
    world.upstream.will_say(keeps(60));
    assert_eq!(world.forwarded(message()).connection, 0);
    world.upstream.will_say(keeps(1));
    assert_eq!(world.forwarded(message()).connection, 0);
    assert_eq!(world.forwarded(message()).connection, 1, "a second is too short to use it again");
}

#[test]
fn an_old_connection_is_not_used_again() {
    let world = limited("upstream_connection_age = \"1s\"");
    assert_eq!(world.forwarded(message()).connection, 0);
    a_while(Duration::from_millis(1300));
    world.forwarded(message());
    assert_eq!(world.forwarded(message()).connection, 1);
}

#[test]
fn an_address_that_takes_no_connection_is_shown() {
    let mut upstream = Upstream::scripted();
    let own = upstream.address;
    upstream.address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::before(upstream, Plan::default());
    world.ask(message()).assert_refused(502, "upstream_unreachable");
    let resting = || world.metric("forgetgate_upstream_addresses_resting{upstream=\"service\"}");
    eventually("it is shown", || resting() == 1);
    world.upstream.address = own;
}
