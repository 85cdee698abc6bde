//! A whole connection through the real gate, before a service on loopback: what the service sees are the requests that a
//! simple second reader sees in the caller's bytes, in their order; each is answered once, or the connection ends (P8, P9).

#![no_main]

mod model;
mod stand_in;
mod words;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use forgetgate::app::{self, Running};
use forgetgate::config;
use libfuzzer_sys::fuzz_target;

use self::model::{Line, Message, Reading};

/// How long the gate may say nothing: it is told at once that no more will come.
const PATIENCE: Duration = Duration::from_secs(15);

/// Each piece costs the gate a look at its socket.
const PIECES_MAX: usize = 16;

/// So long it may take to do so.
const LOOK: Duration = Duration::from_micros(100);

/// Headers that the gate reads, drops or writes itself begin so, in lower case and with `-` for what is no letter.
const NOT_FOREIGN: [&str; 19] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "forgetgate",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-",
    "sec-",
    "te",
    "trace",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-",
];

static GATE: LazyLock<(SocketAddr, Running)> = LazyLock::new(|| {
    let service = stand_in::start();
    let folder = std::env::temp_dir().join(format!("forgetgate-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the key");
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nhttp2 = false\n\
         [process]\nworkers = 1\n[log]\naccess = false\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [store]\nengine = \"memory\"\npath = \"index\"\nkey = {{ file = \"index.key\" }}\n\
         [limits]\nupstream_idle_timeout = \"1m\"\n\
         [[upstream]]\nname = \"service\"\nprofile = \"watson-assistant\"\nurl = \"http://{service}\"\n\
         route = {{ path = \"/api\" }}\n"
    );
    let loaded = config::parse(&text, &folder).expect("a sound configuration");
    let running = app::start(loaded.config).expect("the gate starts");
    // Its key has been read, and its index is in memory.
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    (running.addresses[0], running)
});

fuzz_target!(|data: &[u8]| {
    let Some(([mode, step], rest)) = data.split_first_chunk::<2>().map(|(first, rest)| (*first, rest)) else { return };
    let bytes = words::spelt_out(mode & 1 != 0, rest);
    let (answers, reset) = exchange(&bytes, usize::from(step), mode & 6 == 6);
    let wanted = check(&bytes, &answers, &stand_in::seen());
    // Who says that a request is the last and sends more has no right to a better end.
    assert!(!reset || wanted, "the connection is reset behind {} bytes of answers", answers.len());
});

