//! A chunked body (RFC 9112 §7.1), read strictly: what two readers could frame differently is no body.
//!
//! Only the framing is looked at here; the data stays where it is, and is passed on from there.

use std::fmt;

use super::Lines;

/// Digits of a size, noughts before it included: as many as fit.
const DIGITS_MAX: u8 = 16;
/// Bytes that a size line may have beside its digits: spaces and extensions, which nobody uses.
const EXTENSION_MAX: u32 = 16 * 1024;
/// Bytes that the trailers may have.
const TRAILERS_MAX: usize = 16 * 1024;

/// The body is not framed as HTTP asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// How a body goes on behind the framing that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes of data; report them with [`Chunks::took`].
    Data(u64),
    /// More framing has to come.
    More,
    /// The body has ended.
    End,
}

/// Where in a chunked body one is.
pub struct Chunks {
    state: State,
    /// Bytes beside digits in size lines so far, all chunks together.
    beside: u32,
    trailers: Vec<u8>,
}

// Trailers are lines like others: they are never shown (P7).
impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a size line, with the digits so far.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the digits: white space, then an extension.
    Space {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataFeed,
    Trailers,
    End,
}

const START: State = State::Size { size: 0, digits: 0 };

impl Default for Chunks {
    fn default() -> Self {
        Self { state: START, beside: 0, trailers: Vec::new() }
    }
}

impl Chunks {
    /// Reads framing from the beginning of `bytes`, as far as it goes. Gives how many bytes of framing that was and what
    /// stands behind them.
    ///
    /// # Errors
    /// [`Malformed`] when the framing is wrong; the body has no end then.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Next), Malformed> {
        let mut at = 0;
        loop {
            match self.state {
                State::Data { left } => return Ok((at, Next::Data(left))),
                State::End => return Ok((at, Next::End)),
                State::Trailers => {
                    at += self.trailers(bytes.get(at..).unwrap_or_default())?;
                    let next = if self.state == State::End { Next::End } else { Next::More };
                    return Ok((at, next));
                }
                _ => {}
            }
            let Some(byte) = bytes.get(at) else { return Ok((at, Next::More)) };
            self.state = self.step(*byte)?;
            at += 1;
        }
    }

    /// So many bytes of the data were taken.
    pub fn took(&mut self, taken: u64) {
        if let State::Data { left } = self.state {
            let left = left.saturating_sub(taken);
            self.state = if left == 0 { State::DataReturn } else { State::Data { left } };
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state == State::End
    }

    /// The lines behind the last chunk, once the body has ended.
    #[must_use]
    pub fn trailer_lines(&self) -> Lines {
        // They were read before, and were sound.
        Lines::read(&self.trailers).unwrap_or_default()
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        let state = match (self.state, byte) {
            (State::Size { size, digits: digits @ 0..DIGITS_MAX }, digit) if digit.is_ascii_hexdigit() => {
                State::Size { size: (size << 4) | u64::from(hex(digit)), digits: digits + 1 }
            }
            (State::Size { size, digits: 1.. } | State::Space { size } | State::Extension { size }, b'\r') => {
                State::SizeEnd { size }
            }
            (State::Size { size, digits: 1.. } | State::Space { size }, b' ' | b'\t') => State::Space { size },
            (State::Size { size, digits: 1.. } | State::Space { size }, b';') => State::Extension { size },
            (State::Extension { size }, byte) if byte != b'\n' => State::Extension { size },
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => START,
            _ => return Err(Malformed),
        };
        if matches!(state, State::Space { .. } | State::Extension { .. }) {
            self.beside += 1;
            if self.beside > EXTENSION_MAX {
                return Err(Malformed);
            }
        }
        Ok(state)
    }

    /// Collects the lines behind the last chunk, up to the empty one. Gives how many bytes were taken.
    fn trailers(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' && self.trailers.last() != Some(&b'\r') {
                return Err(Malformed);
            }
            self.trailers.push(*byte);
            if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
                Lines::read(&self.trailers).ok_or(Malformed)?;
                self.state = State::End;
                return Ok(at + 1);
            }
            if self.trailers.len() > TRAILERS_MAX {
                return Err(Malformed);
            }
        }
        Ok(bytes.len())
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}
