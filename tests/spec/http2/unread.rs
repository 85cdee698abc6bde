//! A service of HTTP/2 that does not take what it is sent: whatever else it does then, nothing of a request stays behind to be
//! sent later, and what it says is not lost.

use std::sync::{Arc, Mutex};

use super::frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, block, frame};
use super::world::{Gate, plan};
use crate::client::{self, eventually};
use crate::upstream::{Connection, Upstream};
use crate::world::{LABEL, MESSAGE, Plan};

const CANCEL: u32 = 8;

/// Settings that leave no room for data.
fn no_room() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])
}

/// Reads on until a frame of this kind has come on stream 1, and gives its payload; `None` once the gate has closed.
fn until(connection: &mut Connection, read: &mut Vec<u8>, kind: u8) -> Option<Vec<u8>> {
    loop {
        let frames = frames::all(read.get(PREFACE.len()..).unwrap_or_default());
        if let Some((.., payload)) = frames.into_iter().find(|(its, _, stream, _)| (*its, *stream) == (kind, 1)) {
            return Some(payload);
        }
        connection.take_into(read)?;
    }
}

/// A whole answer that does not wait for the request.
fn early() -> Vec<u8> {
    let head = block(&[(":status", "413"), ("content-length", "8")]);
    [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, b"too much")].concat()
}

fn message(body: &str) -> String {
    client::request(MESSAGE, &[LABEL, &format!("Content-Length: {}", body.len())], body)
}

/// A service that takes no data, says this once a request has begun, and notes with what code the request is reset.
fn taking_nothing(says: Vec<u8>) -> (Upstream, Arc<Mutex<Vec<u32>>>) {
    let resets = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&resets);
    let service = Upstream::serving(move |connection| {
        connection.write(no_room());
        let mut read = Vec::new();
        if until(connection, &mut read, HEADERS).is_none() {
            return;
        }
        connection.write(&says);
        if let Some(code) = until(connection, &mut read, RST_STREAM) {
            noted.lock().unwrap().push(u32::from_be_bytes(code[..4].try_into().unwrap()));
        }
        connection.until_closed();
    });
    (service, resets)
}

/// What stayed in the gate could be sent hours later, behind the delete that was to cover it.
#[test]
fn p4_p12_a_request_that_the_service_does_not_take_is_taken_back_once_nobody_waits_for_it() {
    // One that is sent whole, as far as the exchange can tell, and one that is not.
    for length in [20_000, 1_000_000] {
        let (service, resets) = taking_nothing(Vec::new());
        let limits = "response_timeout = \"300ms\"\nbody_stall_timeout = \"300ms\"";
        let gate = Gate::of(service.address, &Plan { limits, ..plan() });
        gate.client().ask(message(&"a".repeat(length))).assert_refused(504, "upstream_timeout");
        eventually("the service is told", || *resets.lock().unwrap() == [CANCEL]);
    }
}

#[test]
fn p4_nothing_of_a_request_is_sent_behind_the_end_of_its_answer() {
    let (service, resets) = taking_nothing(early());
    let gate = Gate::before(service.address);
    let answer = gate.client().ask(message(&"a".repeat(20_000)));
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too much"[..]));
    eventually("the service is told", || *resets.lock().unwrap() == [CANCEL]);
}

/// As servers do that answer early (RFC 9113 §8.1).
#[test]
fn p8_an_early_answer_arrives_though_the_service_resets_the_rest_of_the_request() {
    for length in [20_000, 1_000_000] {
        let no_error = frame(RST_STREAM, 0, 1, &[0; 4]);
        let (service, _) = taking_nothing([early(), no_error].concat());
        let gate = Gate::before(service.address);
        let mut client = gate.client();
        client.send(client::request(MESSAGE, &[LABEL, &format!("Content-Length: {length}")], &"a".repeat(20_000)));
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too much"[..]), "{}", answer.text());
    }
}

#[test]
fn p8_a_request_that_is_refused_before_it_was_sent_whole_is_sent_again_whole() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&bodies);
    let service = Upstream::serving(move |connection| {
        let mut read = Vec::new();
        if connection.number == 0 {
            connection.write(no_room());
            if until(connection, &mut read, HEADERS).is_some() {
                connection.write(frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes()));
            }
            connection.until_closed();
            return;
        }
        connection.write(frame(SETTINGS, 0, 0, &[]));
        loop {
            let frames = frames::all(read.get(PREFACE.len()..).unwrap_or_default());
            let data = frames.iter().filter(|(kind, ..)| *kind == DATA);
            if data.clone().any(|(_, flags, ..)| flags & END_STREAM != 0) {
                noted.lock().unwrap().push(data.map(|(.., payload)| payload.len()).sum::<usize>());
                connection.write(frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x88]));
                return connection.until_closed();
            }
            if connection.take_into(&mut read).is_none() {
                return;
            }
        }
    });
    let gate = Gate::before(service.address);
    let answer = gate.client().ask(message(&"a".repeat(50_000)));
    assert_eq!((answer.status, &*bodies.lock().unwrap()), (200, &vec![50_000]), "{}", answer.text());
}
