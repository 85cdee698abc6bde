//! How long requests may enter, and go on, without word from the other gates.
//!
//! A gate that shares its store with others knows only for a while what they fence. After that nothing labelled enters
//! here, and later still nothing that had entered goes on sending: the others reckon with that.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::Instant;

use super::Inflight;

/// No end.
const EVER: u64 = u64::MAX;

/// In milliseconds since the in-flight table was made.
#[derive(Debug)]
pub(super) struct Lease {
    open_until: AtomicU64,
    goes_on_until: AtomicU64,
    /// Counts the times after which nothing of before may go on.
    run: AtomicU32,
    /// Counts the times that nothing could enter.
    gaps: AtomicU32,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            open_until: AtomicU64::new(EVER),
            goes_on_until: AtomicU64::new(EVER),
            run: AtomicU32::new(0),
            gaps: AtomicU32::new(0),
        }
    }
}

impl Lease {
    pub(super) fn gaps(&self) -> u32 {
        self.gaps.load(SeqCst)
    }

    pub(super) fn run(&self) -> u32 {
        self.run.load(SeqCst)
    }
}

impl Inflight {
    /// From now on requests enter until `open_until`, and what has entered may go on until `goes_on_until`. Where the time
    /// to go on had run out, whatever had entered before stays ended.
    pub fn set_lease(&self, open_until: Instant, goes_on_until: Instant) {
        if !self.goes_on(self.lease.run()) {
            self.lease.run.fetch_add(1, SeqCst);
        }
        if !self.is_open() {
            self.lease.gaps.fetch_add(1, SeqCst);
        }
        self.lease.goes_on_until.store(self.millis(goes_on_until), SeqCst);
        self.lease.open_until.store(self.millis(open_until), SeqCst);
    }

    /// Nothing enters until there is a new lease, and nothing that is known to be durable now is believed then.
    pub fn close(&self) {
        self.lease.gaps.fetch_add(1, SeqCst);
        self.lease.open_until.store(0, SeqCst);
        self.shards.iter().for_each(|shard| shard.lock().forget_everybody());
    }

    /// Whether requests may enter at this moment.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lasts(&self.lease.open_until)
    }

    /// Whether requests could enter all the time since there were so many gaps.
    pub(super) fn was_open_since(&self, gaps: u32) -> bool {
        self.is_open() && self.lease.gaps() == gaps
    }

    /// Whether what entered in this run of the lease may go on.
    pub(super) fn goes_on(&self, run: u32) -> bool {
        self.lease.run() == run && self.lasts(&self.lease.goes_on_until)
    }

    fn lasts(&self, until: &AtomicU64) -> bool {
        let until = until.load(SeqCst);
        until == EVER || self.millis(Instant::now()) < until
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.made);
        u64::try_from(since.as_millis()).unwrap_or(EVER - 1)
    }

    /// For how much longer requests may enter; `None` where that has no end.
    #[must_use]
    pub fn open_for(&self) -> Option<Duration> {
        let until = self.lease.open_until.load(SeqCst);
        let left = until.saturating_sub(self.millis(Instant::now()));
        (until != EVER).then(|| Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Inflight, KeptOut};
    use super::*;
    use crate::domain::{InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UpstreamNumber};

    const SECOND: Duration = Duration::from_secs(1);
    const KEY: PairKey = PairKey {
        tag: Tag([1; 16]),
        upstream: UpstreamNumber(1),
        form: LabelForm::RAW,
        resource: ResourceHash([0; 8]),
        instance: InstanceHash::DEFAULT,
    };

    fn inflight() -> std::sync::Arc<Inflight> {
        Inflight::new(1000, 600 * SECOND, 60 * SECOND)
    }

    fn lease(inflight: &Inflight, open: u32, goes_on: u32) {
        let now = Instant::now();
        inflight.set_lease(now + SECOND * open, now + SECOND * goes_on);
    }

    #[tokio::test(start_paused = true)]
    async fn p4_without_word_from_the_others_nothing_enters_and_later_nothing_goes_on() {
        let inflight = inflight();
        let enter = || inflight.enter(&KEY, Instant::now());
        assert!(inflight.enter(&KEY, Instant::now()).unwrap().passage.may_go_on(), "alone there is no lease");
        lease(&inflight, 5, 60);
        let entered = enter().unwrap().passage;
        tokio::time::advance(SECOND * 5).await;
        assert!(matches!(enter(), Err(KeptOut::Closed)));
        assert!(entered.may_go_on());
        tokio::time::advance(SECOND * 54).await;
        assert!(entered.may_go_on());
        tokio::time::advance(SECOND).await;
        assert!(!entered.may_go_on());
        lease(&inflight, 5, 60);
        assert!(enter().unwrap().passage.may_go_on());
        assert!(!entered.may_go_on(), "the others have reckoned with its end");
    }

    #[tokio::test(start_paused = true)]
    async fn p4_who_was_away_for_a_while_believes_no_row_of_before() {
        let inflight = inflight();
        lease(&inflight, 5, 60);
        inflight.enter(&KEY, Instant::now()).unwrap().passage.recorded();
        assert!(inflight.enter(&KEY, Instant::now()).unwrap().known);
        let mut late = inflight.enter(&PairKey { upstream: UpstreamNumber(2), ..KEY }, Instant::now()).unwrap().passage;
        inflight.close();
        assert!(matches!(inflight.enter(&KEY, Instant::now()), Err(KeptOut::Closed)));
        late.recorded();
        lease(&inflight, 5, 60);
        assert!(!inflight.enter(&KEY, Instant::now()).unwrap().known);
        let late = inflight.enter(&PairKey { upstream: UpstreamNumber(2), ..KEY }, Instant::now()).unwrap();
        assert!(!late.known, "what was being recorded meanwhile teaches nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn p3_a_row_that_was_written_after_the_others_may_have_stopped_waiting_for_it_lets_nothing_out() {
        let inflight = inflight();
        lease(&inflight, 5, 60);
        let new = |upstream| {
            let key = PairKey { upstream: UpstreamNumber(upstream), ..KEY };
            inflight.enter(&key, Instant::now()).unwrap().passage
        };
        let (mut quick, mut late, mut later, mut closed) = (new(1), new(2), new(3), new(4));
        assert!(quick.recorded());
        tokio::time::advance(SECOND * 5).await;
        assert!(!late.recorded(), "an erasure may have read the rows without it");
        lease(&inflight, 5, 60);
        assert!(!later.recorded(), "also when there is word from the others again");
        assert!(new(5).recorded());
        inflight.close();
        lease(&inflight, 5, 60);
        assert!(!closed.recorded());
    }
}
