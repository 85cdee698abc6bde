//! Log lines on their way to standard error: a bounded queue, and a thread of its own that writes.
//!
//! The reader of the log may stop reading, and a write would then block. So only that thread writes; everybody else puts
//! lines into the queue and goes on. A line for which there is no room is dropped and counted.
//! See docs/decisions/014-logs.md.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

/// Bytes of access lines that may wait here: behind them these have a queue of their own.
const ACCESS_BYTES_MAX: usize = 512 * 1024;
/// Bytes that may wait in all: lines of the gate's own still find room when access lines do not.
const BYTES_MAX: usize = 1024 * 1024;
/// What a line costs beside its bytes.
const LINE_COST: usize = 64;

/// Where lines are put down. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Spool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to be written.
    news: Condvar,
    /// Something was written.
    room: Condvar,
    dropped: AtomicU64,
    /// Of those, how many were told.
    told: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether something is being written.
    writing: bool,
    /// Whether nobody waits for room any more.
    ending: bool,
}

// Lines are for the log, and for nothing else.
impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Waiting {
    fn has_room(&self, length: usize, max: usize) -> bool {
        // One that is longer than all is written when it is alone.
        self.bytes + length <= max || self.lines.is_empty()
    }

    fn put(&mut self, line: &[u8]) {
        self.bytes += line.len() + LINE_COST;
        self.lines.push_back(line.to_vec());
    }
}

impl Spool {
    /// Begins to write to standard error.
    ///
    /// # Errors
    /// When the system gives no thread, or there is no standard error.
    pub(super) fn start(self, told: fn(u64)) -> io::Result<()> {
        // Not by the library's handle: its lock would be held as long as a write stands still.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        thread::Builder::new().name("log".to_owned()).spawn(move || self.run(out, told)).map(drop)
    }

    fn run(&self, mut out: impl Write, tell: fn(u64)) {
        let mut lines = VecDeque::new();
        // As long as anybody could put one down.
        while Arc::strong_count(&self.0) > 1 {
            {
                let mut waiting = self.0.waiting.lock();
                waiting.writing = false;
                self.0.room.notify_all();
                self.0.news.wait_while(&mut waiting, |waiting| waiting.lines.is_empty());
                std::mem::swap(&mut lines, &mut waiting.lines);
                (waiting.bytes, waiting.writing) = (0, true);
            }
            for line in lines.drain(..) {
                // A place that cannot be written leaves nobody to tell.
                out.write_all(&line).ok();
            }
            let lost = self.dropped() - self.0.told.load(Relaxed);
            if lost > 0 {
                self.0.told.fetch_add(lost, Relaxed);
                tell(lost);
            }
        }
    }

    /// Puts a line down, or loses it.
    fn offer(&self, line: &[u8]) {
        let mut waiting = self.0.waiting.lock();
        if waiting.has_room(line.len(), BYTES_MAX) {
            waiting.put(line);
            drop(waiting);
            self.0.news.notify_one();
        } else {
            drop(waiting);
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Puts many lines down, and waits for room: only for a thread that does nothing else.
    fn wait_and_put(&self, lines: &[u8]) {
        let mut waiting = self.0.waiting.lock();
        let full = |waiting: &mut Waiting| !waiting.ending && !waiting.has_room(lines.len(), ACCESS_BYTES_MAX);
        self.0.room.wait_while(&mut waiting, full);
        if waiting.has_room(lines.len(), ACCESS_BYTES_MAX) {
            waiting.put(lines);
        }
        drop(waiting);
        self.0.news.notify_one();
    }

    /// Lines that were lost until now, without access lines.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// From now on nobody waits for room.
    pub(super) fn end(&self) {
        self.0.waiting.lock().ending = true;
        self.0.room.notify_all();
    }

    /// Waits until all is written, but no longer than this.
    pub(super) fn flush(&self, within: Duration) {
        let until = (Instant::now() + within).into_std();
        let mut waiting = self.0.waiting.lock();
        while waiting.writing || !waiting.lines.is_empty() {
            if self.0.room.wait_until(&mut waiting, until).timed_out() {
                return;
            }
        }
    }
}

/// Single lines.
impl Write for Spool {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.offer(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Batches of access lines, which have a thread of their own.
#[derive(Debug)]
pub(super) struct Batches(pub(super) Spool);

impl Write for Batches {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.wait_and_put(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
    use std::thread;
    use std::time::Duration;

    use super::{BYTES_MAX, Batches, Spool};

    /// A reader that takes a line only when it is told to.
    struct Slow(Receiver<()>, SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn p12_a_log_that_nobody_reads_holds_nobody_up_and_what_is_lost_is_counted() {
        let spool = Spool::default();
        let ((go, going), (wrote, written)) = (channel(), sync_channel(1 << 20));
        let writes = spool.clone();
        thread::spawn(move || writes.run(Slow(going, wrote), |_| {}));
        let line = [b'x'; 1000];
        spool.offer(&line);
        while !spool.0.waiting.lock().writing {
            thread::yield_now();
        }
        let lines = 4 * BYTES_MAX / line.len();
        for _ in 0..lines {
            spool.offer(&line);
        }
        assert!(spool.dropped() > lines as u64 / 2, "{}", spool.dropped());
        spool.flush(Duration::ZERO);
        // Access lines wait, for as long as there is no end.
        let mut batches = Batches(spool.clone());
        let waits = thread::spawn(move || batches.write_all(b"access\n"));
        assert!(!waits.is_finished());
        spool.end();
        waits.join().unwrap().unwrap();
        let kept = 1 + lines - usize::try_from(spool.dropped()).unwrap();
        for _ in 0..kept {
            go.send(()).unwrap();
        }
        assert!((0..kept).all(|_| written.recv().unwrap() == line), "what was taken is written, in its order");
        spool.flush(Duration::from_secs(60));
        assert!(written.try_recv().is_err());
    }
}
