//! A connection over which one request after the other is asked, each answer whole or an error.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::http::connect;

/// One connection.
pub(super) struct Talk {
    from: BufReader<TcpStream>,
}

/// One answer, unchunked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn refusal(&self) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix("Forgetgate-Refusal: "))
    }
}

impl Talk {
    pub(super) fn to(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { from: BufReader::new(connect(addr)?) })
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        self.from.get_mut()
    }

    pub(super) fn ask(&mut self, head: &str, body: &[u8]) -> io::Result<Answer> {
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        // Who is answered before all is sent reads the answer.
        let sent = self.socket().write_all(&bytes);
        let answer = self.answer();
        if answer.is_err() {
            sent?;
        }
        answer
    }

    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head()?;
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        let mut body = Vec::new();
        if let Some(length) = value(&head, "content-length") {
            body = self.exactly(length.parse().map_err(|_| ErrorKind::InvalidData)?)?;
        } else if value(&head, "transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(self.line()?.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
                body.extend(self.exactly(size)?);
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        }
        Ok(Answer { status, head, body })
    }

    /// The head of an answer, the empty line included.
    pub(super) fn head(&mut self) -> io::Result<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.line()?);
        }
        Ok(head)
    }

    pub(super) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
