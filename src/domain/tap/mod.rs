//! A second pair of eyes on the bytes that a client sends.
//!
//! The HTTP library hides what it mends: a `#` cuts the target, `Content-Length` beside `Transfer-Encoding` is dropped.
//! Both are ways to be read differently by the next hop, so they are seen here, on the raw bytes, and refused. The tap
//! follows message framing only as far as it must to know where the next head begins; the library still judges what is
//! well-formed, and a head that the tap has not seen is refused. It also knows what a connection is busy with.

mod chunks;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::chunks::Chunks;

/// Pipelined heads that may wait to be asked for; whoever sends more is not read on. More than fit into what the library
/// reads ahead at the default bound, were all of them as short as heads can be.
const HEADS_WAITING_MAX: usize = 8192;

/// What was seen of one request's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawHead {
    /// Its bytes, the empty line included.
    pub bytes: usize,
    /// Is there a `#` in the request line?
    pub fragment: bool,
    /// How many `Content-Length` lines there are.
    pub lengths: u16,
    /// How many `Transfer-Encoding` lines there are.
    pub codings: u16,
}

/// What a connection is busy with, as far as its incoming bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Nothing of a next request has come.
    Idle,
    /// A head has begun.
    Head,
    /// A body is on its way.
    Body,
}

#[derive(Debug)]
enum Mode {
    Head,
    Body {
        left: u64,
    },
    Chunked(Chunks),
    /// The head was too large, or there were too many: nothing more is followed.
    Lost,
}

/// Follows one connection.
#[derive(Debug)]
pub struct Tap {
    mode: Mode,
    /// The beginning of a head that came in pieces.
    partial: Vec<u8>,
    seen: VecDeque<RawHead>,
    head_bytes_max: usize,
}

impl Tap {
    /// A tap that follows heads of at most `head_bytes_max` bytes.
    #[must_use]
    pub const fn new(head_bytes_max: usize) -> Self {
        Self { mode: Mode::Head, partial: Vec::new(), seen: VecDeque::new(), head_bytes_max }
    }

    /// The oldest head that has not been asked for. `None` means that the tap lost track: refuse.
    pub fn next_head(&mut self) -> Option<RawHead> {
        self.seen.pop_front()
    }

    /// How many heads have not been asked for.
    #[must_use]
    pub fn heads_waiting(&self) -> usize {
        self.seen.len()
    }

    /// What is the connection busy with?
    #[must_use]
    pub fn incoming(&self) -> Incoming {
        match self.mode {
            Mode::Head if self.partial.is_empty() => Incoming::Idle,
            Mode::Head | Mode::Lost => Incoming::Head,
            Mode::Body { .. } | Mode::Chunked(_) => Incoming::Body,
        }
    }

    /// Takes the next bytes, as they came off the socket.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match &mut self.mode {
                Mode::Lost => return,
                Mode::Head => self.feed_head(bytes),
                Mode::Body { left } => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.mode = Mode::Head;
                    }
                    bytes.get(taken..).unwrap_or_default()
                }
                Mode::Chunked(chunks) => {
                    let (rest, ended) = chunks.feed(bytes);
                    if ended {
                        self.mode = Mode::Head;
                    }
                    rest
                }
            };
        }
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.partial.is_empty() {
            let Some(head) = read_head(bytes) else {
                self.keep(bytes);
                return &[];
            };
            self.take(&head);
            return bytes.get(head.raw.bytes..).unwrap_or_default();
        }
        let before = self.partial.len();
        self.keep(bytes);
        let Some(head) = read_head(&self.partial) else { return &[] };
        self.partial.clear();
        self.take(&head);
        bytes.get(head.raw.bytes - before..).unwrap_or_default()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > self.head_bytes_max + READ_AHEAD {
            self.mode = Mode::Lost;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn take(&mut self, head: &Head) {
        if self.seen.len() == HEADS_WAITING_MAX {
            self.mode = Mode::Lost;
            return;
        }
        self.seen.push_back(head.raw);
        self.mode = match (head.raw.codings, head.length) {
            (1.., _) => Mode::Chunked(Chunks::default()),
            (0, 1..) => Mode::Body { left: head.length },
            (0, 0) => Mode::Head,
        };
    }
}

/// A read may bring this much beyond the end of a head that is just within its bound.
const READ_AHEAD: usize = 64 * 1024;

struct Head {
    raw: RawHead,
    length: u64,
}

/// Reads a head that is whole. `None` when its end has not come yet.
fn read_head(bytes: &[u8]) -> Option<Head> {
    let mut head = Head { raw: RawHead::default(), length: 0 };
    let (mut start, mut begun) = (0, false);
    for newline in memchr::memchr_iter(b'\n', bytes) {
        let line = bytes.get(start..newline)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        start = newline + 1;
        match (begun, line.is_empty()) {
            // Empty lines before a request are allowed (RFC 9112 §2.2).
            (false, true) => {}
            (false, false) => {
                begun = true;
                head.raw.fragment = memchr::memchr(b'#', line).is_some();
            }
            (true, false) => read_line(&mut head, line),
            (true, true) => {
                head.raw.bytes = start;
                return Some(head);
            }
        }
    }
    None
}

fn read_line(head: &mut Head, line: &[u8]) {
    // Only two names matter; their first letter rules nearly all lines out.
    if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
        return;
    }
    let Some((name, value)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else { return };
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        head.raw.codings += 1;
    } else if name.eq_ignore_ascii_case(b"content-length") {
        head.raw.lengths += 1;
        let digits = value.get(1..).unwrap_or_default().trim_ascii();
        head.length = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
}
