//! Standard error, line by line for everyone but the access log's thread, which writes a whole batch at once: a busy gate
//! writes thousands of lines a second, and each by itself would cost a system call.

use std::cell::RefCell;
use std::io::{self, Write};

thread_local! {
    /// The lines of this thread's batch, if it writes in batches.
    static BATCH: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// A batch that grows beyond this is written before its end.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// From now on this thread's lines wait for [`flush`].
pub(super) fn begin() {
    BATCH.with_borrow_mut(|batch| *batch = Some(Vec::with_capacity(BATCH_BYTES_MAX)));
}

/// Writes what waits. Standard error that cannot be written leaves nobody to tell.
pub(super) fn flush() {
    BATCH.with_borrow_mut(|batch| {
        if let Some(lines) = batch.as_mut().filter(|lines| !lines.is_empty()) {
            io::stderr().write_all(lines).ok();
            lines.clear();
        }
    });
}

/// Standard error, as the log writes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waits = BATCH.with_borrow_mut(|batch| match batch {
            Some(lines) if lines.len() + line.len() <= BATCH_BYTES_MAX => {
                lines.extend_from_slice(line);
                true
            }
            _ => false,
        });
        if waits {
            return Ok(line.len());
        }
        flush();
        io::stderr().write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
