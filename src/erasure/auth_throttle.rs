//! Who has tried to erase in vain how often, and who may ask the services at this moment.
//!
//! Failures count by upstream, address and credential: whoever presents a stale key is asked to wait, and not a neighbour
//! at the same address. Credentials that were good lately have a lane of their own, so that strangers' attempts, however
//! many, keep nobody's right delete from being asked about. See docs/decisions/037-authority.md.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::domain::UpstreamNumber;

/// Failures within [`WINDOW`] after which one waits.
const FAILURES_MAX: u32 = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// How long a credential that was good counts as one.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// Callers that are remembered, failed and good ones each; beyond these the oldest is forgotten.
const CALLERS_MAX: usize = 4096;

/// Probes at once at one upstream, of good credentials and of others each.
const PROBES_MAX: usize = 8;

/// Probes that may wait for that.
const WAITING_MAX: usize = 64;

/// Whose: a peer with a credential at one upstream. Callers over a Unix socket have one address. The credential is a
/// digest that only this process can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) upstream: UpstreamNumber,
    peer: Option<IpAddr>,
    credential: [u8; 16],
}

impl Caller {
    pub(super) fn new(upstream: UpstreamNumber, peer: Option<IpAddr>, credential: Option<&[u8]>, salt: u64) -> Self {
        let digest = Sha256::new().chain_update(salt.to_be_bytes()).chain_update(credential.unwrap_or_default());
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Self { upstream, peer, credential: short }
    }

    pub(super) fn of(upstream: UpstreamNumber, peer: Option<IpAddr>, headers: &HeaderMap, salt: u64) -> Self {
        Self::new(upstream, peer, headers.get(AUTHORIZATION).map(|value| value.as_bytes()), salt)
    }
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    since: Instant,
}

#[derive(Debug)]
struct Lane {
    places: Arc<Semaphore>,
    line: Arc<Semaphore>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PROBES_MAX)), line: Arc::new(Semaphore::new(PROBES_MAX + WAITING_MAX)) }
    }
}

/// Leave to ask a service.
#[derive(Debug)]
pub(super) struct Leave {
    _place: OwnedSemaphorePermit,
    _line: OwnedSemaphorePermit,
}

/// The failures and successes of late.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: Mutex<HashMap<Caller, Failed>>,
    good: Mutex<HashMap<Caller, Instant>>,
    lanes: Mutex<HashMap<(UpstreamNumber, bool), Lane>>,
}

impl Failures {
    /// Whether this caller has failed too often to try again now.
    pub(super) fn are_too_many(&self, caller: Caller, now: Instant) -> bool {
        let recent = self.failed.lock().get(&caller).copied();
        recent.is_some_and(|failed| failed.times >= FAILURES_MAX && now < failed.since + WINDOW)
    }

    /// One more failure, of whatever kind.
    pub(super) fn note(&self, caller: Caller, now: Instant) {
        let mut all = self.failed.lock();
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

    /// The service took this caller's delete.
    pub(super) fn was_good(&self, caller: Caller, now: Instant) {
        let mut good = self.good.lock();
        if good.len() >= CALLERS_MAX && !good.contains_key(&caller) {
            let oldest = good.iter().min_by_key(|(_, at)| **at).map(|(caller, _)| *caller);
            oldest.and_then(|oldest| good.remove(&oldest));
        }
        good.insert(caller, now);
    }

    /// Waits, at most `limit`, for leave to ask the service. `None` where as many wait as may, or the time is over.
    pub(super) async fn leave(&self, caller: Caller, limit: Duration) -> Option<Leave> {
        let now = Instant::now();
        let is_good = self.good.lock().get(&caller).is_some_and(|at| now < *at + GOOD_FOR);
        let (places, line) = {
            let mut lanes = self.lanes.lock();
            let lane = lanes.entry((caller.upstream, is_good)).or_default();
            (Arc::clone(&lane.places), Arc::clone(&lane.line))
        };
        let line = line.try_acquire_owned().ok()?;
        let place = timeout(limit, places.acquire_owned()).await.ok()?.ok()?;
        Some(Leave { _place: place, _line: line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(last: u16, key: &str) -> Caller {
        let [high, low] = last.to_be_bytes();
        Caller::new(UpstreamNumber(1), Some(IpAddr::from([127, 0, high, low])), Some(key.as_bytes()), 7)
    }

    #[tokio::test]
    async fn p10_ten_failures_in_a_minute_are_too_many_for_that_credential_at_that_address_and_upstream() {
        let (failures, now) = (Failures::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            assert!(!failures.are_too_many(caller(1, "stale"), now));
            failures.note(caller(1, "stale"), now);
        }
        assert!(failures.are_too_many(caller(1, "stale"), now));
        assert!(!failures.are_too_many(caller(1, "good"), now), "a neighbour with another key");
        assert!(!failures.are_too_many(caller(2, "stale"), now));
        let elsewhere = Caller { upstream: UpstreamNumber(2), ..caller(1, "stale") };
        assert!(!failures.are_too_many(elsewhere, now));
        assert!(!failures.are_too_many(caller(1, "stale"), now + WINDOW));
        failures.note(caller(1, "stale"), now + WINDOW);
        assert!(!failures.are_too_many(caller(1, "stale"), now + WINDOW));
    }

    #[tokio::test]
    async fn p12_callers_that_are_remembered_are_bounded_and_the_oldest_is_forgotten() {
        let (failures, now) = (Failures::default(), Instant::now());
        for _ in 0..FAILURES_MAX {
            failures.note(caller(0, "x"), now);
        }
        let later = now + WINDOW / 2;
        for n in 1..=u16::try_from(CALLERS_MAX).unwrap() {
            failures.note(caller(n, "x"), later);
            failures.was_good(caller(n, "x"), later);
        }
        failures.was_good(caller(0, "x"), later + WINDOW);
        assert_eq!((failures.failed.lock().len(), failures.good.lock().len()), (CALLERS_MAX, CALLERS_MAX));
        assert!(!failures.are_too_many(caller(0, "x"), later), "the oldest was forgotten");
    }

    #[tokio::test]
    async fn p12_probes_under_way_are_bounded_and_strangers_take_no_place_of_those_who_were_good() {
        let (failures, moment) = (Failures::default(), Duration::from_millis(10));
        failures.was_good(caller(1, "good"), Instant::now());
        let mut strangers = Vec::new();
        for n in 0..PROBES_MAX {
            strangers.push(failures.leave(caller(1, &n.to_string()), moment).await.unwrap());
        }
        assert!(failures.leave(caller(1, "one more"), moment).await.is_none());
        assert!(failures.leave(caller(1, "good"), moment).await.is_some());
        strangers.pop();
        assert!(failures.leave(caller(1, "one more"), moment).await.is_some());
    }
}
