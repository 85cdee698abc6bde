//! How a body is framed on its way out: as it is, or in chunks (RFC 9112 §7.1). The same in both directions.

use std::io::Write as _;

/// The framing of one body that goes out. What it writes goes to a link's output, before the data it is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyEncoder {
    chunked: bool,
    /// How much of the chunk that was announced is still to be sent.
    left: usize,
    ended: bool,
}

impl BodyEncoder {
    /// A body of which nothing has been sent.
    #[must_use]
    pub const fn new(chunked: bool) -> Self {
        Self { chunked, left: 0, ended: false }
    }

    /// So many bytes are there to be sent; gives how many may be, behind what was written.
    pub fn announce(&mut self, there: usize, out: &mut Vec<u8>) -> usize {
        if !self.chunked {
            return there;
        }
        if self.left == 0 {
            self.left = there;
            // Writing to memory does not fail.
            drop(write!(out, "{there:x}\r\n"));
        }
        there.min(self.left)
    }

    /// So many bytes were sent.
    pub fn sent(&mut self, bytes: usize, out: &mut Vec<u8>) {
        if self.chunked {
            self.left -= bytes;
            if self.left == 0 {
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// There is no more. Written once, however often it is said; `trailers` appends the lines behind the last chunk.
    pub fn end(&mut self, out: &mut Vec<u8>, trailers: impl FnOnce(&mut Vec<u8>)) {
        if self.chunked && !std::mem::replace(&mut self.ended, true) {
            out.extend_from_slice(b"0\r\n");
            trailers(out);
            out.extend_from_slice(b"\r\n");
        }
    }
}
