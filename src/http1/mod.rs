//! HTTP/1.1 as bytes (RFC 9112), whichever side of the gate it is on: heads, header lines, bodies and buffered I/O.
//!
//! The contract: what was judged is byte for byte what passes. Lines keep their order, their case and their number; a
//! message that two readers could frame in two ways is a fault, never mended; a body is passed on as it was framed.
//! Heads are read by `httparse`. Heads, lines, chunks and both body codecs know no socket.

mod body_decoder;
mod body_encoder;
mod buffered_io;
mod chunks;
mod head;
mod lines;
mod read_buffer;
mod spare;
#[cfg(test)]
mod tests;

pub use self::body_decoder::{BodyDecoder, BodyProgress, Chunk};
pub use self::body_encoder::BodyEncoder;
pub use self::buffered_io::BufferedIo;
pub use self::chunks::{Chunks, Malformed, Next};
pub use self::head::{AnswerHead, Fault, Head};
pub use self::lines::{Line, LineCopy, Lines, decimal};
pub use self::read_buffer::ReadBuffer;
pub use self::spare::spare_output;

/// Header lines that a head may have; the operator's own bound may be lower.
pub const LINES_MAX: usize = 256;
