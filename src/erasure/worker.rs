//! Carries erasures out: takes one that is due, does its next step, and again.
//!
//! It is woken by a signal, to be quick, and by a clock, to repair: every so often it looks at all that is unfinished,
//! so that nothing depends on a signal that came or did not come. Steps of one erasure never overlap.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::ledger::{Entry, Marks};
use super::round::{marks, narrow, with_passers};
use super::settings::held;
use super::{Eraser, report};
use crate::barrier::Fence;
use crate::domain::erasure::{Intent, Job, Outcome, Step, TargetKey, TargetState, next_step, plan};
use crate::domain::{UnixSeconds, UpstreamNumber};
use crate::store::{Row, StoreError};
use crate::telemetry::{Standing, events};

/// Erasures under way at once.
pub(super) const AT_ONCE: usize = 64;

/// How often all that is unfinished is looked at, and what is over is swept.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What is to be woken when. A hint only: the store knows.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: Mutex<BTreeSet<(UnixSeconds, Uuid)>>,
    /// Those under way; `true` if they were woken meanwhile.
    busy: Mutex<HashMap<Uuid, bool>>,
    bell: Notify,
}

impl Schedule {
    pub(super) fn wake(&self, id: Uuid, at: UnixSeconds) {
        self.due.lock().insert((at, id));
        self.bell.notify_one();
    }

    fn take_due(&self, now: UnixSeconds) -> Vec<Uuid> {
        let mut due = self.due.lock();
        let later = due.split_off(&(UnixSeconds(now.0 + 1), Uuid::nil()));
        let taken: BTreeSet<Uuid> = std::mem::replace(&mut *due, later).into_iter().map(|(_, id)| id).collect();
        taken.into_iter().collect()
    }

    fn until_next(&self, now: UnixSeconds) -> Duration {
        let next = self.due.lock().first().map(|(at, _)| *at);
        next.map_or(LOOK_EVERY, |at| Duration::from_secs(at.since(now)).min(LOOK_EVERY))
    }

    /// `false` if it is under way already; then it is looked at once more afterwards.
    fn begin(&self, id: Uuid) -> bool {
        let mut busy = self.busy.lock();
        let free = !busy.contains_key(&id);
        busy.insert(id, !free);
        free
    }

    fn end(&self, id: Uuid) -> bool {
        self.busy.lock().remove(&id).unwrap_or(false)
    }
}

impl Eraser {
    /// Puts the fences of unfinished first attempts back. Before the listeners open.
    ///
    /// # Errors
    /// When the store cannot be read: then the listeners must not open.
    pub async fn restore(&self) -> Result<(), StoreError> {
        self.shared.ledger.each_unfinished(|entry| self.restore_one(&entry)).await
    }

    fn restore_one(&self, entry: &Entry) {
        let id = entry.job.id;
        if let Some(upstreams) = entry.job.fenced() {
            let customer = self.shared.ledger.customer(entry).ok().flatten();
            let tag = customer.as_ref().map_or(entry.tag, |customer| self.shared.keys.tag(customer));
            let fence = self.shared.barrier.fence(tag);
            if !upstreams.is_empty() {
                let reaches = customer.map(|customer| self.settings().reaches(&customer, &[])).unwrap_or_default();
                narrow(std::slice::from_ref(&fence), &with_passers(&upstreams.into_iter().collect(), &reaches));
            }
            self.shared.fences.lock().entry(id).or_default().push(fence);
        }
        self.wake_when_due(&entry.job, self.now());
    }

    /// Puts an unfinished erasure into the schedule for when there is something to do.
    fn wake_when_due(&self, job: &Job, now: UnixSeconds) {
        match next_step(job, now) {
            Step::Rest => {}
            Step::Wait(until) => self.shared.schedule.wake(job.id, until),
            Step::Plan | Step::Attempt(_) | Step::Settle | Step::Finish => self.shared.schedule.wake(job.id, now),
        }
    }

