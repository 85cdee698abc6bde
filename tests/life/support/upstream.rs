//! A service of bare sockets: what it does with a connection is the test's own affair, down to the first byte.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// It runs until it is dropped; connections end with their peers.
pub(crate) struct Bare {
    pub(crate) addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Bare {
    /// Serves each connection on a thread of its own.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, serve) = (Arc::clone(&stopped), Arc::new(serve));
        let accepting = thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok).take_while(|_| !stop.load(Ordering::SeqCst)) {
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(socket));
            }
        });
        Self { addr, stopped, accepting: Some(accepting) }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
    }
}

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head(pub(crate) String);

impl Head {
    /// Reads one, byte by byte so that nothing of the body is taken. `None` at the end of the connection.
    pub(crate) fn read(socket: &mut impl Read) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            if socket.read(&mut byte)? == 0 {
                return Ok(None);
            }
            bytes.push(byte[0]);
        }
        Ok(Some(Self(String::from_utf8_lossy(&bytes).into_owned())))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn length(&self) -> u64 {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }

    /// The customer whom a delete names.
    pub(crate) fn deletes(&self) -> Option<String> {
        let query = self.0.strip_prefix("DELETE ")?.split(' ').next()?.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix("customer_id=")).map(str::to_owned)
    }
}

/// The customers named by labels in what came over connections, be it whole or not.
pub(crate) fn labels(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let label = |line: &str| line.strip_prefix("x-watson-metadata: customer_id=").map(str::to_owned);
    text.split("\r\n").filter_map(label).collect()
}

/// Answers `200 {}`.
pub(crate) fn answer_empty(socket: &mut impl Write) -> io::Result<()> {
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
}
