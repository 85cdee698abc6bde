//! An HTTP/1.1 client that shows what came and does nothing by itself: one connection a call, blocking.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: String,
    target: String,
    lines: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), lines: Vec::new(), body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A labelled piece of audio for the upstream `speech`.
    pub(crate) fn audio(customer: &str) -> Self {
        Self::new("POST", "/speech/api/v1/recognize").label(customer).with("Content-Type", "audio/wav").body(b"a sound")
    }

    /// A call to the upstream `speech` that is nobody's.
    pub(crate) fn models() -> Self {
        Self::get("/speech/api/v1/models")
    }

    /// A delete on the data path at the upstream `speech`.
    pub(crate) fn delete(customer: &str) -> Self {
        Self::new("DELETE", &format!("/speech/api/v1/user_data?customer_id={customer}"))
    }

    /// A call of the admin API with a JSON body.
    pub(crate) fn admin(target: &str, body: &serde_json::Value) -> Self {
        Self::new("POST", target).with("Content-Type", "application/json").body(body.to_string().as_bytes())
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn label(self, customer: &str) -> Self {
        self.with("X-Watson-Metadata", &format!("customer_id={customer}"))
    }

    pub(crate) fn body(mut self, bytes: &[u8]) -> Self {
        self.body = Some(bytes.to_vec());
        self
    }

    /// The head's bytes; a length stands in it if there is a body.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n", self.method, self.target);
        for (name, value) in &self.lines {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut socket = self.begin(to)?;
        Answer::read(&mut socket)
    }

    /// Sends it and leaves the answer unread.
    pub(crate) fn begin(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut socket = connect(to)?;
        let whole = [self.head(), self.body.clone().unwrap_or_default()].concat();
        socket.write_all(&whole)?;
        Ok(socket)
    }
}

/// A connection whose reads and writes do not wait for ever.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// An answer as it came; a chunked body is left as it is.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(crate) fn read(socket: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes)?;
        Self::of(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no whole answer"))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let (head, body) = bytes.split_at(end);
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head, body: body.to_vec() };
        let is_whole = answer.header("content-length").is_none_or(|length| length.parse() == Ok(answer.body.len()));
        is_whole.then_some(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn refusal(&self) -> Option<&str> {
        self.header("forgetgate-refusal")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// Everything, as text.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}
