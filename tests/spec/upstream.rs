//! The service behind the gate: a socket that keeps every byte, and answers as the test has told it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::client::{PATIENCE, eventually, find, latin1, values};

/// The answer of a service that has been told nothing.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
    /// Request line and header lines as they came, the empty line left out.
    pub(crate) head: String,
    /// Unchunked.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<String>,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }

    /// The header lines without those that the gate adds to every request.
    pub(crate) fn lines(&self) -> Vec<&str> {
        let ours = ["via:", "traceparent:", "x-request-id:"];
        let lines = self.head.split("\r\n").skip(1);
        lines.filter(|line| !ours.iter().any(|our| line.to_ascii_lowercase().starts_with(our))).collect()
    }
}

/// What is done about a request, after it was read whole.
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    ThenClose(Vec<u8>),
    ThenReset(Vec<u8>),
    /// When the test says so.
    When(Receiver<()>, Vec<u8>),
    /// Nothing, until the gate gives up.
    Hang,
}

/// A stream of either kind.
pub(crate) trait Wire: Read + Write + Send {
    /// Says that nothing more will come.
    fn say_end(&mut self);
}

impl Wire for TcpStream {
    fn say_end(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn say_end(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
        self.sock.shutdown(Shutdown::Write).unwrap();
    }
}

impl Wire for StreamOwned<ClientConnection, TcpStream> {
    fn say_end(&mut self) {
        self.conn.send_close_notify();
        self.flush().unwrap();
    }
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    open: AtomicUsize,
    ending: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    /// All bytes of each connection.
    bytes: Mutex<Vec<Vec<u8>>>,
    script: Mutex<VecDeque<Reply>>,
}

/// The service.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// One connection of it.
pub(crate) struct Connection {
    pub(crate) number: usize,
    /// For what only the socket itself can do.
    pub(crate) socket: TcpStream,
    wire: Box<dyn Wire>,
    shared: Arc<Shared>,
    read: Vec<u8>,
}

impl Upstream {
    /// Answers each request with what [`Self::will`] says, else with [`OK`].
    pub(crate) fn scripted() -> Self {
        Self::serving(Connection::follow_script)
    }

    /// Each connection is given to `serve`, on a thread of its own.
    pub(crate) fn serving(serve: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::over(|socket| Some(Box::new(socket)), serve)
    }

    /// The same over something that is made of the socket, such as TLS.
    pub(crate) fn over(
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Wire>> + Send + Sync + 'static,
        serve: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let work = Arc::new((wrap, serve));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.unwrap();
                if accepting.ending.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, work) = (Arc::clone(&accepting), Arc::clone(&work));
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                shared.bytes.lock().unwrap().push(Vec::new());
                std::thread::spawn(move || {
                    // Longer than any test waits: it is never the service that ends a wait.
                    socket.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                    socket.set_nodelay(true).unwrap();
                    if let Some(wire) = work.0(socket.try_clone().unwrap()) {
                        let mut connection =
                            Connection { number, socket, wire, shared: Arc::clone(&shared), read: Vec::new() };
                        work.1(&mut connection);
                    }
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// The next request that is not spoken for yet is answered like this.
    pub(crate) fn will(&self, reply: Reply) {
        self.shared.script.lock().unwrap().push_back(reply);
    }

    pub(crate) fn will_say(&self, bytes: impl AsRef<[u8]>) {
        self.will(Reply::Bytes(bytes.as_ref().to_vec()));
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that have not ended.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The whole requests so far, in the order in which they ended.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The one request that was seen.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let [only] = self.seen().try_into().unwrap_or_else(|seen| panic!("not one request: {seen:?}"));
        only
    }

    /// Waits until it has seen so many requests.
    #[track_caller]
    pub(crate) fn saw(&self, count: usize) -> Vec<Seen> {
        eventually("the service has seen the request", || self.seen().len() >= count);
        self.seen()
    }

    /// Every byte that came over a connection so far.
    pub(crate) fn bytes(&self, connection: usize) -> Vec<u8> {
        self.shared.bytes.lock().unwrap().get(connection).cloned().unwrap_or_default()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if it has ended already there is nobody to wake.
        drop(TcpStream::connect(self.address));
    }
}

impl Connection {
    pub(crate) fn follow_script(&mut self) {
        while self.request().is_some() {
            let reply = self.shared.script.lock().unwrap().pop_front();
            match reply.unwrap_or_else(|| Reply::Bytes(OK.into())) {
                Reply::Bytes(bytes) => self.write(bytes),
                Reply::ThenClose(bytes) => return self.write(bytes),
                Reply::ThenReset(bytes) => {
                    self.write(bytes);
                    return self.reset();
                }
                Reply::When(told, bytes) => {
                    // A test that is over tells nothing any more.
                    if told.recv_timeout(PATIENCE).is_err() {
                        return;
                    }
                    self.write(bytes);
                }
                Reply::Hang => return self.until_closed(),
            }
        }
    }

    /// Reads a whole request and keeps it; `None` when the connection ends first.
    pub(crate) fn request(&mut self) -> Option<Seen> {
        let head = self.head()?;
        let mut seen = Seen { connection: self.number, head, body: Vec::new(), trailers: Vec::new() };
        if seen.values("transfer-encoding").iter().any(|coding| coding.contains("chunked")) {
            self.chunked(&mut seen)?;
        } else if let Some(length) = seen.values("content-length").first() {
            seen.body = self.exactly(length.parse().unwrap())?;
        }
        self.shared.seen.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return Some(latin1(&head[..end]));
            }
            self.more()?;
        }
    }

    fn chunked(&mut self, seen: &mut Seen) -> Option<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            seen.body.extend(self.exactly(size)?);
            assert_eq!(self.line()?, "");
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            seen.trailers.push(line);
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                return Some(latin1(&line[..end]));
            }
            self.more()?;
        }
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            self.more()?;
        }
        Some(self.read.drain(..length).collect())
    }

    /// Reads what has come; `None` when the connection has ended.
    pub(crate) fn more(&mut self) -> Option<usize> {
        let mut buffer = vec![0; 64 * 1024];
        let length = self.wire.read(&mut buffer).ok().filter(|length| *length > 0)?;
        self.read.extend_from_slice(&buffer[..length]);
        self.shared.bytes.lock().unwrap()[self.number].extend_from_slice(&buffer[..length]);
        Some(length)
    }

    /// Reads on, and moves all that has come and was not used; `None` when the connection has ended.
    pub(crate) fn take_into(&mut self, taken: &mut Vec<u8>) -> Option<()> {
        self.more()?;
        taken.append(&mut self.read);
        Some(())
    }

    /// Are these the last bytes that came?
    pub(crate) fn bytes_end_with(&self, end: &[u8]) -> bool {
        self.read.ends_with(end)
    }

    /// The gate may have left already, which is what some of the tests are about.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.wire.write_all(bytes.as_ref()).and_then(|()| self.wire.flush()));
    }

    /// Ends the connection in order, over TLS too.
    pub(crate) fn say_end(&mut self) {
        self.wire.say_end();
    }

    /// Waits until the gate has closed the connection.
    pub(crate) fn until_closed(&mut self) {
        while self.more().is_some() {}
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}
