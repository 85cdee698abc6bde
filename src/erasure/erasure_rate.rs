//! Counts erasures against `erasures_per_minute`, above which a person must approve.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// At most so many a minute.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<VecDeque<Instant>>);

impl Rate {
    /// Whether one more is within the rate. Counts nothing.
    pub(super) fn has_room(&self, per_minute: u32, now: Instant) -> bool {
        let mut recent = self.0.lock();
        while recent.front().is_some_and(|oldest| *oldest + MINUTE <= now) {
            recent.pop_front();
        }
        recent.len() < usize::try_from(per_minute).unwrap_or(usize::MAX)
    }

    /// One more was accepted without approval.
    pub(super) fn count(&self, per_minute: u32, now: Instant) {
        let mut recent = self.0.lock();
        // Those that were let in together may be a few more than the rate.
        if recent.len() > usize::try_from(per_minute).unwrap_or(usize::MAX) {
            recent.pop_front();
        }
        recent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn p10_the_rate_of_erasures_is_counted_over_a_minute() {
        let (rate, now) = (Rate::default(), Instant::now());
        for at in [now, now + MINUTE / 2] {
            assert!(rate.has_room(2, at));
            rate.count(2, at);
        }
        assert!(!rate.has_room(2, now + MINUTE / 2));
        assert!(rate.has_room(2, now + MINUTE));
        rate.count(2, now + MINUTE);
        assert!(!rate.has_room(2, now + MINUTE));
        assert!(!rate.has_room(0, now + 9 * MINUTE), "nothing goes without approval");
    }
}
