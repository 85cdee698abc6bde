//! A caller that writes raw bytes and reads an answer as it came, byte for byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::upstream::Wire;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds, looking often, and fails when that takes too long.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A request's head and body: `lines` are its header lines after `Host`.
pub(crate) fn request(line: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nHost: gate\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    /// The same, or TLS over it.
    wire: Box<dyn Wire>,
    /// What has come and was not yet taken.
    read: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Status line and header lines as they came, the empty line left out.
    pub(crate) head: String,
    /// Unchunked.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<String>,
    /// Did it come to the end that its framing promised?
    pub(crate) whole: bool,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::plain(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn plain(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let wire = Box::new(socket.try_clone().unwrap());
        Self::over(socket, wire)
    }

    /// A connection that is spoken over something that is made of its socket.
    pub(crate) fn over(socket: TcpStream, wire: Box<dyn Wire>) -> Self {
        Self { socket, wire, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write_all(bytes.as_ref()).and_then(|()| self.wire.flush()).unwrap();
    }

    /// For what the gate may not want to read any more.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())
    }

    /// Sends a request, and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer()
    }

    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("")
    }

    /// The answer to a request with this method, which matters for HEAD.
    #[track_caller]
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.head();
        let status: u16 =
            head.get(9..12).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
        let reason = head.lines().next().unwrap().get(13..).unwrap_or_default().to_owned();
        let mut answer = Answer { status, reason, head, body: Vec::new(), trailers: Vec::new(), whole: true };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            self.body(&mut answer);
        }
        answer
    }

    /// The head of the next answer.
    #[track_caller]
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).collect::<Vec<u8>>();
                return latin1(&head[..end]);
            }
            let came = self.more();
            assert!(came, "the connection ended before there was an answer: {:?}", latin1(&self.read));
        }
    }

    #[track_caller]
    fn body(&mut self, answer: &mut Answer) {
        let codings = answer.values("transfer-encoding");
        let lengths = answer.values("content-length");
        if codings == ["chunked"] {
            assert_eq!(lengths, Vec::<String>::new(), "two framings: {}", answer.head);
            answer.whole = self.chunked(answer).is_some();
        } else if let [length] = lengths.as_slice() {
            let length: usize = length.parse().unwrap();
            while self.read.len() < length && self.more() {}
            let taken = length.min(self.read.len());
            answer.body = self.read.drain(..taken).collect();
            answer.whole = taken == length;
        } else {
            assert!(codings.is_empty() && lengths.is_empty(), "no clear framing: {}", answer.head);
            while self.more() {}
            answer.body = std::mem::take(&mut self.read);
        }
    }

    /// `None` when the connection ends before the last chunk does.
    fn chunked(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            while self.read.len() < size + 2 {
                if !self.more() {
                    answer.body.append(&mut self.read);
                    return None;
                }
            }
            answer.body.extend(self.read.drain(..size));
            self.read.drain(..2);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            answer.trailers.push(line);
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                return Some(latin1(&line[..end]));
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads on until these bytes have come, whatever framing they are in, and takes all up to their end.
    #[track_caller]
    pub(crate) fn read_until(&mut self, wanted: &str) -> String {
        loop {
            if let Some(at) = find(&self.read, wanted.as_bytes()) {
                let taken: Vec<u8> = self.read.drain(..at + wanted.len()).collect();
                return latin1(&taken);
            }
            assert!(self.more(), "the connection ended before {wanted:?} came: {:?}", latin1(&self.read));
        }
    }

    /// How much has come of what follows; it is taken.
    pub(crate) fn taken(&mut self) -> usize {
        std::mem::take(&mut self.read).len()
    }

    /// Reads on, and moves all that has come and was not used. `false` when the connection has ended.
    #[track_caller]
    pub(crate) fn read_into(&mut self, taken: &mut Vec<u8>) -> bool {
        let more = self.more();
        taken.append(&mut self.read);
        more
    }

    /// Waits until the gate has closed the connection, and gives what came before.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.read)
    }

    /// What comes before the connection's end, and whether that was said: over TLS, one that was cut is not.
    #[track_caller]
    pub(crate) fn until_its_end(&mut self) -> (Vec<u8>, bool) {
        let mut came = std::mem::take(&mut self.read);
        let ended = self.wire.read_to_end(&mut came);
        let timeout = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        assert!(!ended.as_ref().is_err_and(timeout), "the connection has not ended");
        (came, ended.is_ok())
    }

    /// What comes until the gate has nothing more to say: all that was sent has been answered by then.
    #[track_caller]
    pub(crate) fn rest_within_a_moment(&mut self) -> Vec<u8> {
        self.finish_sending();
        self.rest()
    }

    pub(crate) fn finish_sending(&self) {
        // Who has been turned away already need not be told.
        let ended = self.socket.shutdown(Shutdown::Write);
        assert!(ended.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::NotConnected), "{ended:?}");
    }

    /// `false` when the connection has ended; nothing at all for too long fails the test.
    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.wire.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.read.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("nothing came for {PATIENCE:?}; before that: {:?}", latin1(&self.read))
            }
            Err(_) => false,
        }
    }
}

impl Answer {
    /// The values of all lines of this name.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }

    /// The value of the one line of this name.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> String {
        let [value] = self.values(name).try_into().unwrap_or_else(|_| panic!("not one {name}: {}", self.head));
        value
    }

    pub(crate) fn text(&self) -> String {
        latin1(&self.body)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.head, self.text()))
    }

    /// It is the gate's own refusal, with everything that a refusal has.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.values("forgetgate-refusal")), (status, vec![code.to_owned()]), "{}", self.head);
        assert!(self.whole, "{}", self.head);
        let body = self.json();
        assert_eq!(body["code"], status, "{body}");
        assert_eq!(body["errors"][0]["code"], code, "{body}");
        assert_eq!(body["errors"][0]["message"], body["error"], "{body}");
        assert_eq!(body["error"], self.reason.as_str(), "the reason phrase says it too");
        assert_eq!(body["trace"], self.value("x-request-id").as_str(), "{body}");
    }
}

/// The values of all lines of this name in a head.
pub(crate) fn values(head: &str, name: &str) -> Vec<String> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// One character a byte: nothing is lost.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
