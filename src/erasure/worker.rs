//! The worker of erasures: takes a job that is due, does its next step, and repeats.
//!
//! It is woken by a signal, to be quick, and by a clock, to repair. Steps of one erasure never overlap; its attempts at
//! different upstreams do, each on a task of its own.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::attempt::{Fences, Granted, Round};
use super::job_repository::{Entry, Marks};
use super::lanes::{Place, Turn};
use super::leg::Leg;
use super::{Eraser, report, schedule};
use crate::domain::erasure::{Job, Later, Moment, Now, OnHold, Step, TargetKey, next_step};
use crate::domain::{Tag, UnixSeconds, UpstreamNumber};
use crate::inflight::Generation;
use crate::store::StoreError;
use crate::telemetry::events;

/// Steps under way at once; attempts are none.
pub(super) const STEPS_MAX: usize = 64;

/// How often all that is unfinished is looked at, and what is over is swept.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Eraser {
    /// Works until its future is dropped. What is under way then goes on, on the runtime of [`super::Parts::runtime`].
    #[expect(clippy::infinite_loop, reason = "its end is that of its task")]
    pub async fn run(&self) {
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                let eraser = self.clone();
                self.shared.runtime.spawn(async move { eraser.look().await });
            }
            let schedule = &self.shared.schedule;
            let elapsed = (self.shared.surroundings.elapsed)();
            let (ready, turn) = self.shared.lanes.ready(elapsed);
            let mut ready = ready.into_iter().chain(std::iter::from_fn(|| schedule.next_due(self.now().moment)));
            let full = loop {
                let Ok(room) = Arc::clone(&self.shared.steps).try_acquire_owned() else {
                    schedule.is_full();
                    // One that ended in between has rung no bell.
                    break self.shared.steps.available_permits() == 0;
                };
                let Some(id) = ready.next() else { break false };
                self.work_on(id, room);
            };
            let due = schedule.until_next(self.now().moment).filter(|_| !full);
            let turn = turn.filter(|_| !full).map(|at| at.saturating_sub(elapsed).max(Duration::from_millis(1)));
            let wait = [due, turn].into_iter().flatten().min().unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            // Either the time is over or the bell rang: both mean to look.
            timeout(wait, schedule.bell.notified()).await.ok();
        }
    }

    /// Looks at the clock again now.
    pub fn wake(&self) {
        self.shared.schedule.bell.notify_one();
    }

    /// Starts work on one.
    fn work_on(&self, id: Uuid, room: OwnedSemaphorePermit) {
        if !self.shared.schedule.begin(id) {
            return;
        }
        let eraser = self.clone();
        self.shared.runtime.spawn(async move {
            let mut fences = Fences::new();
            let next = AssertUnwindSafe(eraser.advance(id, &mut fences)).catch_unwind().await;
            let next = next.unwrap_or_else(|_panic| {
                events::TaskPanicked { task: "erasure" }.emit();
                // Nobody is let in by a fault of ours; the fences end by themselves.
                eraser.keep_fences(id, std::mem::take(&mut fences));
                eraser.pass_by(id);
                Some(eraser.now().moment.after(LOOK_EVERY.as_secs()))
            });
            drop(fences);
            let woken = eraser.shared.schedule.end(id).then(|| eraser.now().moment);
            if let Some(at) = woken.or(next) {
                eraser.shared.schedule.wake(id, at);
            }
            drop(room);
            eraser.shared.schedule.has_room();
        });
    }

    /// Does steps of an erasure until there is nothing to do at the moment. Gives when there is something again.
    async fn advance(&self, id: Uuid, fences: &mut Fences) -> Option<Moment> {
        loop {
            match self.step(id, fences).await {
                Ok(Next::Again) => {}
                Ok(Next::At(at)) => return at,
                Err(error) => {
                    report::step_failed(id, &error);
                    self.pass_by(id);
                    return Some(self.now().moment.after(self.tried_again(id, &error, fences)));
                }
            }
        }
    }

    /// Whose step fails holds nobody up who waits behind it; when it is tried again, it has its old place.
    fn pass_by(&self, id: Uuid) {
        self.shared.lanes.stay_only(id, &[]);
        self.wake();
    }

    /// Seconds until what failed is tried again. The customer stays out meanwhile, for as long as the fences last, unless
    /// what is stored cannot be read: that does not mend itself.
    pub(super) fn tried_again(&self, id: Uuid, error: &StoreError, fences: &mut Fences) -> u64 {
        if matches!(error, StoreError::Corrupt { .. }) {
            return LOOK_EVERY.as_secs();
        }
        self.keep_fences(id, std::mem::take(fences));
        // An engine that this erasure breaks each time must not be kept busy with being opened again.
        let mut failures = self.shared.failures_of_store.lock();
        let times = failures.entry(id).or_insert(0_u32);
        *times = (*times + 1).min(6);
        1 << (*times - 1)
    }

    /// Does one step.
    async fn step(&self, id: Uuid, fences: &mut Fences) -> Result<Next, StoreError> {
        let Some(entry) = self.take(id, fences).await? else {
            self.shared.lanes.stay_only(id, &[]);
            return Ok(Next::At(None));
        };
        self.shared.failures_of_store.lock().remove(&id);
        let (now, id) = (self.now(), entry.job.id);
        let held = self.held_of(&entry);
        let topology = self.settings().topology();
        if entry.job.topology != topology && entry.job.intents.is_empty() && entry.job.is_active() {
            let anew = self.note(id, now, |job| job.plan_anew(topology)).await?;
            if anew {
                return Ok(Next::Again);
            }
        }
        match next_step(&entry.job, now.moment, &held) {
            Step::Plan => self.plan(&entry, fences, topology).await?,
            Step::Attempt(keys) => return self.dispatch(&entry, keys, fences, &held).await,
            Step::Settle => {
                self.note(id, now, |job| job.settle(now.moment)).await?;
                self.told_settled(&entry.job, now.moment);
            }
            Step::Finish => {
                if self.note(id, now, |job| job.finish(now.wall)).await? {
                    events::ErasureDone { erasure: id }.emit();
                }
            }
            step @ (Step::Wait(_) | Step::Rest) => {
                fences.clear();
                self.shared.lanes.stay_only(id, &[]);
                if entry.job.is_over() || entry.job.is_accepted_everywhere() {
                    self.forget_calls(id);
                }
                return Ok(Next::At(if let Step::Wait(at) = step { Some(at) } else { None }));
            }
        }
        Ok(Next::Again)
    }

    /// Reads the job, and takes over the fences that belong to what was read.
    async fn take(&self, id: Uuid, fences: &mut Fences) -> Result<Option<Entry>, StoreError> {
        let _alone = self.shared.ledger.lock(id).await;
        if self.shared.doubts.lock().contains(&id) {
            // Whether it was accepted, or approved, is not known yet; it is woken when it is.
            return Ok(None);
        }
        let entry = self.shared.ledger.load(id).await?;
        fences.extend(self.shared.fences.lock().remove(&id).unwrap_or_default());
        Ok(entry)
    }

    pub(super) fn keep_fences(&self, id: Uuid, mut fences: Fences) {
        if !fences.is_empty() {
            self.shared.fences.lock().entry(id).or_default().append(&mut fences);
        }
    }

    async fn note<T: Default>(&self, id: Uuid, now: Now, change: impl FnOnce(&mut Job) -> T) -> Result<T, StoreError> {
        let change = |job: &mut Job| (change(job), Marks::default());
        Ok(self.shared.ledger.change(id, now, change).await?.unwrap_or_default())
    }

    /// Begins attempts where the turn has come; elsewhere the erasure stands in line, and keeps nobody out.
    async fn dispatch(
        &self,
        entry: &Entry,
        keys: Vec<TargetKey>,
        fences: &mut Fences,
        held: &OnHold,
    ) -> Result<Next, StoreError> {
        let (job, schedule, settings) = (&entry.job, &self.shared.schedule, self.settings());
        let elapsed = (self.shared.surroundings.elapsed)();
        let (mut granted, mut lines, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for (upstream, mut keys) in by_upstream(keys) {
            if schedule.has_leg(job.id, upstream) {
                continue;
            }
            let turn = turn_of(job, &keys);
            let per_minute = settings.deletes_per_minute(upstream);
            match self.shared.lanes.enter(upstream, turn, keys.len(), per_minute, elapsed) {
                Some(place) => {
                    waiting.extend(keys.split_off(place.count.min(keys.len())));
                    let before = self.covered(job, &keys);
                    let place = self.leg_begins(job.id, upstream, place);
                    granted.push(Granted { upstream, keys, before, place });
                }
                None => {
                    lines.push(upstream);
                    waiting.append(&mut keys);
                }
            }
        }
        self.shared.lanes.stay_only(job.id, &lines);
        let given_up: Vec<TargetKey> =
            waiting.into_iter().filter(|key| job.target(*key).is_some_and(|target| !target.unfenced)).collect();
        if !given_up.is_empty() {
            self.note(job.id, self.now(), |job| job.unfence(&given_up, Later::Rate)).await?;
        }
        if !granted.is_empty() {
            self.attempt(entry, granted, fences).await?;
        }
        Ok(Next::At(later(job, self.now().moment, held)))
    }

    /// What had entered before this is covered at these targets, of one upstream.
    fn covered(&self, job: &Job, keys: &[TargetKey]) -> Generation {
        let marks = keys.iter().filter_map(|key| job.mark_of(job.target(*key)?));
        let ours = marks.filter(|mark| mark.run == self.shared.run.name);
        ours.map(|mark| Generation(mark.generation)).max().unwrap_or(Generation::FIRST)
    }

    pub(super) fn run_leg(&self, round: Arc<Round>, granted: Granted) {
        let (eraser, upstream) = (self.clone(), granted.upstream);
        self.shared.runtime.spawn(async move {
            let id = round.id;
            let keys = granted.keys.clone();
            let leg = Leg::new(Arc::clone(&round), granted);
            let ended = AssertUnwindSafe(leg.run()).catch_unwind().await;
            let mut again = None;
            let after = match ended {
                Ok(Ok(until)) => {
                    again = until;
                    0
                }
                Ok(Err(error)) => {
                    report::step_failed(id, &error);
                    eraser.tried_again(id, &error, &mut round.handed_over(upstream))
                }
                Err(_panic) => {
                    events::TaskPanicked { task: "erasure" }.emit();
                    eraser.keep_fences(id, round.handed_over(upstream));
                    // Whether a delete was under way is not known.
                    keys.iter().for_each(|key| eraser.unrecorded(id, *key, eraser.may_run_until()));
                    LOOK_EVERY.as_secs()
                }
            };
            drop(round);
            // The turn is given back when everything is in order for the next step.
            drop(leg);
            if let Some(again) = again {
                sleep_until(again).await;
            }
            eraser.shared.schedule.wake(id, eraser.now().moment.after(after));
        });
    }

    fn leg_begins(&self, id: Uuid, upstream: UpstreamNumber, place: Place) -> LegPlace {
        self.shared.schedule.leg_begins(id, upstream);
        LegPlace { eraser: self.clone(), id, upstream, place: Some(place) }
    }

    /// A request that is in the way there is waited for; when it has ended, the delete is sent again at once.
    pub(super) fn look_after(&self, id: Uuid, at: UpstreamNumber, tag: Tag, of: UpstreamNumber, before: Generation) {
        let (eraser, what) = (self.clone(), (id, at, of, before));
        if !self.shared.schedule.looks_after(what) {
            return;
        }
        self.shared.runtime.spawn(async move {
            let ending = LookedAfter { eraser: eraser.clone(), what };
            eraser.shared.inflight.watch(tag, of).gone(before).await;
            drop(ending);
            let now = eraser.now();
            let ended = eraser.note(id, now, |job| job.straggler_ended(at, now.moment)).await;
            if let Err(error) = ended {
                // It is repeated when its time is over.
                report::step_failed(id, &error);
            }
            eraser.shared.schedule.wake(id, now.moment);
        });
    }
}

