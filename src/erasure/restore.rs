//! What is known again after a start, and what is looked at now and then: all from the list of unfinished erasures, whose
//! entries say enough. No erasure is read for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job_repository::Listed;
use super::lanes::Turn;
use super::{Eraser, report};
use crate::domain::erasure::{Moment, Summary};
use crate::domain::{Tag, UnixSeconds, UpstreamNumber};
use crate::store::StoreError;
use crate::telemetry::{Standing, events};
use uuid::Uuid;

/// Entries of the list that are read at once.
const PAGE: usize = 1000;

/// An erasure that should have been taken up so long ago, in seconds, was forgotten.
const OVERDUE: u64 = 60;

/// What was found in the list so far.
#[derive(Default)]
struct Found {
    wakes: Vec<(Moment, Uuid)>,
    lines: BTreeMap<UpstreamNumber, Vec<Turn>>,
}

impl Eraser {
    /// Knows again what is unfinished: fences of first attempts, places in line, times. Before the listeners open.
    ///
    /// # Errors
    /// When the store cannot be read: then the listeners must not open.
    pub async fn restore(&self) -> Result<(), StoreError> {
        self.shared.holds.load().await?;
        let mut found = Found::default();
        self.each_listed(|eraser, listed, summary| eraser.restore_one(listed, summary, &mut found)).await?;
        self.found(found);
        self.take_over().await
    }

