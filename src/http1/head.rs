//! A request's or an answer's head, read off the bytes that came.

use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;

use http::{Method, Uri, Version};

use super::{LINES_MAX, Lines};

/// Longest request target. The URI type holds no more than this, less one.
const TARGET_MAX: usize = u16::MAX as usize - 1;

/// How HTTP/2 begins where nothing was negotiated (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Heads up to this size leave their memory to the next.
const KEPT: usize = 4 * 1024;

/// Heads that a thread keeps for the next who reads one.
const SPARE_MAX: usize = 64;

thread_local! {
    #[expect(clippy::vec_box, reason = "they are handed over as they are")]
    static SPARE: RefCell<Vec<Box<Head>>> = const { RefCell::new(Vec::new()) };
    #[expect(clippy::vec_box, reason = "they are handed over as they are")]
    static SPARE_ANSWERS: RefCell<Vec<Box<AnswerHead>>> = const { RefCell::new(Vec::new()) };
}

/// Why some bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP/1.0 or HTTP/1.1.
    Malformed,
    /// More lines than [`LINES_MAX`].
    TooManyLines,
    /// A request target longer than any that can be taken.
    TargetTooLong,
    /// A request target with a `#` in it, which no target may have: some cut it there and some do not.
    Fragment,
    /// The beginning of HTTP/2.
    Http2,
}

/// The head of a request.
#[derive(Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The header lines.
    pub lines: Lines,
    /// How many bytes it had, empty lines before it and at its end included.
    pub bytes: usize,
}

// A target may name a customer, as a line may: neither is ever shown (P7).
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("version", &self.version).field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Default for Head {
    fn default() -> Self {
        let (method, uri) = (Method::GET, Uri::default());
        Self { method, uri, version: Version::HTTP_11, lines: Lines::default(), bytes: 0 }
    }
}

impl Head {
    /// Reads a head from the beginning of `bytes`. `false` if its end has not come yet.
    ///
    /// # Errors
    /// [`Fault`] when what came is no head, and cannot become one.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if bytes.starts_with(PREFACE) {
            return Err(Fault::Http2);
        }
        let mut headers = [const { MaybeUninit::uninit() }; LINES_MAX];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut headers);
        // Known also where the rest is at fault: how that is answered depends on it.
        let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let is_method = method.is_some();
        self.method = method.unwrap_or_default();
        let end = match parsed {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooManyLines),
            Err(_) => return Err(Fault::Malformed),
        };
        let (true, Some(target), Some(version)) = (is_method, request.path, request.version) else {
            return Err(Fault::Malformed);
        };
        if target.len() > TARGET_MAX {
            return Err(Fault::TargetTooLong);
        }
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Err(Fault::Fragment);
        }
        self.uri = Uri::try_from(target).map_err(|_| Fault::Malformed)?;
        self.version = version_of(version);
        self.bytes = end;
        self.lines.take(bytes.get(..end).unwrap_or_default(), request.headers);
        Ok(true)
    }
}

impl Head {
    /// It has been judged and written anew: what goes on needs no more of it. A small one leaves its memory to the next.
    pub fn forget(&mut self) {
        if self.bytes > KEPT {
            (self.uri, self.lines) = (Uri::default(), Lines::default());
        }
    }

    /// One to read into: another's that its thread has kept, or a new one. What it holds means nothing.
    #[must_use]
    pub fn taken() -> Box<Self> {
        SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Leaves its memory to the next of its thread, so that a connection without a request has none.
    pub fn put_back(mut self: Box<Self>) {
        self.forget();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(self);
            }
        });
    }
}

const fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    /// The status, from 100 to 999.
    pub status: u16,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The header lines.
    pub lines: Lines,
    /// How many bytes it had.
    pub bytes: usize,
    reason: (u32, u32),
}

impl Default for AnswerHead {
    fn default() -> Self {
        Self { status: 0, version: Version::HTTP_11, lines: Lines::default(), bytes: 0, reason: (0, 0) }
    }
}

impl AnswerHead {
    /// Reads a head from the beginning of `bytes`. `false` if its end has not come yet.
    ///
    /// # Errors
    /// [`Fault`] when what came is no head, and cannot become one.
    pub fn read(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let mut headers = [const { MaybeUninit::uninit() }; LINES_MAX];
        let mut answer = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
        let end = match parsed {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooManyLines),
            Err(_) => return Err(Fault::Malformed),
        };
        let (Some(version), Some(status @ 100..)) = (answer.version, answer.code) else {
            return Err(Fault::Malformed);
        };
        let reason = answer.reason.unwrap_or_default();
        let start = reason.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        // Where there is no reason, it may point anywhere.
        let start = if reason.is_empty() { 0 } else { u32::try_from(start).unwrap_or(u32::MAX) };
        self.reason = (start, start.saturating_add(u32::try_from(reason.len()).unwrap_or(u32::MAX)));
        self.status = status;
        self.version = version_of(version);
        if self.bytes > KEPT && end <= KEPT {
            // A large one came before it: see [`Self::put_back`].
            self.lines = Lines::default();
        }
        self.bytes = end;
        self.lines.take(bytes.get(..end).unwrap_or_default(), answer.headers);
        Ok(true)
    }

    /// One to read into: another's that its thread has kept, or a new one. It has no status, and what else it holds means
    /// nothing.
    #[must_use]
    pub fn taken() -> Box<Self> {
        let mut head = SPARE_ANSWERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        head.status = 0;
        head
    }

    /// Leaves its memory to the next of its thread, if it is a small one.
    pub fn put_back(self: Box<Self>) {
        if self.bytes <= KEPT {
            SPARE_ANSWERS.with_borrow_mut(|spare| {
                if spare.len() < SPARE_MAX {
                    spare.push(self);
                }
            });
        }
    }

    /// The reason phrase, as the service wrote it.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.lines.part(self.reason.0, self.reason.1)
    }
}
