//! How fast deletes go out: each upstream's own rate and the number at once, and the rate of accepted erasures.
//!
//! Who finds no room gets a slot in the future and keeps it, so that many waiting erasures do not all come back at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::domain::UpstreamNumber;
use crate::domain::erasure::TargetKey;

/// Deletes at once to one upstream.
const AT_ONCE: usize = 4;

/// Slots given out ahead for one upstream; beyond these one asks again a minute later.
const CLAIMS_MAX: usize = 10_000;

const MINUTE: Duration = Duration::from_secs(60);

/// Whose slot it is.
pub(super) type Claim = (Uuid, TargetKey);

#[derive(Debug)]
struct Pace {
    /// When the last deletes were or will be sent, oldest first; as many as may be sent in a minute.
    slots: VecDeque<Instant>,
    claims: HashMap<Claim, Instant>,
    at_once: Arc<Semaphore>,
}

/// The paces of all upstreams.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<HashMap<UpstreamNumber, Pace>>);

impl Paces {
    /// Takes a slot now, or says when the slot is that is kept for this claim.
    pub(super) fn slot(&self, claim: Claim, per_minute: Option<u32>, now: Instant) -> Result<(), Instant> {
        let Some(per_minute) = per_minute.filter(|rate| *rate > 0) else { return Ok(()) };
        self.with(claim.1.upstream, |pace| {
            if let Some(at) = pace.claims.get(&claim).copied() {
                if at > now {
                    return Err(at);
                }
                pace.claims.remove(&claim);
                return Ok(());
            }
            if pace.claims.len() >= CLAIMS_MAX {
                return Err(now + MINUTE);
            }
            let at = pace.next(per_minute, now);
            if at <= now {
                return Ok(());
            }
            pace.claims.insert(claim, at);
            Err(at)
        })
    }

    /// A caller's own delete went there: it counts as well.
    pub(super) fn note(&self, upstream: UpstreamNumber, per_minute: Option<u32>, now: Instant) {
        if let Some(per_minute) = per_minute.filter(|rate| *rate > 0) {
            self.with(upstream, |pace| pace.next(per_minute, now));
        }
    }

    /// Waits at most `limit` for leave to send. `None` if too many others are under way for that long.
    pub(super) async fn enter(&self, upstream: UpstreamNumber, limit: Duration) -> Option<OwnedSemaphorePermit> {
        let at_once = self.with(upstream, |pace| Arc::clone(&pace.at_once));
        timeout(limit, at_once.acquire_owned()).await.ok()?.ok()
    }

    fn with<T>(&self, upstream: UpstreamNumber, act: impl FnOnce(&mut Pace) -> T) -> T {
        let mut all = self.0.lock();
        act(all.entry(upstream).or_insert_with(|| Pace {
            slots: VecDeque::new(),
            claims: HashMap::new(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }))
    }
}

impl Pace {
    /// The next free moment, which is taken with this.
    fn next(&mut self, per_minute: u32, now: Instant) -> Instant {
        let rate = usize::try_from(per_minute).unwrap_or(usize::MAX);
        while self.slots.len() > rate {
            self.slots.pop_front();
        }
        let free = (self.slots.len() == rate).then(|| self.slots.pop_front()).flatten();
        let at = free.map_or(now, |oldest| (oldest + MINUTE).max(now));
        self.slots.push_back(at);
        // A claim whose owner never came back, such as one that was cancelled, is forgotten.
        self.claims.retain(|_, claimed| *claimed + 10 * MINUTE > now);
        at
    }
}

/// At most so many a minute.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<VecDeque<Instant>>);

impl Rate {
    /// Counts one more; `false` if that is above the rate.
    pub(super) fn allows(&self, per_minute: u32, now: Instant) -> bool {
        let mut recent = self.0.lock();
        while recent.front().is_some_and(|oldest| *oldest + MINUTE <= now) {
            recent.pop_front();
        }
        let allowed = recent.len() < usize::try_from(per_minute).unwrap_or(usize::MAX);
        if allowed {
            recent.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LabelForm;

    fn claim(n: u128) -> Claim {
        let upstream = UpstreamNumber(1);
        (Uuid::from_u128(n), TargetKey { upstream, form: LabelForm::RAW, label_of: upstream })
    }

    #[tokio::test]
    async fn p12_an_upstreams_documented_rate_is_kept_and_everyone_who_waits_has_a_slot_of_their_own() {
        let (paces, now) = (Paces::default(), Instant::now());
        let asked: Vec<_> = (0..10).map(|n| paces.slot(claim(n), Some(4), now)).collect();
        let minutes = |n: u32| Err(now + n * MINUTE);
        assert_eq!(asked[..4], [Ok(()); 4]);
        assert_eq!(asked[4..], [minutes(1), minutes(1), minutes(1), minutes(1), minutes(2), minutes(2)]);
        assert_eq!(paces.slot(claim(4), Some(4), now), minutes(1), "asking again neither helps nor harms");
        assert_eq!(paces.slot(claim(4), Some(4), now + MINUTE), Ok(()));
        assert_eq!(paces.slot(claim(20), Some(4), now + MINUTE), minutes(2));
    }

    #[tokio::test]
    async fn no_rate_means_no_wait() {
        let (paces, now) = (Paces::default(), Instant::now());
        assert!((0..1000).all(|n| paces.slot(claim(n), None, now) == Ok(())));
    }

    #[tokio::test]
    async fn p12_only_so_many_deletes_are_under_way_at_one_upstream() {
        let paces = Paces::default();
        let mut permits = Vec::new();
        for _ in 0..AT_ONCE {
            permits.push(paces.enter(UpstreamNumber(1), MINUTE).await.unwrap());
        }
        assert!(paces.enter(UpstreamNumber(1), Duration::from_millis(10)).await.is_none());
        assert!(paces.enter(UpstreamNumber(2), Duration::from_millis(10)).await.is_some());
        permits.pop();
        assert!(paces.enter(UpstreamNumber(1), MINUTE).await.is_some());
    }

    #[tokio::test]
    async fn p10_the_rate_of_erasures_is_counted_over_a_minute() {
        let (rate, now) = (Rate::default(), Instant::now());
        assert!(rate.allows(2, now) && rate.allows(2, now + MINUTE / 2));
        assert!(!rate.allows(2, now + MINUTE / 2));
        assert!(rate.allows(2, now + MINUTE));
        assert!(!rate.allows(2, now + MINUTE));
    }
}
