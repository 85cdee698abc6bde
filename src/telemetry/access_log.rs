//! One line a request, formatted off the worker.
//!
//! A worker pushes a small record and goes on. The writer sleeps between batches instead of being woken by each record,
//! so a busy worker pays for no system call. When the queue is full the line is dropped and counted: requests never wait
//! for a log. A record has no place for a path, a query or a header, which can hold a customer's ID (P7).

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::Method;
use uuid::Uuid;

use super::batch;
use super::events;
use super::registry::Registry;
use crate::domain::refusal::Code;

/// Lines that may wait.
const WAITING_MAX: usize = 16 * 1024;
/// Between two batches while there is something to write.
const PAUSE: Duration = Duration::from_millis(20);

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The whole answer went out.
    Done,
    /// The caller left first.
    ClientGone,
    /// The upstream broke off.
    UpstreamGone,
    /// The gate answered instead.
    Refused,
    /// A time was over.
    TimedOut,
}

impl EndReason {
    /// As it is written in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ClientGone => "client_gone",
            Self::UpstreamGone => "upstream_gone",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What is known of a request when it has ended.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// Place of the upstream in the configuration; `None` where no route matched.
    pub upstream: Option<u16>,
    /// Written as it is if it is one of HTTP's own; others are written as `other`, since they are the caller's words.
    pub method: Method,
    /// The call as the profile names it (a template), never the path itself.
    pub call: Option<Arc<str>>,
    /// What the caller got; 0 if it left before there was one.
    pub status: u16,
    /// Why the gate refused.
    pub refusal: Option<Code>,
    /// Body bytes from the caller.
    pub bytes_in: u64,
    /// Body bytes to the caller.
    pub bytes_out: u64,
    /// From the head's last byte to the answer's.
    pub took: Duration,
    /// How it ended.
    pub ended: EndReason,
    /// The request's ID where it is a UUID: the gate's always is; a caller's own text is not logged.
    pub request_id: Option<Uuid>,
}

enum Message {
    Line(AccessRecord),
    Stop,
}

/// Where workers put their records. Clones share one queue.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writer. `names` are the upstreams' names in the order of the configuration. Keep an
    /// `Option<AccessLog>`, `None` with `log.access = false`: then a request costs nothing here.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(names: Arc<[Arc<str>]>, registry: Arc<Registry>) -> std::io::Result<(Self, AccessWriter)> {
        let (log, writer) = Self::queued(names, registry);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        let queue = log.queue.clone();
        Ok((log, AccessWriter { queue, thread }))
    }

    fn queued(names: Arc<[Arc<str>]>, registry: Arc<Registry>) -> (Self, Writer) {
        let (queue, lines) = sync_channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        (Self { queue, dropped: Arc::clone(&dropped) }, Writer { lines, names, registry, dropped })
    }

    /// Hands a record over. It never waits: a full queue drops the line, and the drop is counted and shown.
    pub fn record(&self, record: AccessRecord) {
        if self.queue.try_send(Message::Line(record)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct AccessWriter {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl AccessWriter {
    /// Writes what was handed over until now, then ends the thread. Blocks for that time.
    pub fn finish(self) {
        if self.queue.send(Message::Stop).is_ok() && self.thread.join().is_err() {
            events::TaskPanicked { task: "access log" }.emit();
        }
    }
}

struct Writer {
    lines: Receiver<Message>,
    names: Arc<[Arc<str>]>,
    registry: Arc<Registry>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Waits for a first line, then takes whole batches with a pause between them until there is nothing more.
    fn run(self) {
        batch::begin();
        while let Ok(Message::Line(first)) = self.lines.recv() {
            self.write(&first);
            loop {
                let batch = self.batch();
                batch::flush();
                match batch {
                    Batch::Some => thread::sleep(PAUSE),
                    Batch::None => break,
                    Batch::Last => return,
                }
            }
        }
        self.tell_drops();
        batch::flush();
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::None;
        loop {
            match self.lines.try_recv() {
                Ok(Message::Line(record)) => {
                    self.write(&record);
                    batch = Batch::Some;
                }
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                    self.tell_drops();
                    return Batch::Last;
                }
                Err(TryRecvError::Empty) => {
                    self.tell_drops();
                    return batch;
                }
            }
        }
    }

    fn tell_drops(&self) {
        if let Some(lines) = NonZeroU64::new(self.dropped.swap(0, Relaxed)) {
            self.registry.access_lines_dropped(lines.get());
            events::AccessLinesDropped { lines: lines.get() }.emit();
        }
    }

    fn write(&self, record: &AccessRecord) {
        let upstream = record.upstream.and_then(|index| self.names.get(usize::from(index)));
        tracing::info!(
            target: "access",
            upstream = upstream.map(|name| &**name),
            method = method_name(&record.method),
            call = record.call.as_deref(),
            status = record.status,
            refusal = record.refusal.map(Code::as_str),
            bytes_in = record.bytes_in,
            bytes_out = record.bytes_out,
            took_us = u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
            ended = record.ended.as_str(),
            request_id = record.request_id.map(tracing::field::display),
        );
    }
}

enum Batch {
    /// Lines were written.
    Some,
    /// There were none.
    None,
    /// There will be no more.
    Last,
}

fn method_name(method: &Method) -> &str {
    const STANDARD: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    if STANDARD.contains(method) { method.as_str() } else { "other" }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Method;
    use uuid::Uuid;

    use super::{AccessLog, AccessRecord, EndReason, WAITING_MAX};
    use crate::telemetry::Registry;
    use crate::telemetry::tests::said;

    fn record() -> AccessRecord {
        AccessRecord {
            upstream: Some(0),
            method: Method::from_bytes(b"CANARY").unwrap(),
            call: Some(Arc::from("POST /v1/message")),
            status: 200,
            refusal: None,
            bytes_in: 1,
            bytes_out: 2,
            took: Duration::from_micros(1500),
            ended: EndReason::Done,
            request_id: Some(Uuid::nil()),
        }
    }

    #[test]
    fn p12_lines_beyond_the_queue_are_dropped_and_counted_and_the_others_are_written_to_the_last() {
        let names: Arc<[Arc<str>]> = Arc::new([Arc::from("assistant-eu")]);
        let registry = Registry::new(&names, 1);
        let (log, writer) = AccessLog::queued(names, Arc::clone(&registry));
        for _ in 0..WAITING_MAX + 5 {
            log.record(record());
        }
        drop(log);
        let lines = said(|| writer.run());
        assert_eq!(lines.matches("POST /v1/message").count(), WAITING_MAX);
        assert_eq!(registry.gate().access_lines_dropped, 5);
        assert!(lines.contains("access lines dropped lines=5"));
    }

    #[test]
    fn p7_a_line_names_upstream_and_call_and_not_the_callers_own_words() {
        let names: Arc<[Arc<str>]> = Arc::new([Arc::from("assistant-eu")]);
        let (log, writer) = AccessLog::queued(Arc::clone(&names), Registry::new(&names, 1));
        log.record(record());
        drop(log);
        let line = said(|| writer.run());
        assert!(!line.contains("CANARY"), "{line}");
        for part in ["upstream=\"assistant-eu\"", "method=\"other\"", "status=200", "took_us=1500", "ended=\"done\""] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
