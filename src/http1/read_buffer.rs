//! Bytes that were read and not yet used. Empty, a buffer gives its memory back to its thread.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer begins with: most heads and small bodies fit.
const FIRST: usize = 8 * 1024;
/// What it grows to while a body streams through it.
const STREAMING: usize = 64 * 1024;
/// Buffers that a thread keeps for the next one who asks.
const SPARE_MAX: usize = 128;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_spare() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; FIRST])
}

fn give_spare(bytes: Vec<u8>) {
    if bytes.len() == FIRST {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(bytes);
            }
        });
    }
}

/// Bytes that were read.
#[derive(Default)]
pub struct ReadBuffer {
    /// Its length is what there is room for; what lies behind `end` means nothing.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read filled all the room there was: then more is likely to come.
    filled: bool,
}

// Its bytes may be a customer's: they are never shown.
impl std::fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadBuffer").field("length", &(self.end - self.start)).finish_non_exhaustive()
    }
}

impl ReadBuffer {
    /// What is there.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// How much is there.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first so many bytes were used.
    pub fn consume(&mut self, used: usize) {
        self.start = self.start.saturating_add(used).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives its memory back, if nothing is in it.
    pub fn park(&mut self) {
        if self.is_empty() {
            self.filled = false;
            give_spare(std::mem::take(&mut self.bytes));
        }
    }

    /// Reads once, into at most `max` bytes in all. Gives how many bytes came; 0 means that no more will come, or that
    /// there are `max` already.
    pub fn poll_fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        self.make_room(max);
        let end = self.end;
        let room = self.bytes.get_mut(end..).unwrap_or_default();
        let mut buffer = ReadBuf::new(room);
        let polled = Pin::new(stream).poll_read(cx, &mut buffer);
        let (came, full) = (buffer.filled().len(), buffer.remaining() == 0);
        if polled.is_pending() {
            self.park();
        }
        ready!(polled)?;
        self.end += came;
        self.filled = full;
        Poll::Ready(Ok(came))
    }

    fn make_room(&mut self, max: usize) {
        if self.bytes.is_empty() {
            self.bytes = take_spare();
        }
        if self.is_empty() && self.filled && self.bytes.len() < STREAMING.min(max) {
            let size = (self.bytes.len() * 2).min(STREAMING);
            self.bytes.resize(size, 0);
        }
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else if self.bytes.len() < max {
            let size = (self.bytes.len() * 2).min(max);
            self.bytes.resize(size, 0);
        }
    }
}