/// Sends the bytes, the last of them in pieces, perhaps lets the gate look at each, and says that no more will come; gives
/// all that comes back, up to the end, and whether that was a reset.
fn exchange(bytes: &[u8], step: usize, waits: bool) -> (Vec<u8>, bool) {
    let mut socket = TcpStream::connect(GATE.0).expect("the gate listens");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (begin, end) = bytes.split_at(bytes.len().saturating_sub(step * PIECES_MAX));
    for piece in std::iter::once(begin).chain(end.chunks(step.max(1))) {
        // The gate may have answered and closed already.
        if socket.write_all(piece).is_err() {
            break;
        }
        if waits {
            std::thread::sleep(LOOK);
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    let (mut answers, mut room) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match socket.read(&mut room) {
            Ok(0) => return (answers, false),
            Ok(came) => answers.extend_from_slice(&room[..came]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (answers, true),
            // The fuzzer has an alarm clock.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} behind {} bytes of answers", answers.len()),
        }
    }
}

/// The requests that are there, and what is behind them.
fn requests(bytes: &[u8]) -> (Vec<Message>, Tail, &[u8]) {
    let (mut requests, mut rest) = (Vec::new(), bytes);
    loop {
        match model::request(rest) {
            Reading::Whole(message, length) => {
                requests.push(message);
                rest = &rest[length..];
            }
            Reading::Unfinished => return (requests, Tail::Unfinished, rest),
            Reading::Unsound => return (requests, Tail::Unsound, rest),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Unfinished,
    Unsound,
}

/// Gives whether the last request that was answered was to be the last.
fn check(bytes: &[u8], answers: &[u8], seen: &[(u64, Message)]) -> bool {
    let (requests, tail, rest) = requests(bytes);
    let (mut at, mut answered, mut claimed, mut ends) = (0, 0, 0, false);
    while at < answers.len() {
        let request = requests.get(answered);
        let to_head = request.is_some_and(|request| request.head.first[0] == b"HEAD");
        let read = |to_head| match model::answer(&answers[at..], to_head, true) {
            Reading::Whole(answer, length) => Some((answer, length)),
            Reading::Unfinished | Reading::Unsound => None,
        };
        // Behind the last request it may be seen that there is to be no body, or not.
        let either = read(to_head).or_else(|| request.is_none().then(|| read(true)).flatten());
        let Some((answer, length)) = either else {
            panic!("no whole answer: {:?}", String::from_utf8_lossy(&answers[at..]));
        };
        at += length;
        if answer.head.first[1].starts_with(b"1") {
            continue;
        }
        assert!(!ends, "an answer behind the last one");
        ends = request.is_none_or(|request| is_last(request, &answer));
        match (request, number(&answer)) {
            (Some(request), Some(number)) => {
                let (of, seen) = seen.get(claimed).expect("an answer to what was seen");
                assert_eq!(*of, number, "an answer to another request");
                same(request, seen);
                assert!(to_head || answer.body == stand_in::body(number).as_bytes(), "another body");
                claimed += 1;
            }
            // The gate's own.
            (Some(_), None) => {}
            (None, None) => {
                assert!(!rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')), "an answer to nothing");
            }
            (None, Some(_)) => panic!("the service has answered what is no request ({tail:?})"),
        }
        answered += 1;
    }
    assert_eq!(claimed, seen.len(), "the service has seen a request that nobody sent");
    assert!(answered > 0 || requests.is_empty(), "nothing is answered");
    assert!(ends || answered >= requests.len(), "{answered} answers to {} requests", requests.len());
    ends && answered <= requests.len()
}

/// Whether nothing may come behind it: one of the two has said so. HTTP/1.0 goes on only where both have said that.
fn is_last(request: &Message, answer: &Message) -> bool {
    let say = |token| [request, answer].map(|one| one.head.has_token("connection", token));
    say("close").contains(&true) || (request.head.first[2] == b"HTTP/1.0" && say("keep-alive").contains(&false))
}

fn number(answer: &Message) -> Option<u64> {
    let number = answer.head.all(stand_in::NUMBER).first().copied()?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn same(sent: &Message, seen: &Message) {
    let [method, target, _] = &sent.head.first;
    assert_eq!((method, &b"HTTP/1.1"[..]), (&seen.head.first[0], &seen.head.first[2][..]));
    assert_eq!(String::from_utf8_lossy(&expected(target)), String::from_utf8_lossy(&seen.head.first[1]));
    assert!(sent.body == seen.body, "{} bytes became {}", sent.body.len(), seen.body.len());
    let nominated = |name: &[u8]| std::str::from_utf8(name).is_ok_and(|name| sent.head.has_token("connection", name));
    let wanted = foreign(&sent.head.lines).filter(|(name, _)| !nominated(name));
    assert!(wanted.eq(foreign(&seen.head.lines)), "{:?} became {:?}", sent.head.lines, seen.head.lines);
    assert!(foreign(&sent.trailers).eq(foreign(&seen.trailers)), "{:?} became {:?}", sent.trailers, seen.trailers);
}

/// What is asked of the service by this target: it has the path behind the route.
fn expected(target: &[u8]) -> Vec<u8> {
    let origin = match target.windows(3).position(|part| part == b"://") {
        Some(scheme) if !target.starts_with(b"/") => {
            let host = &target[scheme + 3..];
            &host[host.iter().position(|byte| *byte == b'/').unwrap_or(host.len())..]
        }
        _ => target,
    };
    let rest = origin.strip_prefix(b"/api").unwrap_or(origin);
    if rest.starts_with(b"/") { rest.to_vec() } else { [b"/", rest].concat() }
}

fn foreign(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines.iter().filter(|(name, _)| {
        let text: String = name.iter().map(|byte| fold(*byte)).collect();
        !NOT_FOREIGN.iter().any(|own| text.starts_with(own))
    })
}

fn fold(byte: u8) -> char {
    if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' }
}
