//! One upstream of an attempt: credentials, fence, drain, deletes, and the record of what was seen.
//! See docs/decisions/026-drain-and-delete.md.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Eraser;
use super::attempt::{Fences, Granted, Needs, Passes, Round, all, came_back};
use super::job_repository::Marks;
use super::report;
use super::send::Pass;
use super::worker::LegPlace;
use crate::domain::decide::text_of;
use crate::domain::erasure::{Fault, Job, Later, Mark, Moment, Outcome, Target, TargetKey, Where};
use crate::domain::{PairKey, UpstreamNumber};
use crate::inflight::{Drain, Generation};
use crate::replicas::{Covered, Fence};
use crate::store::{Row, StoreError};
use crate::upstream::Site;

pub(super) struct Leg {
    round: Arc<Round>,
    upstream: UpstreamNumber,
    keys: Vec<TargetKey>,
    /// What the erasure covers there.
    covered: Covered,
    /// Its turn there.
    place: LegPlace,
}

/// What is known when the deletes go out.
struct Behind {
    fences: Fences,
    rows: Vec<Row>,
    needs: Needs,
    /// The targets whose deletes have been accepted behind this fence.
    accepted: Mutex<BTreeSet<TargetKey>>,
    straggling: Option<Moment>,
    /// Something is on its way there that the erasure does not cover.
    newer: bool,
    passes: Passes,
    /// The acceptance's fence has stood until here.
    unbroken: bool,
    /// The customer was let in there before this run began.
    came_back: bool,
}

impl Behind {
    /// The rows of which nothing is left now that this delete was accepted. What else they need was accepted behind this
    /// fence, or for the same request behind its acceptance's, as long as that has stood.
    fn marks(&self, key: TargetKey, unbroken: bool, job: &Job) -> Vec<PairKey> {
        let mut accepted = self.accepted.lock();
        accepted.insert(key);
        let mark = job.target(key).and_then(|target| target.mark);
        let same = |target: &Target| mark.is_some() && target.mark == mark;
        let before = |target: &Target| unbroken && same(target) && target.is_accepted() && !target.unfenced;
        self.needs.marks(key, |other| accepted.contains(&other) || job.target(other).is_some_and(before))
    }
}

impl Leg {
    pub(super) fn new(round: Arc<Round>, granted: Granted) -> Self {
        let Granted { upstream, keys, covered, place } = granted;
        Self { round, upstream, keys, covered, place }
    }

    fn covered(&self) -> Mark {
        self.round.eraser.mark_over(self.covered)
    }

    /// After this, what could be sent was sent and recorded, and the fences there are lifted. With an error they are not:
    /// see [`Round::handed_over`]. Gives when it is worth trying again, where the customer is kept out for something else.
    pub(super) async fn run(&self) -> Result<Option<Instant>, StoreError> {
        let within = self.round.settings.erasure.barrier_timeout;
        let (passes, without) = self.passes(within).await?;
        all(without.into_iter().map(|(key, outcome)| self.record(key, outcome, None))).await?;
        if passes.is_empty() {
            self.round.ended(self.upstream);
            return Ok(None);
        }
        let fences = match self.round.fences_around(self.upstream) {
            Ok(fences) => fences,
            Err(again) => {
                self.round.ended(self.upstream);
                return Ok(Some(again));
            }
        };
        let rows = self.round.eraser.fenced_rows(&self.round.customer, &fences).await?;
        let needs = self.round.eraser.needs(&rows, &self.round.reaches);
        let around = self.round.around(self.upstream);
        let came_back = came_back(&rows, |upstream| around.contains(&upstream), self.round.accepted);
        let unbroken = fences.iter().any(|fence| self.is_since(fence, came_back));
        let keys: Vec<TargetKey> = passes.keys().copied().collect();
        let keys = self.round.begin(self.upstream, &keys, self.covered(), &needs).await?;
        if !keys.is_empty() {
            let (straggling, newer, in_sight) = self.drained(&fences, &rows, within / 2).await;
            let accepted = Mutex::default();
            let behind = Behind { fences, rows, needs, accepted, straggling, newer, passes, unbroken, came_back };
            all(keys.into_iter().map(|key| self.delete(key, &behind))).await?;
            drop(behind);
            in_sight.into_iter().for_each(|upstream| self.look_after(upstream));
        }
        self.round.ended(self.upstream);
        Ok(None)
    }

    /// Whether this fence has stood since the acceptance of what entered in a generation before `before`.
    fn is_since(&self, fence: &Fence, came_back: bool) -> bool {
        let is_old = self.covered.here.is_some_and(|here| fence.generation() <= here);
        is_old && !(came_back && fence.is_from_start())
    }

