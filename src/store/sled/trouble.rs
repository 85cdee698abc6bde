//! How long the store has been broken or stalled. After a long time, or when it breaks as often as it is opened, the
//! gate reports that it is not alive, so that its supervisor restarts it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Since {
    first: Instant,
    /// The latest sign of it.
    last: Instant,
    times: u32,
}

/// The trouble that there is, if there is any.
#[derive(Debug)]
pub(super) struct Trouble {
    since: Mutex<Option<Since>>,
    bound: Duration,
}

impl Trouble {
    pub(super) fn new(bound: Duration) -> Self {
        Self { since: Mutex::default(), bound }
    }

    /// Notes that it is broken or stalled, and says how often it was before in this trouble.
    pub(super) fn again(&self, now: Instant) -> u32 {
        let mut since = self.since.lock();
        let open_since = since.filter(|since| now.duration_since(since.last) < self.settled());
        let before = open_since.unwrap_or(Since { first: now, last: now, times: 0 });
        *since = Some(Since { last: now, times: before.times.saturating_add(1), ..before });
        before.times
    }

    /// It is open again; the trouble is over once it has been for a while.
    pub(super) fn over(&self, now: Instant) {
        if let Some(since) = self.since.lock().as_mut() {
            since.last = now;
        }
    }

    /// `false` when it has lasted too long. `open`: the store takes writes at this moment.
    pub(super) fn is_bearable(&self, open: bool, now: Instant) -> bool {
        self.since.lock().is_none_or(|since| {
            let settled = open && now.duration_since(since.last) >= self.settled();
            settled || now.duration_since(since.first) <= self.bound
        })
    }

    fn settled(&self) -> Duration {
        self.bound / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(180);

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn p11_a_store_that_stays_broken_is_dead_and_one_that_comes_back_is_not() {
        let (trouble, start) = (Trouble::new(BOUND), Instant::now());
        assert!(trouble.is_bearable(true, start));
        trouble.again(start);
        assert!(trouble.is_bearable(false, at(start, 180)));
        assert!(!trouble.is_bearable(false, at(start, 181)));
        trouble.over(at(start, 200));
        assert!(!trouble.is_bearable(true, at(start, 259)), "it may break again at once");
        assert!(trouble.is_bearable(true, at(start, 260)));
        assert_eq!(trouble.again(at(start, 300)), 0, "a trouble of its own");
        assert!(trouble.is_bearable(false, at(start, 480)));
    }

    #[test]
    fn p11_a_store_that_breaks_as_often_as_it_is_opened_is_dead_in_the_end() {
        let (trouble, start) = (Trouble::new(BOUND), Instant::now());
        for second in 0..181 {
            assert!(trouble.is_bearable(second % 2 == 1, at(start, second)));
            assert_eq!(u64::from(trouble.again(at(start, second))), second, "each time it waits longer");
            trouble.over(at(start, second));
        }
        assert!(!trouble.is_bearable(true, at(start, 181)));
    }
}
