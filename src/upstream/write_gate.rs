//! Facts that are being recorded about one upstream, so that it can be left: an upstream that holds nobody's data may be
//! moved or dropped while the gate runs, but not while a request that began before is about to put some there.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The recordings of one upstream at one address. Shared by all configurations that have it there.
#[derive(Debug, Default)]
pub struct WriteGate {
    state: Mutex<State>,
    /// Rung when the last one has ended.
    quiet: Notify,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    closed: bool,
}

/// One that is under way, until it is dropped.
#[derive(Debug)]
pub struct Recording<'a>(&'a WriteGate);

/// No recording begins as long as this is held, or ever again if it is [kept](Self::keep) and not [opened](Self::open).
#[derive(Debug)]
pub struct Closed {
    recordings: Arc<WriteGate>,
    kept: bool,
}

impl WriteGate {
    /// Begins one; `None` once the upstream is left.
    pub fn begin(&self) -> Option<Recording<'_>> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.under_way += 1;
        Some(Recording(self))
    }

    /// Lets none begin, and waits for those that are under way.
    pub async fn close(self: &Arc<Self>) -> Closed {
        let closed = Closed { recordings: Arc::clone(self), kept: false };
        self.state.lock().closed = true;
        loop {
            let quiet = self.quiet.notified();
            if self.state.lock().under_way == 0 {
                return closed;
            }
            quiet.await;
        }
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.under_way -= 1;
        if state.under_way == 0 {
            // Whoever comes to wait later finds none.
            self.0.quiet.notify_waiters();
        }
    }
}

impl Closed {
    /// Makes the closure permanent.
    pub const fn keep(&mut self) {
        self.kept = true;
    }

    /// It is not left after all.
    pub fn open(mut self) {
        self.kept = false;
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        if !self.kept {
            self.recordings.state.lock().closed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::WriteGate;

    #[tokio::test]
    async fn p5_an_upstream_is_left_when_all_has_been_recorded_and_nothing_is_recorded_there_afterwards() {
        let recordings = Arc::new(WriteGate::default());
        let recording = recordings.begin().unwrap();
        let mut closing = pin!(recordings.close());
        assert!(closing.as_mut().now_or_never().is_none());
        assert!(recordings.begin().is_none());
        drop(recording);
        let closed = closing.await;
        assert!(recordings.begin().is_none());
        drop(closed);
        drop(recordings.begin().unwrap());
        let mut closed = recordings.close().await;
        closed.keep();
        closed.open();
        drop(recordings.begin().unwrap());
        recordings.close().await.keep();
        assert!(recordings.begin().is_none());
    }
}
