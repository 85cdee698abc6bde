//! Counters of the hot path: one set a worker, so that no two threads share a cache line, summed when someone asks.
//!
//! Every counter only grows; what is in flight is the difference of two. All are relaxed: a figure may be a moment old,
//! but none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::clock;
use super::counter::{Counter, Row};
use super::failure_kind::FailureKind;
use super::figures::{LastError, UpstreamFigures};
use super::handshakes::HandshakeEnd;
use super::status_class::StatusClass;
use super::trouble::Trouble;
use super::turned_away::Rejected;
use super::upstream_counts::CounterSet;
use crate::domain::UnixSeconds;
use crate::domain::refusal::Code;

/// What one worker counts for one upstream.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct UpstreamCounters {
    pub(super) counted: CounterSet,
    began: Counter,
    ended: Counter,
    /// Not a counter: how many addresses rest, as the worker last saw it.
    resting: AtomicU64,
    /// Seconds since 1970, shifted by eight bits, and the number of the kind; 0 for none.
    last_failure: AtomicU64,
    /// What is wrong with it, as all workers know it.
    trouble: Arc<Trouble>,
}

impl UpstreamCounters {
    /// The caller got a status, the upstream's or the gate's. Statuses outside 100..=599 are counted as 5xx.
    pub fn answered(&self, status: u16) {
        self.responded(StatusClass::of(status));
    }

    /// The upstream failed. Reads the clock: the last failure is shown with its time.
    pub fn upstream_failed(&self, kind: FailureKind) {
        self.failed(kind);
        self.last_failure.store((clock::unix_now().0 << 8) | kind as u64, Relaxed);
    }

    /// What is wrong with it, for the log: [`Self::upstream_failed`] only counts.
    #[must_use]
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// So many of its addresses have lately taken no connection.
    pub fn resting(&self, addresses: usize) {
        self.resting.store(addresses as u64, Relaxed);
    }

    /// One more in flight.
    pub fn request_began(&self) {
        self.began.bump();
    }

    /// One less in flight.
    pub fn request_ended(&self) {
        self.ended.bump();
    }

    /// Adds these counters to `sums`.
    pub(super) fn add_to(&self, sums: &mut UpstreamFigures) {
        self.counted.add_to(&mut sums.counts);
        // Read in this order, a request that ends between the two reads is counted as in flight and never as less than none.
        let ended = self.ended.read();
        sums.in_flight += self.began.read().saturating_sub(ended);
        // All workers see the same ones.
        sums.addresses_resting = sums.addresses_resting.max(self.resting.load(Relaxed));
        sums.last_error = sums.last_error.max(self.last_error());
    }

    fn last_error(&self) -> Option<LastError> {
        let packed = self.last_failure.load(Relaxed);
        let kind = usize::try_from(packed & 0xff).ok().and_then(|number| FailureKind::ALL.get(number))?;
        (packed != 0).then_some(LastError { at: UnixSeconds(packed >> 8), kind: *kind })
    }
}

/// What one worker counts. A configuration with more upstreams has another of these over the same counters.
#[derive(Debug)]
pub struct WorkerCounters {
    upstreams: Box<[Arc<UpstreamCounters>]>,
    of_worker: Arc<OfWorker>,
}

/// What belongs to no upstream.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OfWorker {
    /// For a slot that no upstream has: counted nowhere that is shown, and no panic on the way of a request.
    stray: UpstreamCounters,
    unrouted: Row<{ Code::ALL.len() }>,
    opened: Counter,
    closed: Counter,
    handshakes: Row<{ HandshakeEnd::ALL.len() }>,
    tunnels: Counter,
    turned_away: Row<{ Rejected::ALL.len() }>,
    pulse: Counter,
}

impl WorkerCounters {
    pub(super) fn none() -> Self {
        Self { upstreams: Box::default(), of_worker: Arc::default() }
    }

    /// The same counters, and new ones for upstreams beyond; these are the troubles of all.
    pub(super) fn grown(&self, troubles: &[Arc<Trouble>]) -> Self {
        let of =
            |trouble: &Arc<Trouble>| UpstreamCounters { trouble: Arc::clone(trouble), ..UpstreamCounters::default() };
        let new = troubles.iter().skip(self.upstreams.len()).map(|trouble| Arc::new(of(trouble)));
        let all = self.upstreams.iter().map(Arc::clone).chain(new).collect();
        Self { upstreams: all, of_worker: Arc::clone(&self.of_worker) }
    }

    /// The counters of one upstream, by its slot.
    #[must_use]
    pub fn upstream(&self, slot: usize) -> &UpstreamCounters {
        self.upstreams.get(slot).map_or(&self.of_worker.stray, |counters| counters)
    }

    /// Refused before any upstream was known.
    pub fn unrouted(&self, code: Code) {
        self.of_worker.unrouted.bump(code as usize);
    }

    /// A caller's connection was accepted.
    pub fn connection_opened(&self) {
        self.of_worker.opened.bump();
    }

    /// A caller's connection has ended.
    pub fn connection_closed(&self) {
        self.of_worker.closed.bump();
    }

    /// A caller's TLS handshake has ended.
    pub fn handshake(&self, end: HandshakeEnd) {
        self.of_worker.handshakes.bump(end as usize);
    }

    pub(super) fn handshakes_to(&self, sums: &mut [u64; HandshakeEnd::ALL.len()]) {
        self.of_worker.handshakes.add_to(sums);
    }

    /// A connection is passed on unseen.
    pub fn tunnel_opened(&self) {
        self.of_worker.tunnels.bump();
    }

    pub(super) fn tunnels(&self) -> u64 {
        self.of_worker.tunnels.read()
    }

    /// A connection was closed before anything was asked over it.
    pub fn turned_away(&self, why: Rejected) {
        self.of_worker.turned_away.bump(why as usize);
    }

    /// The worker is alive.
    pub fn pulse(&self) {
        self.of_worker.pulse.bump();
    }

    pub(super) fn pulses(&self) -> u64 {
        self.of_worker.pulse.read()
    }

    pub(super) fn turned_away_to(&self, sums: &mut [u64; Rejected::ALL.len()]) {
        self.of_worker.turned_away.add_to(sums);
    }

    pub(super) fn unrouted_to(&self, sums: &mut [u64; Code::ALL.len()]) {
        self.of_worker.unrouted.add_to(sums);
    }

    /// How many connections were opened, and how many are open.
    pub(super) fn connections(&self) -> (u64, u64) {
        let closed = self.of_worker.closed.read();
        let opened = self.of_worker.opened.read();
        (opened, opened.saturating_sub(closed))
    }
}

#[cfg(test)]
mod tests {
    use super::{FailureKind, HandshakeEnd};
    use crate::domain::refusal::Code;

    #[test]
    fn the_place_in_each_list_is_the_number_of_the_column() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
        }
        for (place, end) in HandshakeEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place);
        }
        for (place, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
