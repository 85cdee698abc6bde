//! Where a read, a write or a buffer happens to end is no boundary of anything (P8, P9).

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use crate::client::{PATIENCE, request};
use crate::codec_wire::{GET, Script, echoing};
use crate::upstream::Upstream;
use crate::world::{Plan, World};

/// Sizes that buffers have.
const SIZES: [usize; 6] = [1024, 4096, 8192, 16_384, 32_768, 65_536];

/// Text of this length in which no two places look alike.
fn text(length: usize) -> String {
    let mut text: String = (0..=length / 7).map(|number| format!("{number:06x}.")).collect();
    text.truncate(length);
    text
}

/// So many chunks as it takes for a head and a chunked body to be this long together.
fn chunked_of(head: usize, size: usize) -> (String, String) {
    let ending = "\r\n0\r\n\r\n".len();
    let room = size.saturating_sub(head + ending);
    let digits = format!("{room:x}").len() + 2;
    let body = text(room.saturating_sub(digits));
    (format!("{:0width$x}\r\n{body}\r\n0\r\n\r\n", body.len(), width = digits - 2), body)
}

/// Requests of a total length, in either framing, with what an echo makes of their bodies.
fn requests_of(size: usize) -> [(String, String); 2] {
    let line = "POST /api/v9/x";
    let length = |head: usize| size.saturating_sub(head);
    let blank = request(line, &["Content-Length: 00000"], "").len();
    let body = text(length(blank));
    let with_length = request(line, &[&format!("Content-Length: {:05}", body.len())], &body);
    let head = request(line, &["Transfer-Encoding: chunked"], "");
    let (chunks, chunked) = chunked_of(head.len(), size);
    assert_eq!((with_length.len(), head.len() + chunks.len()), (size, size));
    [(with_length, body), (head + &chunks, chunked)]
}

#[test]
fn p8_requests_that_end_at_the_end_of_a_buffer_are_like_all_others() {
    let world = echoing();
    for size in SIZES {
        for size in size - 3..=size + 3 {
            for (sent, body) in requests_of(size) {
                let mut client = world.client();
                client.send(format!("{sent}{}{sent}", request(GET, &[], "")));
                for wanted in [body.as_str(), "", &body] {
                    let answer = client.answer();
                    assert!(answer.text() == format!("/v9/x {wanted}"), "{size}: {}", answer.head);
                }
            }
        }
    }
    assert_eq!(world.upstream.connections(), 1);
}

#[test]
fn p8_answers_that_end_at_the_end_of_a_buffer_are_like_all_others() {
    let script = Script::default();
    let world = script.world();
    let mut client = world.client();
    for size in SIZES {
        for size in size - 3..=size + 3 {
            let with_length =
                |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {:05}\r\n\r\n{body}", body.len());
            let body = text(size - with_length("").len());
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let (chunks, chunked) = chunked_of(head.len(), size);
            let padding = text(size - "HTTP/1.1 200 OK\r\nX: \r\nContent-Length: 2\r\n\r\n".len());
            let padded = format!("HTTP/1.1 200 OK\r\nX: {padding}\r\nContent-Length: 2\r\n\r\nok");
            let answers = [(with_length(&body), body.as_str()), (format!("{head}{chunks}"), &chunked), (padded, "ok")];
            for (bytes, body) in answers {
                // A head may be as large as 64 KiB, and no test is about its last bytes.
                if body == "ok" && size > 60_000 {
                    continue;
                }
                script.will(vec![bytes.into_bytes()]);
                let answer = client.ask(request(GET, &[], ""));
                assert!(answer.whole && answer.text() == body, "{size}: {}", answer.head);
            }
        }
    }
    assert_eq!(world.upstream.connections(), 1);
}

/// Far more than two connections hold.
const HUGE: usize = 32 << 20;

/// The same bytes in either framing, head lines and all.
fn framings(body: &[u8]) -> [Vec<u8>; 2] {
    let mut chunks = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(99_999) {
        chunks.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    [[format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(), chunks]
}

/// Writes all of it, and says when the other end has taken no more for a moment, or all. Who knows it already may have
/// stopped listening.
fn write_until_full(mut socket: &TcpStream, mut bytes: &[u8], full: &Sender<()>) {
    socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(_) => {
                full.send(()).ok();
                socket.set_write_timeout(Some(PATIENCE)).unwrap();
            }
        }
    }
    full.send(()).ok();
}

/// Everything on the way is full before the caller reads: what was written in parts comes whole.
#[test]
fn p8_a_caller_that_reads_late_gets_every_byte() {
    let body = text(HUGE).into_bytes();
    for framed in framings(&body) {
        let (full, is_full) = mpsc::channel();
        let bytes = [b"HTTP/1.1 200 OK\r\n", &framed[..]].concat();
        let upstream = Upstream::serving(move |connection| {
            while connection.request().is_some() {
                write_until_full(&connection.socket, &bytes, &full);
            }
        });
        let world = World::before(upstream, Plan::default());
        let mut client = world.client();
        client.send(request(GET, &[], ""));
        is_full.recv_timeout(PATIENCE).unwrap();
        let answer = client.answer();
        assert!(answer.whole && answer.body == body, "{} of {} bytes", answer.body.len(), body.len());
    }
}

#[test]
fn p8_a_service_that_reads_late_gets_every_byte() {
    let body = text(HUGE).into_bytes();
    for framed in framings(&body) {
        let (full, is_full) = mpsc::channel();
        let is_full = Mutex::new(is_full);
        let upstream = Upstream::serving(move |connection| {
            is_full.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            connection.follow_script();
        });
        let world = World::before(upstream, Plan::default());
        let mut client = world.client();
        client.send("PUT /api/v9/x HTTP/1.1\r\nHost: gate\r\n");
        write_until_full(&client.socket, &framed, &full);
        assert_eq!(client.answer().status, 200);
        assert!(world.upstream.only().body == body);
    }
}

/// An answer to HEAD has no body, be it the service's or a refusal of the gate.
#[test]
fn p8_a_refusal_of_a_head_has_no_body() {
    let world = World::start();
    let mut client = world.client();
    for (target, status) in [("/nowhere", 404), ("/api/v9/x#y", 400)] {
        client.send(request(&format!("HEAD {target}"), &[], ""));
        let answer = client.answer_to("HEAD");
        assert_eq!((answer.status, answer.values("forgetgate-refusal").len()), (status, 1));
        if answer.values("connection") == ["close"] {
            assert_eq!(client.rest(), b"");
            client = world.client();
        }
        assert_eq!(client.ask(request(GET, &[], "")).text(), "{}", "the connection is in step");
    }
    world.upstream.will_say("nonsense\r\n\r\n");
    client.send(request("HEAD /api/v9/x", &[], ""));
    assert_eq!(client.answer_to("HEAD").status, 502);
    assert_eq!(client.ask(request(GET, &[], "")).text(), "{}", "the connection is in step");
}
