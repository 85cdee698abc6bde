//! One upstream of an attempt: credentials, fence, drain, deletes, and the record of what was seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::{Credentials, Fences, Round, all, marks};
use super::ledger::Marks;
use super::report;
use crate::barrier::{Drain, Fence, Generation};
use crate::domain::UpstreamNumber;
use crate::domain::decide::text_of;
use crate::domain::erasure::{Fault, Job, Later, Mark, Moment, Outcome, Target, TargetKey};
use crate::store::{Row, StoreError};
use crate::upstream::Site;

pub(super) struct Leg {
    round: Arc<Round>,
    upstream: UpstreamNumber,
    keys: Vec<TargetKey>,
    /// What entered before this is covered by the erasure there.
    before: Generation,
}

/// What is known when the deletes go out.
struct Behind {
    fences: Fences,
    rows: Vec<Row>,
    straggling: Option<Moment>,
    /// Something is on its way there that the erasure does not cover.
    newer: bool,
    credentials: Credentials,
    /// The acceptance's fence has stood until here.
    unbroken: bool,
}

impl Leg {
    pub(super) const fn new(
        round: Arc<Round>,
        upstream: UpstreamNumber,
        keys: Vec<TargetKey>,
        before: Generation,
    ) -> Self {
        Self { round, upstream, keys, before }
    }

    fn covered(&self) -> Mark {
        Mark { run: self.round.eraser.shared.run.name, generation: self.before.0 }
    }

    /// After this, what could be sent was sent and recorded, and the fences there are lifted. With an error they are not:
    /// see [`Round::left_standing`].
    pub(super) async fn run(self) -> Result<(), StoreError> {
        let within = self.round.settings.erasure.barrier_timeout;
        let credentials = match self.credentials(within).await {
            Ok(credentials) => credentials,
            Err(outcome) => {
                let keys = self.keys.iter();
                all(keys.map(|key| self.record(*key, outcome.clone(), None))).await?;
                self.round.ended(self.upstream);
                return Ok(());
            }
        };
        let (fences, unbroken) = self.round.fences_around(self.upstream);
        let rows = self.round.eraser.fenced_rows(&self.round.customer, &fences).await?;
        let keys = self.round.begin(self.upstream, &self.keys, self.covered(), &rows).await?;
        if !keys.is_empty() {
            let (straggling, newer, in_sight) = self.drained(&fences, &rows, within / 2).await;
            let behind = Behind { fences, rows, straggling, newer, credentials, unbroken };
            all(keys.into_iter().map(|key| self.delete(key, &behind))).await?;
            drop(behind);
            in_sight.into_iter().for_each(|upstream| self.look_after(upstream));
        }
        self.round.ended(self.upstream);
        Ok(())
    }

    async fn credentials(&self, within: Duration) -> Result<Credentials, Outcome> {
        let site = self.round.settings.site(self.upstream);
        let site = site.ok_or(Outcome::NotSupported(Fault::NotConfigured))?;
        self.round.eraser.credentials(self.round.id, site, within).await
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
            let drain: Drain = fence.drained(upstream, self.before, limit).await;
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
        let Some(text) = self.text(key, &behind.rows) else { return unsupported(Fault::NotSupported).await };
        let Some(target) = self.target(key).await? else { return Ok(()) };
        match self.sent(site, &target, &text, behind).await? {
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
        behind: &Behind,
    ) -> Result<Option<Outcome>, StoreError> {
        let (eraser, id, key) = (&self.round.eraser, self.round.id, target.key);
        let request = match eraser.request(id, site, target, text, behind.credentials.clone()) {
            Ok(request) => request,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let tags = eraser.shared.holds.tags(&self.round.customer);
        let sending = |job: &mut Job| (job.sending(key, &eraser.shared.holds.of(&tags)), Marks::default());
        if eraser.shared.ledger.change(id, eraser.now(), sending).await? != Some(true) {
            return Ok(None);
        }
        // A hold that was set since, until the first byte goes out, keeps it back.
        let outcome = eraser.send(site, request, behind.straggling, &tags).await;
        if outcome.is_none() {
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
        let frozen = fences.and_then(|fences| fences.iter().find_map(|fence| fence.freeze(key.upstream)));
        let unbroken = frozen.is_some() && behind.is_some_and(|behind| behind.unbroken);
        let whole = fences.is_some_and(|fences| {
            let since = |fence: &&Arc<Fence>| fence.generation() <= self.before;
            fences.iter().filter(since).any(|fence| fence.freeze(key.upstream).is_some())
        });
        let markable = counts && frozen.is_some() && behind.is_some_and(|behind| !behind.newer);
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
            let accepted = job.target(key).is_some_and(Target::is_accepted);
            let followed = self.round.settings.goes_on_from(key.upstream, job);
            let rows = behind.filter(|_| markable && accepted && followed);
            let marked = rows.map(|behind| marks(&behind.rows, key)).unwrap_or_default();
            ((job.target(key).cloned(), job.is_accepted_everywhere()), Marks(marked))
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

    /// What has not ended there is waited for, and followed by the next delete at once.
    fn look_after(&self, upstream: UpstreamNumber) {
        let round = &self.round;
        round.eraser.look_after(round.id, self.upstream, round.tag, upstream, self.before);
    }
}
