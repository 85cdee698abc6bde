//! A socket that remembers the heads that came over it, byte for byte.
//!
//! hyper gives header names in lower case and loses the order of different names; what the gate sent can only be
//! judged by the bytes. So the bytes are followed on their way in, as far as needed to know where each head begins.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A head that is longer than this is not followed any further.
const HEAD_BYTES_MAX: usize = 512 * 1024;

/// Heads that have come in on one connection and wait for their request to be handled, the first first.
pub(crate) type Heads = Arc<Mutex<Scanner>>;

/// A connection whose incoming bytes are scanned for heads.
#[derive(Debug)]
pub(crate) struct Tapped {
    pub(crate) socket: TcpStream,
    pub(crate) heads: Heads,
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buf);
        if let Some(new) = buf.filled().get(before..) {
            self.heads.lock().feed(new);
        }
        outcome
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Finds the heads in the bytes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// The head, chunk line or trailer line that is coming in.
    line: Vec<u8>,
    found: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body of known length are to come.
    Body(u64),
    ChunkLine,
    /// So many bytes of a chunk, its line end included, are to come.
    Chunk(u64),
    Trailers,
    /// Not HTTP/1 any more, or nothing that can be followed.
    Lost,
}

impl Scanner {
    /// The oldest head that nobody has taken.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.found.pop_front()
    }

    /// Follows the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head => self.head(bytes),
                State::Body(left) => self.skip(bytes, left, State::Body),
                State::Chunk(left) => self.skip(bytes, left, State::Chunk),
                State::ChunkLine => self.chunk_line(bytes),
                State::Trailers => self.trailer(bytes),
                State::Lost => return,
            };
        }
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((byte, rest)) = bytes.split_first() else { return bytes };
        // Servers overlook empty lines before a request.
        if self.line.is_empty() && matches!(byte, b'\r' | b'\n') {
            return rest;
        }
        self.line.push(*byte);
        if self.line.ends_with(b"\r\n\r\n") {
            let head = std::mem::take(&mut self.line);
            self.state = after(&head);
            self.found.push_back(head);
        } else if self.line.len() > HEAD_BYTES_MAX {
            self.state = State::Lost;
        }
        rest
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, again: fn(u64) -> State) -> &'a [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let still = left - here as u64;
        self.state = match again(still) {
            State::Body(0) => State::Head,
            State::Chunk(0) => State::ChunkLine,
            more => more,
        };
        bytes.split_at(here).1
    }

    fn chunk_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (line, rest) = self.line(bytes);
        if let Some(line) = line {
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            self.state = match size {
                Some(0) => State::Trailers,
                Some(size) => State::Chunk(size.saturating_add(2)),
                None => State::Lost,
            };
        }
        rest
    }

    fn trailer<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (line, rest) = self.line(bytes);
        if line.is_some_and(|line| line.is_empty()) {
            self.state = State::Head;
        }
        rest
    }

    /// A whole line without its end, once it has come in.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> (Option<Vec<u8>>, &'a [u8]) {
        let Some((byte, rest)) = bytes.split_first() else { return (None, bytes) };
        self.line.push(*byte);
        if !self.line.ends_with(b"\r\n") {
            return (None, rest);
        }
        let mut line = std::mem::take(&mut self.line);
        line.truncate(line.len().saturating_sub(2));
        (Some(line), rest)
    }
}

/// What follows a head, by its framing headers.
fn after(head: &[u8]) -> State {
    let text = String::from_utf8_lossy(head);
    let value = |wanted: &str| {
        let lines = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned()).next()
    };
    if value("upgrade").is_some() {
        return State::Lost;
    }
    if value("transfer-encoding").is_some_and(|codings| codings.to_ascii_lowercase().ends_with("chunked")) {
        return State::ChunkLine;
    }
    match value("content-length").map(|length| length.parse::<u64>()) {
        None | Some(Ok(0)) => State::Head,
        Some(Ok(length)) => State::Body(length),
        Some(Err(_)) => State::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_is_found_whatever_the_bodies_between_them_hold() {
        let first = "POST /a HTTP/1.1\r\nContent-Length: 9\r\nX-B: 1\r\n\r\n";
        let second = "POST /b HTTP/1.1\r\ntransfer-ENCODING: gzip, chunked\r\n\r\n";
        let third = "GET /c HTTP/1.1\r\nhost: h\r\n\r\n";
        let stream = format!("{first}\r\n\r\nabcde{second}6;x=y\r\n\r\n\r\nab\r\n0\r\nx: y\r\n\r\n\r\n{third}");
        for piece in [1, 3, 1000] {
            let mut scanner = Scanner::default();
            stream.as_bytes().chunks(piece).for_each(|bytes| scanner.feed(bytes));
            let found: Vec<String> =
                std::iter::from_fn(|| scanner.take()).map(|head| String::from_utf8(head).unwrap()).collect();
            assert_eq!(found, [first, second, third]);
        }
    }
}
