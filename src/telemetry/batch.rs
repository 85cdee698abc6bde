//! Lines that are written together: a busy gate writes thousands a second, and each by itself would cost a system call.

use std::io::Write;

/// A batch that grows beyond this is written before its end.
const BYTES_MAX: usize = 64 * 1024;
/// Room for the line that goes beyond.
const ROOM: usize = BYTES_MAX + 1024;

/// Whole lines on their way to `out`.
#[derive(Debug)]
pub(super) struct Batch<W> {
    lines: Vec<u8>,
    out: W,
}

impl<W: Write> Batch<W> {
    pub(super) fn new(out: W) -> Self {
        Self { lines: Vec::with_capacity(ROOM), out }
    }

    /// `put` puts a line at the end of what waits.
    pub(super) fn add(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.lines);
        if self.lines.len() >= BYTES_MAX {
            self.flush();
        }
    }

    /// Writes what waits. A place that cannot be written leaves nobody to tell.
    pub(super) fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.out.write_all(&self.lines).ok();
            self.lines.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::{BYTES_MAX, Batch};

    /// What was written, write by write.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_batch_is_one_write_of_whole_lines_and_one_that_is_too_long_is_several() {
        let line = b"a line\n";
        let mut writes = Writes::default();
        let mut batch = Batch::new(&mut writes);
        batch.flush();
        for _ in 0..=BYTES_MAX / line.len() {
            batch.add(|lines| lines.extend_from_slice(line));
        }
        batch.add(|lines| lines.extend_from_slice(line));
        batch.add(|lines| lines.extend_from_slice(line));
        batch.flush();
        let lengths: Vec<usize> = writes.0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [BYTES_MAX / line.len() * line.len() + line.len(), 2 * line.len()]);
    }
}
