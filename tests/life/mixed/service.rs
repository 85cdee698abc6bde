//! A service that goes away with all its connections, comes back at the same place, and looks at whatever it is sent: each
//! call must be labelled and opted out as its kind asks for.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use forgetgate::domain::websocket::accept_of;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::support::upstream::Head;

/// Bytes of the answer to a download.
pub(super) const DOWNLOAD: usize = 300_000;

pub(super) struct Restarting {
    pub(super) addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    here: AtomicBool,
    next: AtomicU64,
    open: Mutex<Vec<(u64, TcpStream)>>,
    /// When it went, and when it was back.
    away: Mutex<Vec<(Instant, Option<Instant>)>>,
    wrong: Mutex<Vec<String>>,
}

impl Restarting {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let service = Self { addr: listener.local_addr().unwrap(), state: Arc::default() };
        service.serve(listener);
        service
    }

    fn serve(&self, listener: TcpListener) {
        self.state.here.store(true, Ordering::SeqCst);
        let state = Arc::clone(&self.state);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if !state.here.load(Ordering::SeqCst) {
                    return;
                }
                let number = state.next.fetch_add(1, Ordering::SeqCst);
                state.open.lock().push((number, socket.try_clone().unwrap()));
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    // However a connection ends, it is the other end or the restart that ended it.
                    drop(state.connection(socket));
                    state.open.lock().retain(|(each, _)| *each != number);
                });
            }
        });
    }

    /// Goes away: nobody listens, and every connection is cut.
    pub(super) fn go(&self) {
        self.state.away.lock().push((Instant::now(), None));
        self.state.here.store(false, Ordering::SeqCst);
        drop(TcpStream::connect(self.addr));
        for (_, socket) in self.state.open.lock().iter() {
            // One that has ended just now cannot be cut any more.
            socket.shutdown(Shutdown::Both).ok();
        }
    }

    pub(super) fn come_back(&self) {
        let listener = crate::support::eventually_some("the place is free", || TcpListener::bind(self.addr).ok());
        self.serve(listener);
        self.state.away.lock().last_mut().unwrap().1 = Some(Instant::now());
    }

    /// Was it away at any moment between these?
    pub(super) fn was_away(&self, from: Instant, to: Instant) -> bool {
        self.state.away.lock().iter().any(|(gone, back)| *gone <= to && back.is_none_or(|back| back >= from))
    }

    pub(super) fn assert_nothing_wrong(&self) {
        let wrong = self.state.wrong.lock();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

impl Drop for Restarting {
    fn drop(&mut self) {
        self.go();
    }
}

impl State {
    fn connection(&self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        while let Some(head) = Head::read(&mut socket)? {
            let line = head.0.lines().next().unwrap_or_default();
            if head.header("upgrade").is_some() {
                self.look(line.contains("x-watson-metadata=customer_id%3D"), &head);
                self.look(line.contains("x-watson-learning-opt-out=true"), &head);
                return echo(&head, &mut socket);
            }
            if line.starts_with("POST /v1/recognize ") {
                self.look(labels(&head) == 1, &head);
                self.look(head.header("x-watson-learning-opt-out") == Some("true"), &head);
                let said = digest(&read_body(&head, &mut socket)?);
                write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len())?;
            } else if line.starts_with("GET /v1/models ") {
                socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for part in download().chunks(7_000) {
                    write!(socket, "{:x}\r\n", part.len())?;
                    socket.write_all(part)?;
                    socket.write_all(b"\r\n")?;
                }
                socket.write_all(b"0\r\n\r\n")?;
            } else {
                self.look(head.deletes().is_some(), &head);
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")?;
            }
        }
        Ok(())
    }

    fn look(&self, is_right: bool, head: &Head) {
        if !is_right {
            self.wrong.lock().push(head.0.clone());
        }
    }
}

/// What a download is answered with.
pub(super) fn download() -> Vec<u8> {
    (0..DOWNLOAD).map(|place| b'a' + u8::try_from(place % 23).unwrap()).collect()
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn labels(head: &Head) -> usize {
    head.0.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-watson-metadata: customer_id=")).count()
}

fn read_body(head: &Head, socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    if head.header("content-length").is_some() {
        return exactly(socket, usize::try_from(head.length()).unwrap());
    }
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(exactly(socket, 1)?);
        }
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap();
        body.extend(exactly(socket, size)?);
        exactly(socket, 2)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn exactly(socket: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Accepts, and sends back whatever comes.
fn echo(head: &Head, socket: &mut TcpStream) -> io::Result<()> {
    let accept = accept_of(head.header("sec-websocket-key").unwrap().as_bytes());
    write!(
        socket,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..length])?;
    }
}
