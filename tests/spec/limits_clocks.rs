//! P12: each wait has a clock of its own, and whose fault a wait is decides which one runs.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::{Client, eventually, request};
use crate::upstream::{OK, Upstream};
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn limited(limits: &'static str) -> World {
    World::of(Plan { limits, ..Plan::default() })
}

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

/// Lets time go by: what is shown is that nothing happens in it.
fn a_while(long: Duration) {
    std::thread::park_timeout(long);
}

#[test]
fn a_first_request_has_the_time_of_a_head_and_a_next_one_the_time_of_an_idle_connection() {
    let world = limited("header_timeout = \"400ms\"\nidle_timeout = \"1h\"");
    assert_eq!(world.client().rest(), b"");
    let mut client = world.client();
    assert_eq!(client.ask(message()).status, 200);
    a_while(Duration::from_millis(1200));
    assert_eq!(client.ask(message()).status, 200);
}

/// The bytes between do not begin the time anew, whoever drips them.
#[test]
fn a_body_that_drips_is_not_waited_for() {
    let world = limited("body_stall_timeout = \"500ms\"\nbody_rate_min = 1000");
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 100000"], ""));
    let mut drops = 0;
    while client.try_send("x").is_ok() {
        a_while(Duration::from_millis(20));
        drops += 1;
        assert!(drops < 1000, "twenty seconds of dripping were borne");
    }
    eventually("the service's connection has ended", || world.upstream.open() == 0);
    assert!(world.upstream.seen().is_empty());
}

/// A window of a few kilobytes, so that what is not read stays with the gate.
fn narrow(world: &World) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&world.address.into()).unwrap();
    Client::plain(TcpStream::from(socket))
}

fn large(bytes: usize) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + bytes, b'x');
    answer
}

#[test]
fn an_answer_that_is_read_in_drops_is_not_kept() {
    let world = limited("body_stall_timeout = \"500ms\"");
    world.upstream.will_say(large(16 << 20));
    let mut client = narrow(&world);
    client.send(request(PLAIN, &[], ""));
    client.head();
    let end = Instant::now() + crate::client::PATIENCE;
    while world.in_flight() > 0 {
        assert!(Instant::now() < end, "it was kept");
        let mut drops = [0; 16];
        // It may have been reset by now.
        drop(std::io::Read::read(&mut client.socket, &mut drops));
        a_while(Duration::from_millis(20));
    }
    let rest = client.rest();
    assert!(rest.len() < 1 << 20, "the kernel went on with {} bytes", rest.len());
}

/// Some kilobytes at a time, always within the limit, and far longer than it in all.
#[test]
fn p8_a_reader_that_is_slow_and_steady_is_served_to_the_end() {
    let world = limited("body_stall_timeout = \"1s\"");
    let bytes = 3 << 20;
    world.upstream.will_say(large(bytes));
    let mut client = narrow(&world);
    client.send(request(PLAIN, &[], ""));
    client.head();
    let mut came = client.taken();
    let mut buffer = vec![0; 48 << 10];
    while came < bytes {
        a_while(Duration::from_millis(50));
        let length = std::io::Read::read(&mut client.socket, &mut buffer).unwrap();
        assert!(length > 0, "cut after {came} bytes");
        came += length;
    }
    assert_eq!(came, bytes);
}

/// The caller pauses before its body for longer than the service has for its answer: that is not the service's fault, and
/// not counted as one.
#[test]
fn p8_a_pause_of_the_caller_is_not_blamed_on_the_service() {
    let world = limited("response_timeout = \"300ms\"\nbody_stall_timeout = \"1h\"");
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, "Content-Length: 2"], ""));
    eventually("the head has arrived", || world.upstream.connections() == 1 && !world.upstream.bytes(0).is_empty());
    a_while(Duration::from_millis(900));
    client.send("{");
    a_while(Duration::from_millis(900));
    client.send("}");
    assert_eq!(client.answer().status, 200);
    let failures = "forgetgate_upstream_failures_total{upstream=\"service\",code=\"timeout\"}";
    assert_eq!(world.metric(failures), 0);
}

/// A service that takes its time with a body does not use up the caller's.
#[test]
fn p8_a_pause_of_the_service_is_not_blamed_on_the_caller() {
    let bytes = 24 << 20;
    let upstream = Upstream::serving(move |connection| {
        connection.head();
        a_while(Duration::from_millis(1500));
        connection.exactly(bytes);
        connection.write(OK);
    });
    let limits = "response_timeout = \"1h\"\nbody_stall_timeout = \"500ms\"";
    let world = World::before(upstream, Plan { limits, ..Plan::default() });
    let mut client = world.client();
    client.send(request(MESSAGE, &[LABEL, &format!("Content-Length: {bytes}")], ""));
    client.try_send(vec![b'x'; bytes]).unwrap();
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_connection_to_a_service_that_is_not_made_is_a_504() {
    // A listener whose queue is full drops what comes.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _held: Vec<Socket> = (0..4)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            drop(socket.connect(&address));
            socket
        })
        .collect();
    let mut upstream = Upstream::scripted();
    let own = std::mem::replace(&mut upstream.address, address.as_socket().unwrap());
    let mut world = World::before(upstream, Plan { limits: "connect_timeout = \"300ms\"", ..Plan::default() });
    world.ask(message()).assert_refused(504, "upstream_timeout");
    // For its end, which connects to it.
    world.upstream.address = own;
}

/// Its answer is written; what it still sends is read so that it sees that answer, but nobody waits for it.
#[test]
fn a_stop_does_not_wait_for_a_caller_that_goes_on_sending_after_a_refusal() {
    let mut world = limited("drain_timeout = \"1h\"");
    let mut client = world.client();
    client.send(request(MESSAGE, &["Content-Length: 100000000"], "{"));
    client.answer().assert_refused(400, "label_missing");
    client.send("still");
    let began = Instant::now();
    assert!(world.stop(), "something was cut");
    assert!(began.elapsed() < Duration::from_secs(7), "it lingered for {:?}", began.elapsed());
}
