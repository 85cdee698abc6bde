//! P8 and P12: bodies stream with back-pressure and are never collected, and what a peer sends beyond every bound costs
//! a bounded amount of memory. The gate's own figures are read from the kernel.

use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::support::http::{Answer, connect};
use crate::support::upstream::{Bare, Head, answer_empty};
use crate::support::{Call, Gate, Setup, Site};

const MIB: u64 = 1 << 20;
const WHOLE: u64 = 100 * MIB;
const BOUND: u64 = 32 * MIB;

/// Bytes of a body: different in every block, the same in every run.
struct Sound {
    left: u64,
    block: Vec<u8>,
}

impl Sound {
    fn new(length: u64) -> Self {
        Self {
            left: length,
            block: (0..64 * 1024_u32).map(|place| place.to_le_bytes()[usize::from(place % 7 == 0)]).collect(),
        }
    }

    fn digest() -> Vec<u8> {
        let mut digest = Sha256::new();
        Self::new(WHOLE).for_each(|block| digest.update(block));
        digest.finalize().to_vec()
    }
}

impl Iterator for Sound {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.left.min(self.block.len() as u64)).unwrap();
        self.left -= length as u64;
        self.block[0] = self.block[0].wrapping_add(1);
        (length > 0).then(|| self.block[..length].to_vec())
    }
}

/// Reads a body of this framing to its end: how long it is, and its digest.
fn read_body(from: &mut impl Read, length: Option<u64>, came: &AtomicU64) -> (u64, Vec<u8>) {
    let mut digest = Sha256::new();
    let mut whole = 0;
    let mut take = |from: &mut dyn Read, mut left: u64| {
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let room = usize::try_from(left.min(buffer.len() as u64)).unwrap();
            let count = from.read(&mut buffer[..room]).unwrap();
            assert!(count > 0, "the body is cut off");
            digest.update(&buffer[..count]);
            left -= count as u64;
            whole += count as u64;
            came.store(whole, Ordering::SeqCst);
        }
    };
    match length {
        Some(length) => take(from, length),
        None => loop {
            let length = u64::from_str_radix(line(from).split(';').next().unwrap(), 16).unwrap();
            take(from, length);
            assert_eq!(line(from), "");
            if length == 0 {
                break;
            }
        },
    }
    (whole, digest.finalize().to_vec())
}

fn line(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n") {
        assert_eq!(from.read(&mut byte).unwrap(), 1);
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap().trim_end().to_owned()
}

/// Writes a whole body in this framing, and says how far it has come.
fn write_body(to: &mut impl Write, chunked: bool, gone: &AtomicU64) -> std::io::Result<()> {
    for block in Sound::new(WHOLE) {
        if chunked {
            write!(to, "{:x}\r\n", block.len())?;
        }
        to.write_all(&block)?;
        if chunked {
            to.write_all(b"\r\n")?;
        }
        gone.fetch_add(block.len() as u64, Ordering::SeqCst);
    }
    if chunked {
        to.write_all(b"0\r\n\r\n")?;
    }
    to.flush()
}

fn framing(chunked: bool) -> String {
    if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {WHOLE}") }
}

/// A figure of the process in bytes, such as `VmRSS`.
fn figure(gate: &Gate, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() * 1024
}

/// What the gate takes when it has nothing to do, and the most that it took while something was done.
pub(crate) struct Watched<'a> {
    gate: &'a Gate,
    idle: u64,
}

impl<'a> Watched<'a> {
    pub(crate) fn begin(gate: &'a Gate) -> Self {
        // The peak is counted anew from here.
        fs::write(format!("/proc/{}/clear_refs", gate.id()), "5").unwrap();
        Self { gate, idle: figure(gate, "VmRSS:") }
    }

    pub(crate) fn check(&self) {
        let peak = figure(self.gate, "VmHWM:").saturating_sub(self.idle);
        assert!(peak <= BOUND, "the gate took {peak} bytes more than when it was idle");
    }
}

/// Waits until a count moves no more, and gives it.
fn standstill(count: &AtomicU64) -> u64 {
    let (mut last, mut looks) = (0, 0);
    while looks < 100 {
        let now = count.load(Ordering::SeqCst);
        looks = if now == last && now > 0 { looks + 1 } else { 0 };
        last = now;
        thread::sleep(Duration::from_millis(5));
    }
    last
}

/// A service that takes an upload when it is let, and then sends one back.
struct Peer {
    gate: Gate,
    came: Arc<AtomicU64>,
    gone: Arc<AtomicU64>,
    /// What was uploaded.
    told: mpsc::Receiver<(u64, Vec<u8>)>,
    /// While it is held, the service does not read.
    reads: Arc<Mutex<()>>,
    _service: Bare,
}