    /// With what each delete will go out, and the targets for which there is nothing. One that lacks credentials holds no
    /// other up.
    async fn passes(&self, within: Duration) -> Result<(Passes, Vec<(TargetKey, Outcome)>), StoreError> {
        let Some(entry) = self.round.eraser.shared.ledger.load(self.round.id).await? else {
            return Ok((Passes::new(), Vec::new()));
        };
        let targets: Vec<&Target> = self.keys.iter().filter_map(|key| entry.job.target(*key)).collect();
        // Credentials are asked for once for each instance, whatever else tells targets apart.
        let places: BTreeMap<_, _> = targets.iter().map(|target| (target.key.instance, &target.place)).collect();
        let passes = places.into_iter().map(async |(id, place)| (id, self.pass(place, within).await));
        let passes: BTreeMap<_, _> = join_all(passes).await.into_iter().collect();
        let (mut with, mut without) = (Passes::new(), Vec::new());
        for key in targets.iter().map(|target| target.key) {
            match passes.get(&key.instance) {
                Some(Ok(pass)) => drop(with.insert(key, pass.clone())),
                Some(Err(outcome)) => without.push((key, outcome.clone())),
                None => {}
            }
        }
        Ok((with, without))
    }

    async fn pass(&self, place: &Where, within: Duration) -> Result<Pass, Outcome> {
        const GONE: Outcome = Outcome::NotSupported(Fault::NotConfigured);
        let site = self.round.settings.site(self.upstream).ok_or(GONE)?;
        let reach = self.round.reaches.iter().find(|reach| reach.number == self.upstream).ok_or(GONE)?;
        self.round.eraser.pass(self.round.id, site, place, reach, within).await
    }

    /// Waits for what was on its way there, and to those that pass IDs on to it. Gives until when something may still
    /// arrive, whether something newer is on its way, and where the end of something can be waited for.
    async fn drained(
        &self,
        fences: &[Arc<Fence>],
        rows: &[Row],
        limit: Duration,
    ) -> (Option<Moment>, bool, Vec<UpstreamNumber>) {
        let Some(fence) = fences.first() else { return (None, true, Vec::new()) };
        let (mut straggling, mut newer, mut in_sight) = (None, false, Vec::new());
        let end = Instant::now() + limit;
        for upstream in self.round.around(self.upstream) {
            let limit = end.saturating_duration_since(Instant::now());
            let drain: Drain = fence.drained(upstream, self.covered, limit).await;
            let seen = drain.until.map(|until| self.moment(until));
            straggling = straggling.max(seen).max(self.round.eraser.lost_until(rows, upstream));
            newer |= drain.newer && upstream == self.upstream;
            in_sight.extend(drain.in_sight.then_some(upstream));
        }
        (straggling, newer, in_sight)
    }

    /// A moment of tokio's clock, rounded up.
    fn moment(&self, at: Instant) -> Moment {
        self.round.eraser.now().moment.after(at.saturating_duration_since(Instant::now()).as_secs() + 1)
    }

    async fn delete(&self, key: TargetKey, behind: &Behind) -> Result<(), StoreError> {
        let unsupported = |fault| self.record(key, Outcome::NotSupported(fault), None);
        let Some(site) = self.round.settings.site(key.upstream) else {
            return unsupported(Fault::NotConfigured).await;
        };
        let Some(pass) = behind.passes.get(&key) else { return Ok(()) };
        let Some(text) = self.text(key, &behind.rows) else { return unsupported(Fault::NotSupported).await };
        let Some(target) = self.target(key).await? else { return Ok(()) };
        match self.sent(site, &target, &text, (pass, behind)).await? {
            Some(outcome) => self.record(key, outcome, Some(behind)).await,
            None => Ok(()),
        }
    }

