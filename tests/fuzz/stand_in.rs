//! A service that numbers the requests that it has read whole, and says the number in its answer. It answers in every framing
//! in turn, and closes now and then.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};

use crate::model::{self, Message, Reading};

/// The line that holds the number.
pub const NUMBER: &str = "X-Number";

static SEEN: Mutex<Seen> = Mutex::new(Seen { next: 0, requests: Vec::new() });

struct Seen {
    next: u64,
    requests: Vec<(u64, Message)>,
}

/// Starts it.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || serve(socket));
        }
    });
    address
}

/// What has been seen since this was last asked, in its order.
pub fn seen() -> Vec<(u64, Message)> {
    std::mem::take(&mut SEEN.lock().unwrap_or_else(PoisonError::into_inner).requests)
}

fn serve(mut socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    let (mut bytes, mut room) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match model::request(&bytes) {
            Reading::Whole(message, length) => {
                bytes.drain(..length);
                let to_head = message.head.first[0] == b"HEAD";
                let number = note(message);
                let (answer, closes) = answer(number, to_head);
                if socket.write_all(&answer).is_err() || closes {
                    return;
                }
                continue;
            }
            Reading::Unfinished => {}
            // Nobody who reads this could go on: it shows as a request without an answer.
            Reading::Unsound => std::process::abort(),
        }
        match socket.read(&mut room) {
            Ok(0) => return,
            Ok(came) => bytes.extend_from_slice(&room[..came]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn note(message: Message) -> u64 {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let number = seen.next;
    seen.next += 1;
    seen.requests.push((number, message));
    number
}

/// What the answer to this number has in it, if it has a body.
pub fn body(number: u64) -> String {
    format!("answer {number}")
}

fn answer(number: u64, to_head: bool) -> (Vec<u8>, bool) {
    let text = body(number);
    let (lines, body, closes) = match number % 5 {
        0 | 1 => (format!("Content-Length: {}\r\n", text.len()), text, false),
        2 => {
            let (first, second) = text.split_at(3);
            let chunks = format!("3\r\n{first}\r\n{:X};x\r\n{second}\r\n0\r\nZt: 1\r\n\r\n", second.len());
            ("Transfer-Encoding: chunked\r\n".to_owned(), chunks, false)
        }
        3 => (format!("Connection: close\r\nContent-Length: {}\r\n", text.len()), text, true),
        _ => ("Connection: close\r\n".to_owned(), text, true),
    };
    let interim = if number.is_multiple_of(7) { "HTTP/1.1 103 Early Hints\r\nZi: 1\r\n\r\n" } else { "" };
    let body = if to_head { "" } else { &body[..] };
    (format!("{interim}HTTP/1.1 200 OK\r\n{NUMBER}: {number}\r\n{lines}\r\n{body}").into_bytes(), closes)
}