/// An attempt under way at one upstream. However it ends, the turn there is given back: the next one's has come. So are the
/// slots of deletes that were not sent.
#[derive(Debug)]
pub(super) struct LegPlace {
    eraser: Eraser,
    id: Uuid,
    upstream: UpstreamNumber,
    place: Option<Place>,
}

impl LegPlace {
    /// A delete is about to be sent there.
    pub(super) fn spends(&self) {
        self.place.iter().for_each(Place::spends);
    }

    /// It was not sent after all.
    pub(super) fn withheld(&self) {
        self.place.iter().for_each(Place::withheld);
    }
}

impl Drop for LegPlace {
    fn drop(&mut self) {
        self.eraser.shared.schedule.leg_ends(self.id, self.upstream);
        self.place = None;
        self.eraser.wake();
    }
}

/// A request whose end is waited for.
struct LookedAfter {
    eraser: Eraser,
    what: schedule::LookedAfter,
}

impl Drop for LookedAfter {
    fn drop(&mut self) {
        self.eraser.shared.schedule.looked_after(&self.what);
    }
}

/// The place in line of these targets, of one upstream.
fn turn_of(job: &Job, keys: &[TargetKey]) -> Turn {
    let mut targets = keys.iter().filter_map(|key| job.target(*key));
    Turn::new(job.id, asked_at(job, keys), targets.any(|target| target.is_repeat()))
}

/// When the first of the requests came that these serve.
fn asked_at(job: &Job, keys: &[TargetKey]) -> UnixSeconds {
    let targets = keys.iter().filter_map(|key| job.target(*key));
    targets.map(|target| job.asked_at(target)).min().unwrap_or(job.received)
}

/// What comes after a step.
enum Next {
    Again,
    /// Nothing before this moment, or until it is woken.
    At(Option<Moment>),
}

fn by_upstream(keys: Vec<TargetKey>) -> BTreeMap<UpstreamNumber, Vec<TargetKey>> {
    let mut all: BTreeMap<UpstreamNumber, Vec<TargetKey>> = BTreeMap::new();
    for key in keys {
        all.entry(key.upstream).or_default().push(key);
    }
    all
}

/// When there is something to do at the targets that are not due now.
fn later(job: &Job, now: Moment, held: &OnHold) -> Option<Moment> {
    let free = job.targets.iter().filter(|target| !held.is_at(target.key.upstream));
    free.filter_map(|target| target.attempt_at().or_else(|| target.settles_at())).filter(|at| *at > now).min()
}
