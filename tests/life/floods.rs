//! P12: what HTTP/2 lets a hostile peer do by the thousand. Whatever it is, the gate's memory stays bounded, another
//! client is served meanwhile, and where the peer can only mean harm its connection ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::memory::Watched;
use crate::support::http::connect;
use crate::support::upstream::{Bare, Head, answer_empty};
use crate::support::{Call, Gate, Setup, Site};

#[path = "../spec/http2/frames.rs"]
#[allow(dead_code, reason = "the other tests that read this file use all of it")]
mod frames;

use frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, all, block, frame};

const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Hostile connections at once.
const ATTACKERS: usize = 4;
/// What each of them sends at most.
const SENT_MAX: usize = 24 << 20;
/// A peer that is not read from for so long is stuck.
const STUCK: Duration = Duration::from_secs(2);

/// How an attack ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The gate ended the connection, with this code if it came through.
    Closed(Option<u32>),
    /// The gate reads no more.
    Stuck,
    /// Everything was sent.
    Spent,
}

struct World {
    gate: Gate,
    _service: Bare,
}

impl World {
    fn new() -> Self {
        let service = Bare::start(|mut socket| {
            while let Ok(Some(head)) = Head::read(&mut socket) {
                if head.0.contains("endless") {
                    let block = vec![b'a'; 64 * 1024];
                    drop(socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"));
                    while socket.write_all(&block).is_ok() {}
                    return;
                }
                if head.0.starts_with("POST") {
                    let mut buffer = [0; 64 * 1024];
                    while socket.read(&mut buffer).is_ok_and(|length| length > 0) {}
                    return;
                }
                if answer_empty(&mut socket).is_err() {
                    return;
                }
            }
        });
        let mut setup = Setup::new([Site::speech(service.addr)]);
        // However late a busy machine accepts two hundred connections at once: a stream that is refused stands still nowhere.
        setup.limits = "body_stall_timeout = \"6s\"\nconnect_timeout = \"60s\"\n".to_owned();
        let world = Self { gate: Gate::start(&setup), _service: service };
        world.another_client();
        Call::get("/healthz").send(world.gate.admin).unwrap();
        world
    }

    fn another_client(&self) {
        let answer = Call::get("/speech/api/v1/models").send(self.gate.addr).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Attacks from several connections while another client is served, and gives how each ended.
    fn attacked(&self, attack: impl Fn(TcpStream) -> Ended + Sync) -> Vec<Ended> {
        let watched = Watched::begin(&self.gate);
        let over = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            let attacks: Vec<_> =
                (0..ATTACKERS).map(|_| scope.spawn(|| attack(connect(self.gate.addr).unwrap()))).collect();
            let other = scope.spawn(|| {
                // At least once while it goes on.
                loop {
                    self.another_client();
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
            let ended: Vec<_> = attacks.into_iter().map(thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::SeqCst);
            other.join().unwrap();
            ended.into_iter().map(Result::unwrap).collect()
        });
        self.another_client();
        watched.check();
        ended
    }
}

/// Sends a beginning, and then what `next` gives, again and again.
fn flood(mut socket: TcpStream, begin: &[u8], reads: bool, mut next: impl FnMut() -> Vec<u8>) -> Ended {
    socket.set_write_timeout(Some(STUCK)).unwrap();
    let reading = socket.try_clone().unwrap();
    let reader = thread::spawn(move || if reads { goodbye(reading) } else { None });
    let mut sent = 0;
    let mut write = |bytes: &[u8]| socket.write_all(bytes).map(|()| sent += bytes.len()).map(|()| sent);
    let mut written = write(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), begin].concat());
    while matches!(written, Ok(sent) if sent < SENT_MAX) {
        let mut batch = Vec::new();
        while batch.len() < 16 * 1024 {
            batch.extend(next());
        }
        written = write(&batch);
    }
    let ended = match written {
        Ok(_) => Ended::Spent,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            Ended::Stuck
        }
        Err(_) => Ended::Closed(None),
    };
    // What is still read is what came before.
    drop(socket.shutdown(std::net::Shutdown::Write));
    match (ended, reader.join().unwrap()) {
        (Ended::Closed(_), code) => Ended::Closed(code),
        // It may have been told before it had sent all.
        (_, Some(code)) if code != 0 => Ended::Closed(Some(code)),
        (ended, _) => ended,
    }
}

