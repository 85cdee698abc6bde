//! The ways in which a stand-in can be made to misbehave.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use forgetgate_stand_ins::{Kind, Options, Running, Service, Silence};

use crate::support::{MESSAGE, customers, held, say, started, started_with};
use crate::wire::{request, send};

#[test]
fn a_credential_is_asked_for_where_one_was_set() {
    let assistant = started_with(Kind::Assistant, Options::basic("apikey", "KEY"));
    let refused = send(assistant.addr, request(MESSAGE, &["X-Watson-Metadata: customer_id=ann"], b"{}"));
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"Unauthorized".into()));
    assert_eq!(customers(&assistant), []);
    let lines = ["X-Watson-Metadata: customer_id=ann", "Authorization: Basic YXBpa2V5OktFWQ=="];
    assert_eq!(send(assistant.addr, request(MESSAGE, &lines, b"{}")).status, 200);
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

#[test]
fn deletes_can_be_made_to_fail_and_then_delete_nothing() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    let delete = || send(assistant.addr, request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b""));
    assistant.answer_deletes_with(503, Some(7));
    let failed = delete();
    assert_eq!(failed.status, 503);
    assert!(failed.head.contains("\r\nRetry-After: 7"), "{}", failed.head);
    assert_eq!(say(&assistant, "customer_id=ann"), 200, "other calls go on");
    assert_eq!(customers(&assistant), held(&[("ann", 2)]));
    assistant.answer_deletes_with(204, None);
    assert_eq!(delete().status, 204);
    assert_eq!(customers(&assistant), []);
    assistant.answer_as_usual();
    assert_eq!(delete().status, 202);
}

#[test]
fn a_delete_does_not_reach_a_call_that_was_still_on_its_way_when_it_came() {
    let assistant = started(Kind::Assistant);
    assistant.hang(Silence::Calls);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| say(&assistant, "customer_id=ann"));
        await_request(&assistant, 1);
        let answer = send(assistant.addr, request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b""));
        assert_eq!(answer.status, 202);
        assert_eq!(customers(&assistant), []);
        assistant.hang(Silence::Nobody);
        assert_eq!(late.join().unwrap(), 200);
    });
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

#[test]
fn a_delete_that_takes_its_time_does_not_reach_what_came_after_it() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    assistant.hang(Silence::Deletes);
    std::thread::scope(|scope| {
        let delete = request("DELETE /v1/user_data?version=x&customer_id=ann", &[], b"");
        let slow = scope.spawn(|| send(assistant.addr, delete));
        await_request(&assistant, 2);
        say(&assistant, "customer_id=ann");
        assert_eq!(customers(&assistant), held(&[("ann", 2)]), "it has had no effect yet");
        assistant.hang(Silence::Nobody);
        assert_eq!(slow.join().unwrap().status, 202);
    });
    assert_eq!(customers(&assistant), held(&[("ann", 1)]));
}

/// Waits until the service has read this many requests to their ends.
fn await_request(service: &Running, count: usize) {
    while service.seen().iter().filter(|seen| seen.complete).count() < count {
        std::thread::yield_now();
    }
}

#[test]
fn a_service_that_is_down_refuses_connections_and_comes_back_with_its_memory() {
    let assistant = started(Kind::Assistant);
    say(&assistant, "customer_id=ann");
    let mut open = TcpStream::connect(assistant.addr).unwrap();
    assistant.go_down();
    assert_eq!(open.read(&mut [0]).unwrap_or(0), 0, "open connections are cut");
    assert!(TcpStream::connect(assistant.addr).is_err());
    assistant.come_up().unwrap();
    assert_eq!(say(&assistant, "customer_id=ann"), 200);
    assert_eq!(customers(&assistant), held(&[("ann", 2)]));
}

#[test]
fn a_delay_comes_before_the_answer() {
    let assistant = started(Kind::Assistant);
    assistant.delay(Duration::from_millis(60)..Duration::from_millis(70));
    #[expect(clippy::disallowed_methods, reason = "the delay of a server on another thread is measured")]
    let before = Instant::now();
    say(&assistant, "customer_id=ann");
    assert!(before.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let first = started(Kind::Assistant);
    let second = Service::start(Kind::Discovery, first.addr, Options::default());
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}