    /// Erasures whose gate is there no more are gone on with here.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn take_over(&self) -> Result<(), StoreError> {
        loop {
            let page = self.shared.ledger.claim(PAGE).await?;
            let is_last = page.len() < PAGE;
            let mut found = Found::default();
            for listed in &page {
                self.show_one(listed, &mut |eraser, listed, summary| eraser.restore_one(listed, summary, &mut found))
                    .await?;
            }
            self.found(found);
            if is_last {
                return Ok(());
            }
        }
    }

    fn found(&self, found: Found) {
        for (upstream, turns) in found.lines {
            self.shared.lanes.line_up(upstream, turns, self.settings().deletes_per_minute(upstream));
        }
        self.shared.schedule.wake_all(found.wakes);
    }

    async fn each_listed(&self, mut show: impl FnMut(&Self, &Listed, &Summary)) -> Result<(), StoreError> {
        let ledger = &self.shared.ledger;
        self.each_of(|cursor| ledger.listed(cursor, PAGE), &mut show).await
    }

    /// A page is read while the one before it is gone through.
    async fn each_of<P: Future<Output = Result<Vec<Listed>, StoreError>>>(
        &self,
        read: impl Fn(Option<(Tag, Uuid)>) -> P,
        show: &mut impl FnMut(&Self, &Listed, &Summary),
    ) -> Result<(), StoreError> {
        let mut next = Some(read(None));
        while let Some(page) = next {
            let page = page.await?;
            let last = page.last().filter(|_| page.len() == PAGE).map(|listed| (listed.tag, listed.id));
            next = last.map(|last| read(Some(last)));
            for listed in &page {
                self.show_one(listed, show).await?;
            }
        }
        Ok(())
    }

    async fn show_one(
        &self,
        listed: &Listed,
        show: &mut impl FnMut(&Self, &Listed, &Summary),
    ) -> Result<(), StoreError> {
        if let Some(summary) = &listed.summary {
            show(self, listed, summary);
            return Ok(());
        }
        match self.shared.ledger.summary(listed.id).await {
            Ok(Some(summary)) => show(self, listed, &summary),
            Ok(None) => {}
            Err(error @ StoreError::Corrupt { .. }) => report::step_failed(listed.id, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Every unfinished erasure is taken up, and planned anew if it has to be.
    pub(super) async fn look_at_all(&self) {
        let now = self.now().moment;
        let looked = self.each_listed(|eraser, listed, _| eraser.shared.schedule.wake(listed.id, now)).await;
        if let Err(error) = looked {
            report::warn("unfinished erasures cannot be read", &error);
        }
    }

    fn restore_one(&self, listed: &Listed, summary: &Summary, found: &mut Found) {
        let settings = self.settings();
        self.shared.ledger.counts(listed.id, summary.standing);
        let held = self.shared.holds.of(&[listed.tag]);
        let fenced: Vec<UpstreamNumber> = summary
            .places
            .iter()
            .filter(|place| place.fenced && !held.is_at(place.upstream))
            .map(|place| place.upstream)
            .collect();
        let everywhere = summary.unplanned && !summary.standing.awaiting_approval && !held.everywhere;
        // Where there are other gates nobody knows whether a fence has stood since: the next step raises one of its own.
        let alone = !self.shared.replicas.may_have_others();
        if alone && (everywhere || !fenced.is_empty()) {
            let around = (!everywhere).then(|| settings.with_passers(&fenced));
            let life = settings.erasure.barrier_timeout;
            let fence = self.shared.replicas.fence_from_start(listed.tag, around, life);
            self.keep_fences(listed.id, vec![Arc::new(fence)]);
        }
        for place in summary.places.iter().filter(|place| place.in_line && !held.is_at(place.upstream)) {
            let turn = Turn::new(listed.id, place.asked, place.repeat);
            found.lines.entry(place.upstream).or_default().push(turn);
        }
        if let Some(at) = summary.next_in(&self.shared.run) {
            found.wakes.push((at, listed.id));
        }
    }

    /// Done when an erasure has changed since this was called, or the acceptance of one has ended.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared.ledger.changed.notified()
    }

    /// The upstreams at which an erasure that is not over has not been accepted yet, or may still have to be sent.
    ///
    /// # Errors
    /// The store's.
    pub async fn awaits(&self) -> Result<std::collections::BTreeSet<UpstreamNumber>, StoreError> {
        let all: Vec<_> = self.shared.index.upstreams().await?.iter().map(|known| known.number).collect();
        let mut awaited = std::collections::BTreeSet::new();
        if self.shared.accepting.load(std::sync::atomic::Ordering::SeqCst) > 0 {
            awaited.extend(all.iter().copied());
        }
        let ledger = &self.shared.ledger;
        let read = |cursor| ledger.listed_of_all(cursor, PAGE);
        let mut show = |_: &Self, _: &Listed, summary: &Summary| {
            awaited.extend(summary.places.iter().map(|place| place.upstream));
            if summary.unplanned {
                awaited.extend(all.iter().copied());
            }
        };
        self.each_of(read, &mut show).await?;
        Ok(awaited)
    }

    /// Looks at everything that is unfinished, and tidies up.
    pub(super) async fn look(&self) {
        let now = self.now();
        let last = self.shared.looked.lock().replace(now.wall);
        let (mut late, mut forgotten) = (0, Vec::new());
        let looked = self
            .each_listed(|eraser, listed, summary| {
                if now.wall > summary.due {
                    late += 1;
                    if last.is_none_or(|last| last <= summary.due) {
                        events::ErasureLate { erasure: listed.id }.emit();
                    }
                }
                if eraser.is_overdue(listed, summary, now.moment) {
                    forgotten.push(listed.id);
                }
            })
            .await;
        match looked {
            Ok(()) => self.shared.late.store(late, std::sync::atomic::Ordering::Relaxed),
            Err(error) => report::warn("unfinished erasures cannot be read", &error),
        }
        forgotten.into_iter().for_each(|id| self.shared.schedule.wake(id, now.moment));
        self.tell_standing();
        self.shared.inflight.prune();
        if self.shared.replicas.may_have_others() {
            self.holds_have_changed().await;
        }
        self.forget_home_probes();
        if let Err(error) = self.sweep().await {
            report::warn("rows of erased customers cannot be swept", &error);
        }
        if let Err(error) = self.forget_finished().await {
            report::warn("finished erasures cannot be removed", &error);
        }
    }

    /// Also one that should stand in a line and does not: whoever should have told it of that could not.
    fn is_overdue(&self, listed: &Listed, summary: &Summary, now: Moment) -> bool {
        let (held, schedule) = (self.shared.holds.of(&[listed.tag]), &self.shared.schedule);
        let waits = |at: UpstreamNumber| !held.is_at(at) && !schedule.has_leg(listed.id, at);
        let in_line = summary.places.iter().any(|place| place.in_line && waits(place.upstream));
        let due = in_line || summary.next_in(&self.shared.run).is_some_and(|at| at.after(OVERDUE) < now);
        let stored = self.shared.run.name != summary.stamp.run || summary.stamp.at.after(OVERDUE) < now;
        due && stored && !self.shared.lanes.is_waiting(listed.id)
    }

    /// The gauges, as they are at this moment.
    pub fn tell_standing(&self) {
        let counted = self.shared.ledger.counted();
        let late = self.shared.late.load(std::sync::atomic::Ordering::Relaxed);
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.shared.registry.erasures().stand(Standing {
            unfinished: number(counted.unfinished),
            late,
            awaiting_approval: number(counted.awaiting),
            action_required: number(counted.action),
        });
    }

    /// Removes rows that were marked erased so long ago that no cache can still believe in them; gives how many.
    ///
    /// # Errors
    /// When the store does not do it; it is done again later.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let believed = self.shared.lease.as_secs().saturating_mul(2);
        self.shared.index.sweep(UnixSeconds(self.now().moment.0.saturating_sub(believed))).await
    }
}
