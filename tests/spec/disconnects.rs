//! Callers that leave: the exchange outlives them where it must be known when it ended, and ends with them elsewhere.

use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use crate::client::{Client, PATIENCE, eventually, request};
use crate::upstream::{Connection, OK, Reply, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

/// Leaves at once, as a program does that is killed with something unread.
pub(crate) fn reset(client: Client) {
    socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// The whole request, then the end of what is sent, then a wait for the answer: `nc -N`, `socat`, probes.
#[test]
fn p8_a_caller_that_says_nothing_more_still_gets_its_answer() {
    for sent in [message(), request(PLAIN, &[], "")] {
        let world = World::start();
        let (go, wait) = mpsc::channel();
        world.upstream.will(Reply::When(wait, OK.into()));
        let mut client = world.client();
        client.send(sent);
        client.finish_sending();
        world.upstream.saw(1);
        // A tick of the worker's, and more.
        std::thread::park_timeout(Duration::from_millis(600));
        go.send(()).unwrap();
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
        assert_eq!(client.rest(), b"");
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

/// It has said all that it will, and reads: its time is over when nothing comes any more, not when it has read for long.
#[test]
fn p8_an_answer_that_moves_is_not_cut_because_its_caller_says_nothing_more() {
    let upstream = Upstream::serving(|connection: &mut Connection| {
        connection.request();
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..10 {
            std::thread::park_timeout(Duration::from_millis(400));
            connection.write("2\r\nok\r\n");
        }
        connection.write("0\r\n\r\n");
    });
    let world = World::before(upstream, Plan { limits: "body_stall_timeout = \"2s\"", ..Plan::default() });
    let mut client = world.client();
    client.send(request(PLAIN, &[], ""));
    client.finish_sending();
    assert_eq!(client.answer().text(), "ok".repeat(10));
}

/// Whoever ended it: the service, by its silence, and not the caller.
#[test]
fn p8_a_service_that_falls_silent_in_its_answer_is_the_one_that_is_counted() {
    let upstream = Upstream::serving(|connection: &mut Connection| {
        connection.request();
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        connection.until_closed();
    });
    let limits = "answer_stall_timeout = \"300ms\"\nbody_stall_timeout = \"1h\"";
    let world = World::before(upstream, Plan { limits, ..Plan::default() });
    let mut client = world.client();
    client.send(message());
    client.read_until("ok");
    client.rest();
    let failures = "forgetgate_upstream_failures_total{upstream=\"service\",code=\"timeout\"}";
    eventually("it is counted", || world.metric(failures) == 1);
    let told = world.admin("/api/v1/upstreams").json();
    assert_eq!(told["upstreams"][0]["last_error"]["reason"], "the service fell silent in its answer", "{told}");
}

/// Events come when there are any; and a caller's clock is not the service's.
#[test]
fn p8_a_stream_of_events_may_be_silent_for_longer_and_each_upstream_as_long_as_it_says() {
    let upstream = || {
        Upstream::serving(|connection: &mut Connection| {
            while let Some(seen) = connection.request() {
                let kind =
                    if seen.line().contains("events") { "text/event-stream; charset=utf-8" } else { "text/plain" };
                connection
                    .write(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"));
                std::thread::park_timeout(Duration::from_millis(1_200));
                connection.write("2\r\nok\r\n0\r\n\r\n");
            }
        })
    };
    let limits = "answer_stall_timeout = \"400ms\"\nbody_stall_timeout = \"400ms\"";
    let world = World::before(upstream(), Plan { limits, ..Plan::default() });
    assert_eq!(world.ask(request("GET /api/v9/events", &[], "")).text(), "ok");
    let mut cut = world.client();
    cut.send(request("GET /api/v9/text", &[], ""));
    assert!(!crate::client::latin1(&cut.rest()).contains("ok"));
    let own = "limits = { answer_stall_timeout = \"1h\" }".to_owned();
    let patient = World::before(upstream(), Plan { limits, upstream: own, ..Plan::default() });
    assert_eq!(patient.ask(request("GET /api/v9/text", &[], "")).text(), "ok");
}

/// The caller leaves when the service has the request; the answer comes later and is read to its end, so that the
/// connection can be used again, which is how that is seen from outside.
#[test]
fn p4_a_labelled_exchange_is_read_until_its_end_although_its_caller_has_left() {
    let world = World::start();
    let (go, wait) = mpsc::channel();
    world.upstream.will(Reply::When(wait, OK.into()));
    let mut client = world.client();
    client.send(message());
    world.upstream.saw(1);
    reset(client);
    go.send(()).unwrap();
    eventually("the exchange has ended", || world.in_flight() == 0);
    assert_eq!(world.forwarded(message()).connection, 0, "the connection had been kept to the end");
}

#[test]
fn p4_a_labelled_answer_is_read_until_its_end_although_its_caller_has_left() {
    let (told, tell) = mpsc::channel();
    let upstream = Upstream::serving(move |connection| {
        while connection.request().is_some() {
            let most = 20 << 20;
            connection.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {most}\r\n\r\n"));
            // Far more than the kernel holds: it is written only if somebody reads it.
            let written = std::io::Write::write_all(&mut connection.socket, &vec![b'x'; most]);
            told.send(written.is_ok()).unwrap();
        }
    });
    let world = World::before(upstream, Plan::default());
    let mut client = world.client();
    client.send(message());
    client.head();
    client.socket.shutdown(Shutdown::Both).unwrap();
    drop(client);
    assert!(tell.recv_timeout(PATIENCE).unwrap(), "the gate stopped reading a labelled answer");
}

#[test]
fn p8_an_unlabelled_exchange_ends_with_its_caller() {
    // One that was reset ends at once, one that was only closed like one that stands still.
    for (limits, how) in [("", reset as fn(Client)), ("body_stall_timeout = \"300ms\"", drop)] {
        let world = World::of(Plan { limits, ..Plan::default() });
        world.upstream.will(Reply::Hang);
        let mut client = world.client();
        client.send(request(PLAIN, &[], ""));
        world.upstream.saw(1);
        assert_eq!(world.upstream.open(), 1);
        how(client);
        eventually("the service's connection has ended", || world.upstream.open() == 0);
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

/// What was not sent whole is not made whole: the service sees a request that breaks off.
#[test]
fn p8_half_a_request_stays_half_a_request() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let world = World::start();
        let mut client = world.client();
        client.send(request(MESSAGE, &[LABEL, framing], "400\r\nhalf"));
        eventually("it has begun to arrive", || {
            world.upstream.connections() == 1 && !world.upstream.bytes(0).is_empty()
        });
        drop(client);
        eventually("the service's connection has ended", || world.upstream.open() == 0);
        assert!(world.upstream.seen().is_empty());
        let bytes = world.upstream.bytes(0);
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "no last chunk was made up");
        eventually("nothing is in flight", || world.in_flight() == 0);
    }
}

#[test]
fn p1_nothing_of_a_head_that_breaks_off_is_forwarded() {
    let world = World::start();
    let whole = message();
    for length in [1, 20, whole.find("\r\n\r\n").unwrap() + 3] {
        let mut client = world.client();
        client.send(&whole[..length]);
        drop(client);
    }
    world.assert_untouched();
}

#[test]
fn p8_a_caller_that_leaves_during_the_answer_ends_an_unlabelled_exchange() {
    let upstream = Upstream::serving(|connection: &mut Connection| {
        connection.request();
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        connection.until_closed();
    });
    let limits = "body_stall_timeout = \"300ms\"";
    let world = World::before(upstream, Plan { limits, ..Plan::default() });
    let mut client = world.client();
    client.send(request(PLAIN, &[], ""));
    client.read_until("ok");
    drop(client);
    eventually("the service's connection has ended", || world.upstream.open() == 0);
}

#[test]
fn p12_a_stop_waits_for_what_is_on_its_way_and_takes_nothing_new() {
    let mut world = World::of(Plan { limits: "drain_timeout = \"20s\"", ..Plan::default() });
    let (go, wait) = mpsc::channel();
    world.upstream.will(Reply::When(wait, OK.into()));
    let mut busy = world.client();
    busy.send(message());
    world.upstream.saw(1);
    let gate = world.take_gate();
    let stopping = std::thread::spawn(move || gate.stop());
    eventually("new callers are turned away", || {
        std::net::TcpStream::connect_timeout(&world.address, Duration::from_millis(200)).is_err()
    });
    assert!(!stopping.is_finished());
    go.send(()).unwrap();
    let answer = busy.answer();
    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    assert_eq!(busy.rest(), b"", "and then the connection ends");
    assert!(stopping.join().unwrap(), "nothing was cut");
}

#[test]
fn p12_a_stop_does_not_wait_for_ever() {
    let mut world = World::of(Plan { limits: "drain_timeout = \"300ms\"", ..Plan::default() });
    world.upstream.will(Reply::Hang);
    let mut client = world.client();
    client.send(message());
    world.upstream.saw(1);
    assert!(!world.stop(), "something was cut, and that is said");
    client.rest();
}

#[test]
fn p8_idle_connections_do_not_hold_up_a_stop() {
    let mut world = World::of(Plan { limits: "drain_timeout = \"20s\"", ..Plan::default() });
    let mut quiet = world.client();
    assert_eq!(quiet.ask(request(PLAIN, &[], "")).status, 200);
    let mut silent = world.client();
    silent.send("");
    assert!(world.stop(), "nothing was cut");
    assert_eq!((quiet.rest(), silent.rest()), (vec![], vec![]));
}
