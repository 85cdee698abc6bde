//! The end of the queue: takes what waits, batch by batch, and writes it.

use std::io::Write;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Layout;
use super::record::{Packed, micros};
use crate::telemetry::batch::Batch;
use crate::telemetry::registry::Registry;
use crate::telemetry::{clock, events};

/// Between two batches while there is something to write.
const PAUSE: Duration = Duration::from_millis(20);

/// What goes through the queue.
#[derive(Debug)]
pub(super) enum Message {
    /// A line to be.
    Line(Packed),
    /// There will be no more.
    Stop,
}

/// Writes the lines of one queue, each with the time when its request ended.
pub(super) struct Writer<W> {
    waiting: Receiver<Message>,
    dropped: Arc<AtomicU64>,
    layout: Layout,
    registry: Arc<Registry>,
    batch: Batch<W>,
    anchor: Anchor,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(
        waiting: Receiver<Message>,
        dropped: Arc<AtomicU64>,
        layout: Layout,
        registry: Arc<Registry>,
        out: W,
    ) -> Self {
        Self { waiting, dropped, layout, registry, batch: Batch::new(out), anchor: Anchor::now() }
    }

    /// Waits for a first line, then takes whole batches with a pause before each until there is nothing more. While
    /// lines come more often than that, no worker has to wake this thread.
    pub(super) fn run(mut self) {
        while let Ok(Message::Line(first)) = self.waiting.recv() {
            let mut taken = self.take(Some(first));
            while taken == Taken::Some {
                thread::sleep(PAUSE);
                taken = self.take(None);
            }
            if taken == Taken::Last {
                return;
            }
        }
        self.tell_drops();
    }

    /// Writes `first` and all that waits behind it.
    fn take(&mut self, first: Option<Packed>) -> Taken {
        self.anchor = Anchor::now();
        let mut taken = Taken::None;
        let mut next = first.map_or_else(|| self.waiting.try_recv(), |record| Ok(Message::Line(record)));
        while let Ok(Message::Line(record)) = next {
            taken = Taken::Some;
            if record.upstream.is_some_and(|slot| !self.layout.knows(slot)) {
                self.layout.rename(&self.registry.names());
            }
            let (layout, ended) = (&mut self.layout, self.anchor.unix_us(record.ended_at));
            self.batch.add(|lines| layout.write(&record, ended, lines));
            next = self.waiting.try_recv();
        }
        self.batch.flush();
        self.tell_drops();
        if let Err(TryRecvError::Empty) = next { taken } else { Taken::Last }
    }

    fn tell_drops(&self) {
        if let Some(lines) = NonZeroU64::new(self.dropped.swap(0, Relaxed)) {
            self.registry.access_lines_dropped(lines.get());
            events::AccessLinesDropped { lines: lines.get() }.emit();
        }
    }
}

/// What was found in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Lines.
    Some,
    /// Nothing.
    None,
    /// The end, with or without lines before it.
    Last,
}

/// One moment on both clocks. It is taken once a batch, and gives each line of it its own time on the wall without a
/// look at the wall's clock for each.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    unix_us: u64,
    moment: Instant,
}

impl Anchor {
    fn now() -> Self {
        Self { unix_us: micros(clock::since_1970()), moment: Instant::now() }
    }

    /// Microseconds since 1970 at a moment before or behind this one.
    fn unix_us(self, moment: Instant) -> u64 {
        let before = micros(self.moment.saturating_duration_since(moment));
        let behind = micros(moment.saturating_duration_since(self.moment));
        self.unix_us.saturating_sub(before).saturating_add(behind)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Anchor;

    #[test]
    fn a_moment_before_the_anchor_and_one_behind_it_have_their_own_time_on_the_wall() {
        let anchor = Anchor::now();
        let time = Duration::from_micros(19_999);
        assert_eq!(anchor.unix_us(anchor.moment), anchor.unix_us);
        assert_eq!(anchor.unix_us(anchor.moment.checked_sub(time).unwrap()), anchor.unix_us - 19_999);
        assert_eq!(anchor.unix_us(anchor.moment + time), anchor.unix_us + 19_999);
    }
}
