//! Callers that leave a stream, or their whole connection, without a word, and what waits for them in the gate.

use forgetgate::http1::LINES_MAX;
use h2::Reason;

use super::caller::{Caller, request, run};
use super::frames::{SETTINGS, frame};
use super::raw::Raw;
use super::world::{Gate, plan};
use crate::client::eventually;
use crate::upstream::{Connection, Reply, Upstream};
use crate::world::{MESSAGE, PLAIN, Plan};

const WINDOW_UPDATE: u8 = 8;

/// By resetting what it has just asked for, one caller could else take every place of `in_flight_max`.
#[test]
fn p12_a_request_that_is_taken_back_while_a_connection_is_waited_for_is_over() {
    // It never begins HTTP/2, and is waited for.
    let service = Upstream::serving(Connection::until_closed);
    let limits = "connect_timeout = \"1h\"";
    let gate = Gate::of(service.address, &Plan { limits, ..plan() });
    let alice = [("x-watson-metadata", "customer_id=alice")];
    run(async {
        let caller = Caller::to(gate.address).await;
        let mut asked = Vec::new();
        for _ in 0..20 {
            asked.push(caller.begin(request(PLAIN, &[]), true).await);
            asked.push(caller.begin(request(MESSAGE, &alice), true).await);
        }
        while gate.in_flight() < 40 {
            tokio::task::yield_now().await;
        }
        for (_, stream) in &mut asked {
            stream.send_reset(Reason::CANCEL);
        }
        while gate.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    });
    eventually("nothing is in flight", || gate.in_flight() == 0);
}

/// What was answered waits in the library for a socket that takes nothing: only its end tells that nobody reads it.
#[test]
fn p12_a_caller_that_reads_nothing_does_not_keep_a_stop_waiting() {
    const LARGE: usize = 8 << 20;
    let service = Upstream::scripted();
    let limits = "body_stall_timeout = \"500ms\"\nidle_timeout = \"1s\"";
    let mut gate = Gate::of(service.address, &Plan { limits, ..Plan::default() });
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    service.will(Reply::Bytes([head.into_bytes(), vec![b'a'; LARGE]].concat()));
    let mut raw = Raw::to(gate.address);
    let window = (1_u32 << 30).to_be_bytes();
    raw.client.send(frame(SETTINGS, 0, 0, &[&[0, 4][..], &window].concat()));
    raw.client.send(frame(WINDOW_UPDATE, 0, 0, &window));
    raw.ask(1, PLAIN, &[]);
    eventually("it is being answered", || service.seen().len() == 1);
    eventually("nobody reads that", || gate.in_flight() == 0);
    for number in 0..10 {
        raw.ask(3 + 2 * number, PLAIN, &[]);
    }
    eventually("the others were answered", || service.seen().len() == 11 && gate.in_flight() == 0);
    assert!(gate.take().stop(), "nothing was cut");
}

/// As many lines as an answer may have, and then those of the gate: its body is not read for a head that does not end.
#[test]
fn p12_an_answer_of_too_many_lines_ends_its_stream_at_once() {
    let service = Upstream::scripted();
    let gate = Gate::of(service.address, &Plan::default());
    let lines: String = (0..LINES_MAX - 1).map(|number| format!("x-{number}: 1\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 1000000\r\n\r\nsome");
    service.will_say(answer);
    let mut raw = Raw::to(gate.address);
    raw.ask(1, PLAIN, &[]);
    assert_eq!(raw.end_of(1), Some(2), "INTERNAL_ERROR");
    eventually("nothing is in flight", || gate.in_flight() == 0);
}
