//! Who has tried to erase with wrong credentials how often: after a few failures they wait, so that the gate cannot be
//! used to guess an upstream's passwords or its own token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::UpstreamNumber;

/// Failures within [`WINDOW`] after which one waits.
const FAILURES_MAX: u32 = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// Callers that are remembered; beyond these the one whose failures began first is forgotten.
const CALLERS_MAX: usize = 4096;

/// Whose failures: those of one peer at one upstream. Callers over a Unix socket count as one.
pub(super) type Caller = (UpstreamNumber, Option<IpAddr>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    since: Instant,
}

/// The failures of late.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Caller, Failed>>);

impl Failures {
    /// Has this caller failed too often to be let try again?
    pub(super) fn are_too_many(&self, caller: Caller, now: Instant) -> bool {
        let recent = self.0.lock().get(&caller).copied();
        recent.is_some_and(|failed| failed.times >= FAILURES_MAX && now < failed.since + WINDOW)
    }

    /// One more failure.
    pub(super) fn note(&self, caller: Caller, now: Instant) {
        let mut all = self.0.lock();
        if all.len() >= CALLERS_MAX && !all.contains_key(&caller) {
            all.retain(|_, failed| now < failed.since + WINDOW);
            let first = all.iter().min_by_key(|(_, failed)| failed.since).map(|(caller, _)| *caller);
            if let Some(first) = first.filter(|_| all.len() >= CALLERS_MAX) {
                all.remove(&first);
            }
        }
        let failed = all.entry(caller).or_insert(Failed { times: 0, since: now });
        if now >= failed.since + WINDOW {
            *failed = Failed { times: 0, since: now };
        }
        failed.times += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(last: u16) -> Caller {
        let [high, low] = last.to_be_bytes();
        (UpstreamNumber(1), Some(IpAddr::from([127, 0, high, low])))
    }

    #[tokio::test]
    async fn p10_ten_failures_in_a_minute_are_too_many_for_that_caller_at_that_upstream() {
        let (failures, now) = (Failures::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            assert!(!failures.are_too_many(caller(1), now));
            failures.note(caller(1), now);
        }
        assert!(failures.are_too_many(caller(1), now));
        assert!(!failures.are_too_many(caller(2), now));
        assert!(!failures.are_too_many((UpstreamNumber(2), caller(1).1), now));
        assert!(!failures.are_too_many(caller(1), now + WINDOW));
        failures.note(caller(1), now + WINDOW);
        assert!(!failures.are_too_many(caller(1), now + WINDOW));
    }

    #[tokio::test]
    async fn p12_the_table_is_bounded() {
        let (failures, now) = (Failures::default(), Instant::now());
        for peer in 0..5000 {
            failures.note(caller(peer), now + Duration::from_millis(peer.into()));
        }
        assert_eq!(failures.0.lock().len(), CALLERS_MAX);
        assert!(!failures.0.lock().contains_key(&caller(0)), "the first was forgotten");
    }
}