    /// Works until its future is dropped. What is under way then goes on, on the runtime of [`super::Parts::runtime`].
    #[expect(clippy::infinite_loop, reason = "its end is that of its task")]
    pub async fn run(&self) {
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                self.look().await;
            }
            for id in self.shared.schedule.take_due(self.now()) {
                self.work_on(id);
            }
            let wait = self.shared.schedule.until_next(self.now());
            // Either the time is over or the bell rang: both mean to look.
            timeout(wait, self.shared.schedule.bell.notified()).await.ok();
        }
    }

    /// Looks at the clock again now.
    pub fn wake(&self) {
        self.shared.schedule.bell.notify_one();
    }

    async fn look(&self) {
        let now = self.now();
        let last = self.shared.looked.lock().replace(now);
        let mut standing = Standing::default();
        let looked = self.shared.ledger.each_unfinished(|Entry { job, .. }| {
            self.wake_when_due(&job, now);
            report::stand(&mut standing, &job, last, now);
        });
        match looked.await {
            Ok(()) => self.shared.registry.erasures().stand(standing),
            Err(error) => report::warn("unfinished erasures cannot be read", &error),
        }
        self.shared.barrier.prune();
        if let Err(error) = self.sweep().await {
            report::warn("rows of erased customers cannot be swept", &error);
        }
    }

    /// Removes rows that were marked erased so long ago that no cache can still believe in them; gives how many.
    ///
    /// # Errors
    /// When the store does not do it; it is done again later.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let believed = self.shared.lease.as_secs().saturating_mul(2);
        self.shared.index.sweep(UnixSeconds(self.now().0.saturating_sub(believed))).await
    }

    /// Starts work on one, as soon as there is room.
    fn work_on(&self, id: Uuid) {
        if !self.shared.schedule.begin(id) {
            return;
        }
        // Those whose fence still stands everywhere have slots of their own, so that retries at an upstream that takes no
        // delete cannot keep their customers out.
        let fresh = self.shared.fences.lock().contains_key(&id);
        let slots = Arc::clone(if fresh { &self.shared.fresh_slots } else { &self.shared.slots });
        let eraser = self.clone();
        self.shared.runtime.spawn(async move {
            // The semaphores are never closed.
            let Ok(room) = slots.acquire_owned().await else { return };
            let next = AssertUnwindSafe(eraser.advance(id)).catch_unwind().await.unwrap_or_else(|_panic| {
                events::TaskPanicked { task: "erasure" }.emit();
                Some(UnixSeconds(eraser.now().0 + LOOK_EVERY.as_secs()))
            });
            drop(room);
            let now = eraser.now();
            let woken = eraser.shared.schedule.end(id).then_some(now);
            if let Some(at) = woken.or(next) {
                eraser.shared.schedule.wake(id, at);
            }
        });
    }

    /// Does steps of an erasure until there is nothing to do at the moment. Gives when there is something again.
    async fn advance(&self, id: Uuid) -> Option<UnixSeconds> {
        let mut fences = Vec::new();
        loop {
            match self.step(id, &mut fences).await {
                Ok(None) => {}
                Ok(Some(Step::Wait(until))) => return Some(until),
                Ok(Some(_)) => return None,
                Err(error) => {
                    report::step_failed(id, &error);
                    return Some(UnixSeconds(self.now().0 + self.after(id, &error, fences)));
                }
            }
        }
    }

    /// Seconds until a step that failed is tried again. The customer stays out meanwhile, unless what is stored cannot be
    /// read: that does not mend itself, and nobody is to be kept out for ever.
    fn after(&self, id: Uuid, error: &StoreError, mut fences: Vec<Fence>) -> u64 {
        if matches!(error, StoreError::Corrupt { .. }) {
            return LOOK_EVERY.as_secs();
        }
        self.shared.fences.lock().entry(id).or_default().append(&mut fences);
        1
    }

    /// Does one step. `Some` is what cannot be done now.
    async fn step(&self, id: Uuid, fences: &mut Vec<Fence>) -> Result<Option<Step>, StoreError> {
        let Some(entry) = self.take(id, fences).await? else { return Ok(Some(Step::Rest)) };
        let now = self.now();
        let step = next_step(&entry.job, now);
        match &step {
            Step::Plan => self.plan(&entry, fences).await?,
            Step::Attempt(keys) => {
                self.attempt(&entry, keys, fences).await?;
                fences.clear();
            }
            Step::Settle => {
                self.note(id, now, |job| job.settle(now)).await?;
                self.told_settled(&entry.job, now);
            }
            Step::Finish => {
                self.note(id, now, |job| job.finish(now)).await?;
                events::ErasureDone { erasure: id }.emit();
            }
            Step::Wait(_) | Step::Rest => {
                if entry.job.is_over() || entry.job.is_accepted_everywhere() {
                    self.forget_calls(id);
                }
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// Reads the job, and takes over the fences that belong to what was read.
    async fn take(&self, id: Uuid, fences: &mut Vec<Fence>) -> Result<Option<Entry>, StoreError> {
        let _alone = self.shared.ledger.lock(id).await;
        let entry = self.shared.ledger.load(id).await?;
        fences.extend(self.shared.fences.lock().remove(&id).unwrap_or_default());
        Ok(entry)
    }

    async fn note(&self, id: Uuid, now: UnixSeconds, change: impl FnOnce(&mut Job)) -> Result<(), StoreError> {
        let change = |job: &mut Job| (change(job), Marks::default());
        self.shared.ledger.change(id, now, change).await.map(drop)
    }

    /// Reads the targets behind the fence, and narrows it to them.
    async fn plan(&self, entry: &Entry, fences: &mut Vec<Fence>) -> Result<(), StoreError> {
        let Some(customer) = self.shared.ledger.customer(entry)? else { return Ok(()) };
        let rows = self.fenced_rows(&customer, fences, None).await?;
        let reaches = self.settings().reaches(&customer, &self.shared.index.upstreams().await?);
        let intents = &entry.job.intents;
        let targets = plan(intents, &reaches, &held(&rows));
        let probes: Vec<(TargetKey, Outcome)> =
            intents.iter().filter_map(|intent| self.probe_outcome(intent, &rows)).collect();
        let now = self.now();
        let change = |job: &mut Job| {
            if !job.is_active() {
                return (None, Marks::default());
            }
            job.planned(intents, targets);
            let marked = probes.iter().filter(|(_, outcome)| counts(outcome)).flat_map(|(key, _)| marks(&rows, *key));
            let marked = Marks(marked.collect());
            for (key, outcome) in &probes {
                job.probe_counts(*key, outcome.clone(), now);
            }
            let first: Vec<TargetKey> =
                job.targets.iter().filter(|target| target.is_due(now)).map(|target| target.key).collect();
            job.progress(&first, TargetState::Fenced);
            (job.fenced(), marked)
        };
        let fenced = self.shared.ledger.change(entry.job.id, now, change).await?.flatten();
        self.told_probes(probes.iter().map(|(_, outcome)| outcome));
        match fenced {
            // More was asked for meanwhile; that is planned next, under all the fences.
            Some(upstreams) if upstreams.is_empty() => {}
            Some(upstreams) => {
                let upstreams: BTreeSet<UpstreamNumber> = upstreams.into_iter().collect();
                narrow(fences, &with_passers(&upstreams, &reaches));
            }
            None => fences.clear(),
        }
        Ok(())
    }

    /// A probe that counts, as the outcome of an attempt at that target.
    fn probe_outcome(&self, intent: &Intent, rows: &[Row]) -> Option<(TargetKey, Outcome)> {
        let addressed = intent.addressed.as_ref()?;
        let probe = addressed.probe.as_ref()?;
        let upstream = addressed.upstream;
        let key = TargetKey { upstream, form: probe.form, label_of: upstream };
        let straggling_until = self.lost_until(rows, upstream, intent.life, probe.evidence.sent);
        Some((key, Outcome::Accepted { evidence: probe.evidence.clone(), straggling_until }))
    }
}

const fn counts(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { straggling_until: None, .. })
}
