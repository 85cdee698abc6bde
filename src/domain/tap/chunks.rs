//! Where a chunked body ends (RFC 9112 §7.1): sizes are read, everything else is stepped over.

/// Follows one chunked body.
#[derive(Debug)]
pub(super) struct Chunks(State);

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a size line: the digits so far, and whether they are over.
    Size { size: u64, over: bool },
    /// In a chunk's data, so many bytes left.
    Data { left: u64 },
    /// In the line end after a chunk's data.
    DataEnd,
    /// In the trailers: is the line empty so far?
    Trailer { empty: bool },
}

impl Default for Chunks {
    fn default() -> Self {
        Self(State::Size { size: 0, over: false })
    }
}

impl Chunks {
    /// Takes bytes; gives what lies behind the body, and whether it has ended.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            if let State::Data { left } = self.0 {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let left = left - taken as u64;
                self.0 = if left == 0 { State::DataEnd } else { State::Data { left } };
                rest = rest.get(taken..).unwrap_or_default();
                continue;
            }
            rest = behind;
            if self.step(*byte) {
                return (rest, true);
            }
        }
        (rest, false)
    }

    /// Takes one byte outside of data. Is the body over?
    fn step(&mut self, byte: u8) -> bool {
        self.0 = match (self.0, byte) {
            (State::Size { size: 0, .. }, b'\n') => State::Trailer { empty: true },
            (State::Size { size, .. }, b'\n') => State::Data { left: size },
            (State::Size { size, over: false }, digit) if digit.is_ascii_hexdigit() => {
                State::Size { size: (size << 4) | u64::from(hex(digit)), over: false }
            }
            (State::Size { size, .. }, _) => State::Size { size, over: true },
            (State::DataEnd, b'\n') => Self::default().0,
            (State::Trailer { empty: true }, b'\n') => return true,
            (State::Trailer { .. }, b'\n') => State::Trailer { empty: true },
            (State::Trailer { empty }, b'\r') => State::Trailer { empty },
            (State::Trailer { .. }, _) => State::Trailer { empty: false },
            (same @ (State::DataEnd | State::Data { .. }), _) => same,
        };
        false
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}