impl Peer {
    fn new() -> Self {
        let (came, gone, reads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(())));
        let (tell, told) = mpsc::channel();
        let (counts, may_read) = ((Arc::clone(&came), Arc::clone(&gone)), Arc::clone(&reads));
        let service = Bare::start(move |mut socket| {
            while let Ok(Some(head)) = Head::read(&mut socket) {
                if head.0.starts_with("POST /v1/recognize") {
                    let length = head.header("content-length").map(|length| length.parse().unwrap());
                    drop(may_read.lock());
                    drop(tell.send(read_body(&mut BufReader::new(&socket), length, &counts.0)));
                    answer_empty(&mut socket).unwrap();
                } else {
                    let chunked = head.0.contains("chunked-please");
                    let lines = format!("HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n{}\r\n\r\n", framing(chunked));
                    let mut to = BufWriter::new(&socket);
                    if to.write_all(lines.as_bytes()).and_then(|()| write_body(&mut to, chunked, &counts.1)).is_err() {
                        return;
                    }
                }
            }
        });
        let sites = [
            Site::new("speech", "watson-speech-to-text", service.addr),
            Site::new("voice", "watson-text-to-speech", service.addr),
        ];
        let gate = Gate::start(&Setup::new(sites));
        let peer = Self { gate, came, gone, told, reads, _service: service };
        // Everything that is made at a first use has been made then.
        Call::get("/healthz").send(peer.gate.admin).unwrap();
        peer
    }

    /// Uploads on a thread of its own; `sent` says how far the caller has come.
    fn upload(&self, chunked: bool, sent: &Arc<AtomicU64>) -> thread::JoinHandle<Answer> {
        let (addr, sent) = (self.gate.addr, Arc::clone(sent));
        thread::spawn(move || {
            let mut socket = connect(addr).unwrap();
            let lines = "POST /speech/api/v1/recognize HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\
                 Content-Type: audio/wav\r\nX-Watson-Metadata: customer_id=loud\r\n";
            socket.write_all(format!("{lines}{}\r\n\r\n", framing(chunked)).as_bytes()).unwrap();
            write_body(&mut socket, chunked, &sent).unwrap();
            Answer::read(&mut socket).unwrap()
        })
    }

    /// Asks for a download, and leaves the answer unread.
    fn download(&self, chunked: bool) -> TcpStream {
        let more = if chunked { "&text=chunked-please" } else { "&text=hello" };
        let call = Call::get(&format!("/voice/api/v1/synthesize?accept=audio/wav{more}"));
        call.with("X-Watson-Metadata", "customer_id=loud").begin(self.gate.addr).unwrap()
    }
}

fn read_download(socket: &mut TcpStream, chunked: bool) {
    let head = Head::read(socket).unwrap().unwrap();
    assert!(head.0.starts_with("HTTP/1.1 200 "), "{}", head.0);
    let length = (!chunked).then(|| head.length());
    let came = read_body(&mut BufReader::new(socket), length, &AtomicU64::new(0));
    assert_eq!(came, (WHOLE, Sound::digest()));
}

#[test]
fn p8_p12_a_labelled_upload_of_100_mib_passes_whole_and_is_never_collected() {
    for chunked in [false, true] {
        let peer = Peer::new();
        let watched = Watched::begin(&peer.gate);
        let answer = peer.upload(chunked, &Arc::default()).join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(peer.told.recv().unwrap(), (WHOLE, Sound::digest()));
        watched.check();
    }
}

#[test]
fn p8_p12_a_download_of_100_mib_passes_whole_and_is_never_collected() {
    for chunked in [false, true] {
        let peer = Peer::new();
        let watched = Watched::begin(&peer.gate);
        read_download(&mut peer.download(chunked), chunked);
        watched.check();
    }
}

#[test]
fn p8_p12_a_caller_who_does_not_read_stops_the_service_and_costs_no_memory() {
    let peer = Peer::new();
    let watched = Watched::begin(&peer.gate);
    let mut socket = peer.download(false);
    let gone = standstill(&peer.gone);
    assert!(gone < WHOLE / 2, "{gone} bytes went to a caller who did not read");
    watched.check();
    read_download(&mut socket, false);
    watched.check();
}

#[test]
fn p8_p12_a_service_that_does_not_read_stops_the_caller_and_costs_no_memory() {
    for chunked in [false, true] {
        let peer = Peer::new();
        let watched = Watched::begin(&peer.gate);
        let holding = peer.reads.lock();
        let sent = Arc::default();
        let uploading = peer.upload(chunked, &sent);
        let gone = standstill(&sent);
        assert!(gone < WHOLE / 2, "{gone} bytes went to a service that did not read");
        assert_eq!(peer.came.load(Ordering::SeqCst), 0);
        watched.check();
        drop(holding);
        assert_eq!(uploading.join().unwrap().status, 200);
        assert_eq!(peer.told.recv().unwrap(), (WHOLE, Sound::digest()));
        watched.check();
    }
}

/// One line, many lines, and a target of 10 MiB each: refused, with a bound on what is kept of them.
#[test]
fn p12_heads_of_10_mib_are_refused_and_cost_no_memory() {
    let peer = Peer::new();
    let watched = Watched::begin(&peer.gate);
    let big = "a".repeat(10 << 20);
    let lines = "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(160_000);
    let heads = [
        format!("GET /voice/api/v1/voices HTTP/1.1\r\nHost: g\r\nx: {big}\r\n\r\n"),
        format!("GET /voice/api/v1/voices HTTP/1.1\r\nHost: g\r\n{lines}\r\n"),
        format!("GET /voice/api/v1/{big} HTTP/1.1\r\nHost: g\r\n\r\n"),
    ];
    for head in heads {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let mut socket = connect(peer.gate.addr).unwrap();
                let head = head.clone();
                thread::spawn(move || {
                    // The gate may close before it has read everything.
                    let written = socket.write_all(head.as_bytes());
                    let answer = Answer::read(&mut socket);
                    assert!(written.is_err() || answer.is_ok_and(|answer| [414, 431].contains(&answer.status)));
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    }
    assert_eq!(peer.gone.load(Ordering::SeqCst), 0, "none of them reached the service");
    watched.check();
}