    /// Sends the delete, once its intention is durable. `None` if a person decided otherwise meanwhile.
    async fn sent(
        &self,
        site: &Site,
        target: &Target,
        text: &str,
        (pass, behind): (&Pass, &Behind),
    ) -> Result<Option<Outcome>, StoreError> {
        let (eraser, id, key) = (&self.round.eraser, self.round.id, target.key);
        let request = match Eraser::request(site, target, text, pass) {
            Ok(request) => request,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let tags = eraser.shared.holds.tags(&self.round.customer);
        let sending = |job: &mut Job| (job.sending(key, &eraser.shared.holds.of(&tags)), Marks::default());
        if eraser.shared.ledger.change(id, eraser.now(), sending).await? != Some(true) {
            return Ok(None);
        }
        // A hold that was set since, until the first byte goes out, keeps it back.
        self.place.spends();
        let outcome = eraser.send((site, &target.place, pass), request, behind.straggling, &tags).await;
        if outcome.is_none() {
            self.place.withheld();
            let unsent = |job: &mut Job| (job.unsent(key), Marks::default());
            eraser.shared.ledger.change(id, eraser.now(), unsent).await?;
        }
        Ok(outcome)
    }

    async fn target(&self, key: TargetKey) -> Result<Option<Target>, StoreError> {
        let entry = self.round.eraser.shared.ledger.load(self.round.id).await?;
        Ok(entry.and_then(|entry| entry.job.target(key).cloned()))
    }

    /// The text by which the customer is known there.
    fn text(&self, key: TargetKey, rows: &[Row]) -> Option<Box<str>> {
        let owner = self.round.settings.site(key.label_of)?;
        let recorded = |row: &&Row| row.key.upstream == key.label_of && row.key.form == key.form;
        if let Some(wire) = rows.iter().filter(recorded).find_map(|row| row.wire.clone()) {
            return Some(wire);
        }
        let derivable = !key.form.is_alias() || key.form.0 == owner.aliases.epoch();
        derivable.then(|| text_of(&owner.aliases, &self.round.customer, key.form))
    }

    /// What came of it and, if it counts, the marks of the rows that it covers: one durable write, before the fence lifts.
    /// Rows are marked only where a fence has stood without a gap, and goes on standing until that write is done; and where
    /// nothing newer is on its way.
    async fn record(&self, key: TargetKey, outcome: Outcome, behind: Option<&Behind>) -> Result<(), StoreError> {
        let eraser = &self.round.eraser;
        let counts = matches!(&outcome, Outcome::Accepted { straggling: None, .. });
        let fences = behind.map(|behind| &behind.fences);
        // One that has stood since the request, if there is one: nobody has been let in since.
        let came_back = behind.is_some_and(|behind| behind.came_back);
        let since = |fence: &&Arc<Fence>| self.is_since(fence, came_back);
        let own = fences.and_then(|all| all.iter().filter(since).find_map(|fence| fence.freeze(key.upstream)));
        let whole = own.is_some();
        let frozen = own.or_else(|| fences.and_then(|all| all.iter().find_map(|fence| fence.freeze(key.upstream))));
        // Another may pass IDs on to there by now, and was not kept out.
        let as_planned = eraser.settings().topology() == self.round.settings.topology();
        let alone = frozen.is_some() && as_planned;
        let unbroken = alone && behind.is_some_and(|behind| behind.unbroken);
        let markable = counts && alone && behind.is_some_and(|behind| !behind.newer);
        let (now, random) = (eraser.now(), (eraser.shared.surroundings.random)());
        let attempt = report::attempt_outcome(&outcome);
        let covered = self.covered();
        let earlier = eraser.take_unrecorded(self.round.id, key);
        let unanswered = match outcome {
            Outcome::Retry { unanswered, .. } => unanswered.max(earlier),
            _ => earlier,
        };
        let change = |job: &mut Job| {
            if let Some(until) = earlier {
                job.unanswered(key, until);
            }
            if behind.is_some() && !unbroken && job.target(key).is_some_and(|target| !target.unfenced) {
                job.unfence(&[key], Later::FenceEnded);
            }
            if counts && !whole {
                // The customer was let in after what this attempt covers: who asked again since meant that, too.
                job.joined_since(key, covered);
            }
            job.ended(key, outcome, now, random);
            if behind.is_some() && !alone {
                // What came while it was under way may be gone with the rest.
                job.let_in_meanwhile(key);
            }
            let marked = behind.filter(|_| markable && self.is_last_there(key, job, whole));
            let marks = |behind: &Behind| Marks::of(behind.marks(key, unbroken && whole, job), &behind.rows);
            let marked = marked.map(marks).unwrap_or_default();
            ((job.target(key).cloned(), job.is_accepted_everywhere()), marked)
        };
        let changed = eraser.shared.ledger.change(self.round.id, now, change).await;
        drop(frozen);
        if let (Err(_), Some(until)) = (&changed, unanswered) {
            eraser.unrecorded(self.round.id, key, until);
        }
        let Some((told, everywhere)) = changed? else { return Ok(()) };
        if everywhere {
            eraser.forget_calls(self.round.id);
        }
        if let Some(target) = told {
            eraser.told_attempt(self.round.id, &target, attempt);
        }
        Ok(())
    }

    /// Whether it was accepted there, and nothing leads on from there to where this erasure does not go.
    fn is_last_there(&self, key: TargetKey, job: &Job, whole: bool) -> bool {
        let Some(target) = job.target(key).filter(|target| target.is_accepted()) else { return false };
        // Who was let in since the request may have been passed on behind the other's delete.
        let alone = whole || !self.round.settings.passes_on(key.upstream);
        alone && self.round.settings.goes_on_from(key, job, job.mark_of(target))
    }

    /// What has not ended there is waited for, and followed by the next delete at once.
    fn look_after(&self, upstream: UpstreamNumber) {
        let round = &self.round;
        let before = self.covered.here.unwrap_or(Generation::LAST);
        round.eraser.look_after(round.id, self.upstream, round.tag, upstream, before);
    }
}
