//! What a stand-in saw: each request as its bytes came, and how long its body was.

use std::collections::VecDeque;

/// How many requests are remembered; the oldest go first.
const REQUESTS_MAX: usize = 10_000;

/// One request, as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The head, byte for byte, with the empty line at its end.
    pub head: Vec<u8>,
    /// The body's length after its transfer coding was taken off.
    pub body_length: u64,
    /// SHA-256 of the body, in hexadecimal.
    pub body_sha256: String,
    /// The body's beginning: at most [`Seen::BODY_START_MAX`] bytes.
    pub body_start: Vec<u8>,
    /// The trailer's fields.
    pub trailers: Vec<(String, String)>,
    /// Whether the body came to its proper end.
    pub complete: bool,
    /// The status of the answer, once there is one.
    pub answered: Option<u16>,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
}

impl Seen {
    /// How much of a body is kept.
    pub const BODY_START_MAX: usize = 16 * 1024;

    /// The method.
    #[must_use]
    pub fn method(&self) -> String {
        self.request_line().split(' ').next().unwrap_or_default().to_owned()
    }

    /// Path and query as they stand in the request line.
    #[must_use]
    pub fn target(&self) -> String {
        self.request_line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The header lines, in order, names in their own case. Bytes that are not UTF-8 become U+FFFD; see [`Self::head`].
    #[must_use]
    pub fn lines(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.head);
        let lines = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())).collect()
    }

    /// Every value of a header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.lines().into_iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    fn request_line(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }
}

/// The requests of one stand-in, in the order in which their heads came.
#[derive(Debug, Default)]
pub(crate) struct Record {
    requests: VecDeque<Seen>,
    /// The number of the first one that is still remembered.
    first: u64,
}

impl Record {
    /// Notes a head; the number given back names the request in [`Self::amend`].
    pub(crate) fn begin(&mut self, seen: Seen) -> u64 {
        self.requests.push_back(seen);
        if self.requests.len() > REQUESTS_MAX {
            self.requests.pop_front();
            self.first += 1;
        }
        self.first + self.requests.len() as u64 - 1
    }

    /// Changes a request, unless it is forgotten.
    pub(crate) fn amend(&mut self, number: u64, change: impl FnOnce(&mut Seen)) {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(seen) = place.and_then(|place| self.requests.get_mut(place)) {
            change(seen);
        }
    }

    /// All that are remembered.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.requests.iter().cloned().collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.first += self.requests.len() as u64;
        self.requests.clear();
    }
}
