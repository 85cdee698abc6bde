//! A caller that writes exactly the bytes it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// Sends these bytes on a connection of their own and reads until the other side closes.
pub(crate) fn send(addr: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut socket = TcpStream::connect(addr).expect("a service that listens");
    socket.write_all(request.as_ref()).expect("a service that reads");
    read(&mut socket)
}

/// Reads one answer from a connection that the other side will close.
pub(crate) fn read(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("a service that answers and closes");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: rest.split_at(4).1.to_vec() }
}

/// A request with these header lines and this body, on a connection that closes after it.
pub(crate) fn request(call: &str, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let mut head = format!("{call} HTTP/1.1\r\nHost: stand-in\r\nConnection: close\r\n");
    for line in lines.iter().copied().chain([length.as_str()]) {
        head.push_str(line);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}
