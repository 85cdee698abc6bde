//! One line a request, written off the worker.
//!
//! A worker pushes a small record and goes on. The writer sleeps between batches instead of being woken by each record,
//! so a busy worker pays for no system call. When the queue is full the line is dropped and counted: requests never wait
//! for a log. Where the operator's filter wants no such lines there is no queue and no writer at all.

mod line;
mod record;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::Instant;

pub use self::record::{AccessRecord, EndReason};

use self::record::Packed;
use self::writer::{Message, Writer};
use super::events;
use super::logging::{Look, access_batches, access_look};
use super::registry::Registry;

/// Lines that may wait.
const WAITING_MAX: usize = 16 * 1024;

/// How long the end of the process waits for the last access lines, and how often it looks.
const FINISH_WITHIN: Duration = Duration::from_millis(500);
const FINISH_PAUSE: Duration = Duration::from_millis(2);

/// Where workers put their records. Clones share one queue.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writer, after [`init`](super::init_logging). The registry knows the upstreams' names by their slots. Keep an `Option<AccessLog>`, `None` with `log.access = false` or if it is not
    /// [shown](Self::is_shown): then a request costs nothing here.
    ///
    /// # Errors
    /// When the system gives no thread.
    #[expect(clippy::needless_pass_by_value, reason = "the registry is shared, whether it is kept or only read here")]
    pub fn start(registry: Arc<Registry>) -> io::Result<(Self, AccessWriter)> {
        let Some(look) = access_look() else {
            return Ok((Self(None), AccessWriter(None)));
        };
        let (queue, writer) = queued(&registry.names(), Arc::clone(&registry), look, access_batches());
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok((Self(Some(Arc::clone(&queue))), AccessWriter(Some((queue, thread)))))
    }

    /// Whether anybody wants the lines: not where logging has not been set up or the filter (`log.level`,
    /// `RUST_LOG`) lets none pass; records that are handed over then are forgotten.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the filter in force (`log.level`, `RUST_LOG`) lets access lines pass.
    #[must_use]
    pub fn is_wanted() -> bool {
        access_look().is_some()
    }

    /// Hands over the record of a request that has ended just now. It never waits: a full queue drops the line, and the
    /// drop is counted and shown.
    pub fn record(&self, mut record: AccessRecord) {
        if self.is_shown() {
            self.record_at(&mut record, Instant::now());
        }
    }

    /// Like [`record`](Self::record), for one who has looked at the clock already: `ended` is when the request ended. What
    /// the record refers to goes with it.
    pub fn record_at(&self, record: &mut AccessRecord, ended: Instant) {
        if let Some(queue) = &self.0 {
            queue.put(Packed::of(record, ended));
        }
    }
}

impl Queue {
    fn put(&self, record: Packed) {
        if self.lines.try_send(Message::Line(record)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn queued<W: io::Write>(names: &[Arc<str>], registry: Arc<Registry>, look: Look, out: W) -> (Arc<Queue>, Writer<W>) {
    let (lines, waiting) = sync_channel(WAITING_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer::new(waiting, Arc::clone(&dropped), line::Layout::new(look, names), registry, out);
    (Arc::new(Queue { lines, dropped }), writer)
}

/// The thread that writes.
#[derive(Debug)]
pub struct AccessWriter(Option<(Arc<Queue>, JoinHandle<()>)>);

impl AccessWriter {
    /// Writes what was handed over until now, then ends the thread. Blocks for that time, but no longer than half a second:
    /// a log that nobody reads does not keep the process.
    pub fn finish(self) {
        let Some((queue, thread)) = self.0 else { return };
        let until = Instant::now() + FINISH_WITHIN;
        let mut told = false;
        while !thread.is_finished() {
            told = told || queue.lines.try_send(Message::Stop).is_ok();
            if Instant::now() > until {
                return;
            }
            thread::sleep(FINISH_PAUSE);
        }
        if thread.join().is_err() {
            events::TaskPanicked { task: "access log" }.emit();
        }
    }
}

#[cfg(test)]
mod tests;