/// Reads to the end, and gives the code of the last goodbye.
fn goodbye(mut socket: TcpStream) -> Option<u32> {
    socket.set_read_timeout(Some(STUCK * 5)).unwrap();
    let (mut read, mut buffer, mut code) = (Vec::new(), vec![0; 64 * 1024], None);
    while let Ok(length @ 1..) = socket.read(&mut buffer) {
        read.extend_from_slice(&buffer[..length]);
        let mut used = 0;
        while let Some((kind, _, _, payload, length)) = frames::first(&read[used..]) {
            if kind == frames::GOAWAY {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
            used += length;
        }
        read.drain(..used);
    }
    code
}

fn head(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "gate"), (":path", path)];
    block(&[&pseudo[..], more].concat())
}

const MODELS: &str = "/speech/api/v1/models";
const RECOGNIZE: &str = "/speech/api/v1/recognize";

/// The streams of a caller, one after the other.
fn streams() -> impl FnMut() -> u32 {
    let mut last = u32::MAX;
    move || {
        last = last.wrapping_add(2);
        last
    }
}

#[track_caller]
fn assert_all_closed(ended: &[Ended]) {
    assert!(ended.iter().all(|ended| matches!(ended, Ended::Closed(_))), "{ended:?}");
}

/// CVE-2023-44487. Its word for it reaches at least one of them: a connection that is closed under a writer may be reset.
#[test]
fn p12_rapid_resets_end_the_connection() {
    let world = World::new();
    let ended = world.attacked(|socket| {
        let mut stream = streams();
        flood(socket, &[], true, || {
            let stream = stream();
            let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("GET", MODELS, &[]));
            [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        })
    });
    assert_all_closed(&ended);
    assert!(ended.contains(&Ended::Closed(Some(ENHANCE_YOUR_CALM))), "{ended:?}");
}

/// Resets that come one at a time, each after its request has been looked at, are counted too.
#[test]
fn p12_slow_resets_end_the_connection() {
    let world = World::new();
    let ended = world.attacked(|mut socket| {
        socket.set_read_timeout(Some(STUCK * 5)).unwrap();
        socket.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
        let mut stream = streams();
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        for _ in 0..10_000 {
            let number = stream();
            let lines = [("x-watson-metadata", "customer_id=slow")];
            let ask = frame(HEADERS, END_HEADERS, number, &head("POST", RECOGNIZE, &lines));
            let reset = frame(RST_STREAM, 0, number, &8_u32.to_be_bytes());
            // A ping between the two: its answer says that the request was read.
            for bytes in [[ask, frame(PING, 0, 0, &u64::from(number).to_be_bytes())].concat(), reset] {
                if socket.write_all(&bytes).is_err() {
                    return Ended::Closed(None);
                }
            }
            while !all(&read).iter().any(|(kind, _, _, payload)| *kind == PING && payload[4..8] == number.to_be_bytes())
            {
                match socket.read(&mut buffer) {
                    Ok(length @ 1..) => read.extend_from_slice(&buffer[..length]),
                    _ => return Ended::Closed(None),
                }
            }
            read.clear();
        }
        Ended::Spent
    });
    assert_all_closed(&ended);
}

