//! Where a body is in the bytes that come, and where it ends (RFC 9112 §6.3).

use http::{Method, Version};

use super::ReadBuffer;
use super::{AnswerHead, Chunks, Lines, Malformed, Next, decimal};

/// How a body is framed, and how far it has come.
#[derive(Debug)]
pub enum BodyDecoder {
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Box<Chunks>),
    /// As long as the connection lives.
    ToEnd,
    /// As long as the connection lived.
    Ended,
}

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes at the beginning of the buffer are the body's.
    Data(usize),
    /// Nothing is there: more has to be read.
    Starved,
    /// It has ended.
    Ended,
}

/// What [`BodyDecoder::look`] finds.
pub type BodyProgress = Result<Chunk, Malformed>;

impl BodyDecoder {
    /// The body behind an answer's head (RFC 9112 §6.3). `None` where it is not framed in the one way that all read alike.
    #[must_use]
    pub fn of_answer(head: &AnswerHead, method: &Method) -> Option<Self> {
        let mut codings = head.lines.all("transfer-encoding");
        let mut lengths = head.lines.all("content-length");
        let coding = codings.next();
        if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) || codings.next().is_some() {
            return None;
        }
        let length = match lengths.next() {
            None => None,
            Some(first) => Some(decimal(first).filter(|_| lengths.all(|other| other == first))?),
        };
        if *method == Method::HEAD || matches!(head.status, 204 | 304) {
            return Some(Self::Ended);
        }
        match (coding, length) {
            (Some(_), _) if head.version == Version::HTTP_10 => None,
            // Where both are there the coding frames the body, and the length is wrong.
            (Some(_), _) => Some(Self::chunked()),
            (None, Some(length)) => Some(Self::Length(length)),
            (None, None) => Some(Self::ToEnd),
        }
    }

    /// A chunked body that has not begun.
    #[must_use]
    pub fn chunked() -> Self {
        Self::Chunked(Box::default())
    }

    /// Looks at what is there; framing at its beginning is used up.
    ///
    /// # Errors
    /// When the framing is wrong.
    pub fn look(&mut self, input: &mut ReadBuffer) -> BodyProgress {
        let left = match self {
            Self::Length(0) | Self::Ended => return Ok(Chunk::Ended),
            Self::Length(left) => *left,
            Self::ToEnd => u64::MAX,
            Self::Chunked(chunks) => {
                let (used, next) = chunks.read(input.data())?;
                input.consume(used);
                match next {
                    Next::Data(left) => left,
                    Next::More => return Ok(Chunk::Starved),
                    Next::End => return Ok(Chunk::Ended),
                }
            }
        };
        let there = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        Ok(if there == 0 { Chunk::Starved } else { Chunk::Data(there) })
    }

    /// So many bytes of it were used.
    pub fn took(&mut self, taken: usize) {
        match self {
            Self::Length(left) => *left = left.saturating_sub(taken as u64),
            Self::Chunked(chunks) => chunks.took(taken as u64),
            Self::ToEnd | Self::Ended => {}
        }
    }

    /// The connection has ended. `false` if the body has not.
    pub fn connection_ended(&mut self) -> bool {
        if matches!(self, Self::ToEnd) {
            *self = Self::Ended;
        }
        self.has_ended()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.has_ended(),
            Self::ToEnd => false,
            Self::Ended => true,
        }
    }

    /// The lines behind its last chunk.
    #[must_use]
    pub fn trailers(&self) -> Lines {
        match self {
            Self::Chunked(chunks) => chunks.trailer_lines(),
            Self::Length(_) | Self::ToEnd | Self::Ended => Lines::default(),
        }
    }
}
