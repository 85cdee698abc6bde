//! HTTP/2 on either side of the gate, as far as both have it in common: a stream's body in its frames, and the same body
//! as HTTP/1.1 in a pipe.
//!
//! Each stream is an HTTP/1.1 connection of its own in memory, so that there is one reading of a message, whatever it
//! came in. Capacity is given back to the sender only for what the pipe has taken, and data is taken out of the pipe only
//! where the reader has room for it: a stream costs a pipe and a frame or two, however fast or slow its ends are.

mod from_frames;
mod into_frames;
mod lines;

pub use self::from_frames::{Cut, FromFrames};
pub use self::into_frames::{Broken, IntoFrames};
pub use self::lines::{has_blank_ends, header_map, is_for_one_hop, write_lines};

use std::time::Duration;

/// One end of a stream's pipe.
pub type Pipe = crate::http1::BufferedIo<tokio::io::DuplexStream>;

/// What a pipe holds each way: a frame of the common size.
pub const PIPE: usize = 16 * 1024;
/// What is read ahead out of a pipe.
pub const PIPE_AHEAD: usize = 16 * 1024;

/// What a peer may send on one stream before some of it has been taken: one that stands still holds no more than this.
pub const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams of one caller's connection: many that stand still have to come together before that caller's others
/// feel it, and a connection never holds more.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What of a stream's data may wait to be written to the socket.
pub const SEND_BUFFER: usize = 16 * 1024;
/// Streams that may be open on one connection.
pub const STREAMS_MAX: u32 = 128;
/// What a service may send on a connection, which callers share that have nothing to do with each other: room for every
/// stream's window, so that those who do not read take none of it from the others.
pub const SERVICE_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// Messages against the protocol that a peer is forgiven, each of which costs it a stream, before the connection ends.
pub const ERRORS_MAX: usize = 64;
/// How long a stream that was reset is remembered, for frames that were on their way.
pub const RESET_MEMORY: Duration = Duration::from_secs(1);
