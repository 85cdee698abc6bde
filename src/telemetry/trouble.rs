//! What is wrong with an upstream at the moment, for all workers together: said in one log line when it begins, when it
//! becomes something else and when it is over, and not once a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::events;
use super::failure_kind::FailureKind;

/// It is over when nothing has failed for so long and something has been answered. Nothing else is said sooner than this
/// after the line before: where failures take turns, not each is a line.
const CALM: Duration = Duration::from_secs(10);

/// What is wrong with one upstream.
#[derive(Debug)]
pub struct Trouble {
    name: Arc<str>,
    /// Whether anything is wrong. Looked at with every answer.
    is_any: AtomicBool,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// In words of the gate's own: which never quote a request or an answer.
    reason: Option<Arc<str>>,
    /// What was said of it.
    told: Option<Arc<str>>,
    told_at: Option<Instant>,
    failed_at: Option<Instant>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self::new(Arc::from(""))
    }
}

impl Trouble {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, is_any: AtomicBool::new(false), now: Mutex::default() }
    }

    /// It failed, for this reason.
    pub fn failed(&self, kind: FailureKind, reason: &str) {
        let at = Instant::now();
        let mut now = self.now.lock();
        self.is_any.store(true, Relaxed);
        now.failed_at = Some(at);
        if now.reason.as_deref() != Some(reason) {
            now.reason = Some(Arc::from(reason));
        }
        let soon = now.told.is_some() && now.told_at.is_some_and(|told| at < told + CALM);
        if now.told.as_deref() != Some(reason) && !soon {
            (now.told, now.told_at) = (now.reason.clone(), Some(at));
            drop(now);
            events::UpstreamFailed { upstream: &self.name, kind, error: reason }.emit();
        }
    }

    /// It has answered.
    pub fn answered(&self) {
        if !self.is_any.load(Relaxed) {
            return;
        }
        let at = Instant::now();
        let mut now = self.now.lock();
        if now.failed_at.is_none_or(|failed| at >= failed + CALM) && self.is_any.swap(false, Relaxed) {
            (now.told, now.told_at) = (None, Some(at));
            drop(now);
            events::UpstreamRecovered { upstream: &self.name }.emit();
        }
    }

    /// Why it failed when it last did.
    pub(super) fn last_reason(&self) -> Option<Arc<str>> {
        self.now.lock().reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::{CALM, Trouble};
    use crate::telemetry::FailureKind;
    use crate::telemetry::tests::said;

    #[tokio::test(start_paused = true)]
    async fn p12_each_change_of_what_is_wrong_is_one_line() {
        let trouble = Trouble::new(Arc::from("assistant"));
        let failing = |reason: &str| said(|| (0..100).for_each(|_| trouble.failed(FailureKind::Tls, reason)));
        let first = failing("TLS: certificate has expired");
        assert_eq!(first.lines().count(), 1, "{first}");
        assert!(first.contains("upstream=\"assistant\"") && first.contains("certificate has expired"), "{first}");
        assert_eq!(failing("connection refused"), "", "one takes turns with another");
        assert_eq!(said(|| trouble.answered()), "", "and answers with failures");
        assert_eq!(trouble.last_reason().as_deref(), Some("connection refused"));
        advance(CALM).await;
        assert_eq!(failing("connection refused").lines().count(), 1);
        advance(CALM).await;
        let over = said(|| (0..100).for_each(|_| trouble.answered()));
        assert_eq!((over.lines().count(), over.contains("recovered")), (1, true), "{over}");
        assert_eq!(failing("connection refused").lines().count(), 1, "it is new again");
    }
}
