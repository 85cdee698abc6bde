//! HTTP/1.1 as bytes (RFC 9112): heads with every line as it came, and chunked bodies.
//!
//! A gate may not let a library mend what the next hop would read otherwise: lines keep their order, their case and
//! their number, and whatever could be framed in two ways is a fault. Heads are read by `httparse`; nothing in here
//! knows a socket. See docs/decisions/001-own-http1.md.

mod chunks;
mod head;
mod lines;
#[cfg(test)]
mod tests;

pub use self::chunks::{Chunks, Malformed, Next};
pub use self::head::{AnswerHead, Fault, Head};
pub use self::lines::{Line, Lines, decimal};

/// Header lines that a head may have; the operator's own bound may be lower.
pub const LINES_MAX: usize = 256;
