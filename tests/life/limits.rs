//! P12: what is beyond a limit is refused or waits, and costs nobody else anything; and the end of a gate is in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Running, Silence};
use tokio::time::Instant;

use crate::support::http::connect;
use crate::support::{Answer, Call, Gate, Setup, Site, eventually, service};

fn scene(limits: &str) -> (Gate, Running) {
    let service = service();
    let mut setup = Setup::new([Site::speech(service.addr)]);
    // The bounds are shared between workers; with one they are exact.
    setup.process = "workers = 1\n".to_owned();
    setup.limits = limits.to_owned();
    (Gate::start(&setup), service)
}

fn send(customer: &str, addr: SocketAddr) -> thread::JoinHandle<Option<Answer>> {
    let call = Call::audio(customer);
    thread::spawn(move || call.send(addr).ok())
}

#[test]
fn p12_a_request_beyond_in_flight_max_is_told_to_come_again_and_never_reaches_the_service() {
    let (gate, service) = scene("in_flight_max = 3\n");
    service.hang(Silence::Calls);
    let waiting: Vec<_> = (0..3).map(|n| send(&format!("in{n}"), gate.addr)).collect();
    eventually("three are on their way", || service.seen().len() == 3);

    let beyond = Call::audio("out").send(gate.addr).unwrap();
    assert_eq!((beyond.status, beyond.refusal()), (503, Some("overloaded")));
    assert!(beyond.header("retry-after").is_some());

    service.hang(Silence::Nobody);
    assert!(waiting.into_iter().all(|thread| thread.join().unwrap().unwrap().status == 200));
    assert_eq!(service.holds("out"), 0);
    assert_eq!(Call::audio("out").send(gate.addr).unwrap().status, 200);
}

#[test]
fn p12_a_connection_beyond_connections_max_waits_until_one_of_the_others_is_gone() {
    let (gate, _service) = scene("connections_max = 2\n");
    let ask = b"GET /speech/api/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut connections: Vec<TcpStream> = (0..3).map(|_| connect(gate.addr).unwrap()).collect();
    let mut third = connections.pop().unwrap();
    let mut byte = [0];
    for connection in &mut connections {
        connection.write_all(ask).unwrap();
        connection.read_exact(&mut byte).unwrap();
    }
    third.write_all(ask).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let kept_waiting = third.read(&mut byte).unwrap_err();
    assert!(matches!(kept_waiting.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kept_waiting}");

    connections.pop();

    third.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    third.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"H");
}

#[test]
fn a_gate_that_is_told_to_end_lets_what_is_on_its_way_finish_and_takes_nothing_new() {
    let (gate, service) = scene("drain_timeout = \"30s\"\n");
    service.hang(Silence::Calls);
    let waiting = send("last", gate.addr);
    eventually("it is on its way", || service.seen().len() == 1);

    gate.ask_to_end();

    eventually("the listener is closed", || TcpStream::connect(gate.addr).is_err());
    let ready = gate.get("/readyz");
    assert_eq!((ready.status, &ready.json()["missing"][0]), (503, &"draining".into()));
    assert!(gate.is_running());
    let began = Instant::now();
    service.hang(Silence::Nobody);
    assert_eq!(waiting.join().unwrap().unwrap().status, 200);
    assert_eq!(gate.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "nothing was left to wait for");
    eventually("it says how it ended", || gate.log().contains("graceful=true"));
    assert_eq!(service.holds("last"), 1);
}

#[test]
fn a_gate_that_is_told_to_end_cuts_what_has_not_finished_when_its_time_is_over() {
    let (gate, service) = scene("drain_timeout = \"1s\"\n");
    service.hang(Silence::Calls);
    let waiting = send("last", gate.addr);
    eventually("it is on its way", || service.seen().len() == 1);
    let began = Instant::now();
    assert_eq!(gate.stop().code(), Some(0));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    assert!(waiting.join().unwrap().is_none(), "it was cut");
    eventually("it says how it ended", || gate.log().contains("graceful=false"));
}

/// An idle connection does not keep a gate from ending.
#[test]
fn a_gate_that_is_told_to_end_does_not_wait_for_idle_connections() {
    let (gate, _service) = scene("drain_timeout = \"60s\"\n");
    let mut idle = connect(gate.addr).unwrap();
    idle.write_all(b"GET /speech/api/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    idle.read_exact(&mut [0]).unwrap();
    let fresh = connect(gate.addr).unwrap();
    let began = Instant::now();
    assert_eq!(gate.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    drop((idle, fresh));
}