/// CVE-2025-8671: it is the gate that is made to reset.
#[test]
fn p12_streams_that_the_gate_is_made_to_reset_end_the_connection() {
    let world = World::new();
    let ended = world.attacked(|socket| {
        let mut stream = streams();
        flood(socket, &[], true, || {
            let stream = stream();
            let ask = frame(HEADERS, END_HEADERS, stream, &head("POST", RECOGNIZE, &[]));
            [ask, frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
        })
    });
    assert_all_closed(&ended);
}

#[test]
fn p12_a_head_without_end_ends_the_connection() {
    let world = World::new();
    let ended = world.attacked(|socket| {
        let begin = frame(HEADERS, END_STREAM, 1, &head("GET", MODELS, &[]));
        let more = block(&[("x-more", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]);
        flood(socket, &begin, true, || frame(CONTINUATION, 0, 1, &more))
    });
    assert_all_closed(&ended);
    let ended = world.attacked(|socket| {
        let begin = frame(HEADERS, END_STREAM, 1, &head("GET", MODELS, &[]));
        flood(socket, &begin, true, || frame(CONTINUATION, 0, 1, &[]))
    });
    assert_all_closed(&ended);
}

#[test]
fn p12_empty_and_tiny_pieces_of_a_body_end_the_connection() {
    let world = World::new();
    let begin = frame(HEADERS, END_HEADERS, 1, &head("POST", RECOGNIZE, &[("x-watson-metadata", "customer_id=tiny")]));
    for data in [&b""[..], b"a"] {
        let ended = world.attacked(|socket| flood(socket, &begin, true, || frame(DATA, 0, 1, data)));
        assert_all_closed(&ended);
    }
}

#[test]
fn p12_pings_and_settings_whose_answers_nobody_reads_cost_no_memory() {
    let world = World::new();
    for piece in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        world.attacked(|socket| flood(socket, &[], false, || piece.clone()));
        // And where they are read, nobody else is kept waiting.
        world.attacked(|socket| flood(socket, &[], true, || piece.clone()));
    }
}

/// A line of four kilobytes is put into the table once, and named a thousand times in each head.
#[test]
fn p12_a_small_head_that_would_be_a_large_one_ends_the_connection() {
    let world = World::new();
    let ended = world.attacked(|socket| {
        let mut first = head("GET", MODELS, &[]);
        // A literal that is kept (RFC 7541 §6.2.1), its value of 127 + 3873 bytes.
        first.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        first.extend([b'a'; 4000]);
        let begin = frame(HEADERS, END_STREAM | END_HEADERS, 1, &first);
        let mut bomb = head("GET", MODELS, &[]);
        // The youngest line of the table is the 62nd.
        bomb.extend([0xbe; 8000]);
        let mut stream = streams();
        stream();
        flood(socket, &begin, true, || frame(HEADERS, END_STREAM | END_HEADERS, stream(), &bomb))
    });
    assert_all_closed(&ended);
}

#[test]
fn p12_many_streams_of_a_reader_that_stands_still_cost_a_bounded_amount_of_memory() {
    const STREAMS: usize = 100;
    let world = World::new();
    // With no window at all, and with one that is used up.
    for window in [0_u32, 65_535] {
        let ended = world.attacked(|mut socket| {
            socket.set_read_timeout(Some(STUCK * 45)).unwrap();
            let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
            let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat();
            let mut stream = streams();
            for _ in 0..STREAMS {
                let ask = head("GET", "/speech/api/v1/models/endless", &[]);
                bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream(), &ask));
            }
            socket.write_all(&bytes).unwrap();
            // All stand still behind their heads, until their clock ends them.
            let (mut read, mut buffer, mut heads, mut resets) = (Vec::new(), vec![0; 64 * 1024], 0, 0);
            while resets < STREAMS {
                let length = socket
                    .read(&mut buffer)
                    .unwrap_or_else(|error| panic!("{error}: {heads} answers came, and {resets} were ended"));
                assert!(length > 0, "{heads} answers came, and {resets} were ended");
                read.extend_from_slice(&buffer[..length]);
                let mut used = 0;
                while let Some((kind, _, _, _, length)) = frames::first(&read[used..]) {
                    heads += usize::from(kind == HEADERS);
                    resets += usize::from(kind == RST_STREAM);
                    used += length;
                }
                read.drain(..used);
            }
            assert_eq!(heads, STREAMS);
            Ended::Spent
        });
        assert_eq!(ended, [Ended::Spent; ATTACKERS]);
    }
}
