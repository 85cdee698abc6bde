//! Bytes that arrive in pieces of the test's choosing, and services that answer in such pieces.
//!
//! The other end is given the next piece only when the kernel says that it has read the one before, so that each piece
//! is a read of its own and nobody has to sleep.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{Client, latin1, request, values};
use crate::upstream::{Connection, Upstream};
use crate::world::{Plan, World};

/// A call that no policy says anything about, with any body.
pub(crate) const ANY: &str = "POST /api/v9/x";
/// The same without a body.
pub(crate) const GET: &str = "GET /api/v9/x";

/// How long the other end may leave a piece unread: one that has turned to something else is not waited for.
const UNREAD: Duration = Duration::from_millis(50);

/// Writes piece after piece. Gives `false` when the other end has gone.
pub(crate) fn in_pieces<P: AsRef<[u8]>>(mut socket: &TcpStream, pieces: impl IntoIterator<Item = P>) -> bool {
    for (at, piece) in pieces.into_iter().enumerate() {
        // What comes last is followed by nothing that it could be read with.
        if at > 0 {
            until_read(socket);
        }
        if socket.write_all(piece.as_ref()).is_err() {
            return false;
        }
    }
    true
}

/// One piece a byte.
pub(crate) fn byte_by_byte(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(1)
}

/// Waits until the other end, which is a socket of this process, has read all that was written.
fn until_read(socket: &TcpStream) {
    let (ours, theirs) = (socket.local_addr().unwrap(), socket.peer_addr());
    let Ok(theirs) = theirs else { return };
    let wanted = format!("{} {}", in_hex(theirs), in_hex(ours));
    let end = Instant::now() + UNREAD;
    while Instant::now() < end && has_unread(&wanted) {
        std::thread::yield_now();
    }
}

/// Has the socket with these two ends bytes that nobody has read? The kernel's table has `tx:rx` two fields on.
fn has_unread(ends: &str) -> bool {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let line = table.lines().find_map(|line| line.split_once(ends));
    let queues = line.and_then(|(_, rest)| rest.split_whitespace().nth(1));
    queues.and_then(|queues| queues.split_once(':')).is_some_and(|(_, unread)| unread != "00000000")
}

fn in_hex(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else { panic!("tests speak over 127.0.0.1") };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

/// The answers of a service, each as the pieces that it is written in.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<VecDeque<Vec<Vec<u8>>>>>);

impl Script {
    /// The next request that is not spoken for yet is answered with these pieces.
    pub(crate) fn will(&self, pieces: Vec<Vec<u8>>) {
        self.0.lock().unwrap().push_back(pieces);
    }

    /// The next request is answered with these bytes in two pieces.
    pub(crate) fn will_split(&self, bytes: &[u8], at: usize) {
        self.will(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]);
    }

    /// A gate before the service that follows this.
    pub(crate) fn world(&self) -> World {
        let script = self.clone();
        World::before(Upstream::serving(move |connection| script.follow(connection)), Plan::default())
    }

    fn follow(&self, connection: &mut Connection) {
        while connection.request().is_some() {
            let pieces = self.0.lock().unwrap().pop_front().expect("every request has been spoken for");
            in_pieces(&connection.socket, pieces);
        }
    }
}

/// A gate before a service that answers with what it was sent: the target, a space, the body.
pub(crate) fn echoing() -> World {
    let echo = |connection: &mut Connection| {
        while let Some(seen) = connection.request() {
            let target = seen.line().split(' ').nth(1).unwrap().as_bytes();
            let body = [target, b" ", &seen.body].concat();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.write([head.as_bytes(), &body].concat());
        }
    };
    // Connections are counted: none may grow old because a busy machine takes its time.
    World::before(Upstream::serving(echo), Plan { limits: "upstream_idle_timeout = \"1m\"", ..Plan::default() })
}

/// What a caller makes of all the bytes of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Nothing at all, or less than its head or its framing promised.
    Part,
    /// Status and body, to the end that its one framing promised.
    Whole(u16, String),
    /// Something that two readers would read differently.
    Unclear(String),
}

/// Sends a request that is the last of its connection, and reads what comes, as strictly as can be.
#[track_caller]
pub(crate) fn made_of_the_last(client: &mut Client, line: &str) -> Made {
    client.send(request(line, &["Connection: close"], ""));
    let all = latin1(&client.rest());
    let Some((head, body)) = all.split_once("\r\n\r\n") else { return Made::Part };
    let status = head[9..12].parse().unwrap();
    let (lengths, codings) = (values(head, "content-length"), values(head, "transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) && !length.is_empty() => {
            let length: usize = length.parse().unwrap();
            match body.len() {
                len if len == length => Made::Whole(status, body.to_owned()),
                len if len < length => Made::Part,
                _ => Made::Unclear(all),
            }
        }
        ([], [coding]) if coding == "chunked" => match unchunked(body) {
            Some((body, "")) => Made::Whole(status, body),
            Some(_) => Made::Unclear(all),
            None => Made::Part,
        },
        _ => Made::Unclear(all),
    }
}

/// A body whose chunks end, and what comes behind them.
fn unchunked(mut rest: &str) -> Option<(String, &str)> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            rest = after;
            break;
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
    while !rest.starts_with("\r\n") {
        rest = rest.split_once("\r\n")?.1;
    }
    Some((body, &rest[2..]))
}

/// The connection answers no more: whatever still came is no further answer.
#[track_caller]
pub(crate) fn assert_over(client: &mut Client, about: &str) {
    client.finish_sending();
    let rest = latin1(&client.rest());
    assert!(!rest.contains("HTTP/1."), "{about}: there was a further answer: {rest}");
}
