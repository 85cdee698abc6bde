//! What named people decide: about an erasure, about one of its targets, and about a customer's legal holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::accept::Problem;
use super::doubt::Doubt;
use super::holds::{Hold, Tags};
use super::job_repository::{By, Entry, Marks};
use super::views::{HoldList, HoldView, View, form_name};
use super::{Eraser, report};
use crate::domain::erasure::{Decision, Job, OnHold, Target, TargetKey, Undecidable, Verdict};
use crate::domain::{CustomerId, Tag, UpstreamNumber};
use crate::replicas::{Covered, Fence};
use crate::store::StoreError;

/// A decision of a named person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What.
    pub verdict: Verdict,
    /// Who.
    pub by: String,
    /// Reason or note.
    pub note: String,
    /// For a hold or its end: only at this upstream, by name. For closing: which target's.
    pub upstream: Option<String>,
}

/// Some of the targets at one upstream: those of which all of this is shown, nothing said being all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetsThere {
    /// The instance: its name, or the beginning of its key's fingerprint; empty: those that show none.
    pub instance: Option<String>,
    /// What stands between the upstream's URL and the delete's own path; empty: nothing.
    pub path: Option<String>,
    /// The label's form.
    pub form: Option<String>,
    /// The version of the API.
    pub api: Option<u8>,
}

impl TargetsThere {
    /// Their names within the erasure; none where nothing is said.
    fn keys(&self, job: &Job, upstream: Option<UpstreamNumber>) -> Result<Vec<TargetKey>, Problem> {
        if *self == Self::default() {
            return Ok(Vec::new());
        }
        let there = job.targets.iter().filter(|target| upstream.is_none_or(|number| target.key.upstream == number));
        let keys: Vec<_> = there.filter(|target| self.is(target)).map(|target| target.key).collect();
        if keys.is_empty() { Err(Problem::Undecidable(Undecidable::NoSuchTarget)) } else { Ok(keys) }
    }

    fn is(&self, target: &Target) -> bool {
        let Self { instance, path, form, api } = self;
        instance.as_ref().is_none_or(|instance| target.place.shown().unwrap_or_default() == *instance)
            && path.as_ref().is_none_or(|path| *target.place.prefix == **path)
            && form.as_ref().is_none_or(|form| form_name(target.key.form) == *form)
            && api.is_none_or(|api| target.key.api == Some(api))
    }
}

impl Eraser {
    /// Carries out a decision. A hold of an erasure is a hold of its customer.
    ///
    /// # Errors
    /// `NotFound`, `UnknownUpstream`, `Undecidable`, `TooManyHolds`, `Unconfirmed` or `Store`.
    pub async fn decide(&self, id: Uuid, decided: Decided) -> Result<View, Problem> {
        self.decide_of(id, decided, &TargetsThere::default()).await
    }

    /// The same, about some of the targets at the upstream: to give up an instance and not the others.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn decide_of(&self, id: Uuid, decided: Decided, which: &TargetsThere) -> Result<View, Problem> {
        let (eraser, which) = (self.clone(), which.clone());
        self.seen_through(async move { eraser.carry_out(id, decided, &which).await }).await
    }

    async fn carry_out(&self, id: Uuid, decided: Decided, which: &TargetsThere) -> Result<View, Problem> {
        let entry = self.shared.ledger.load(id).await?.ok_or(Problem::NotFound)?;
        let upstream = match decided.upstream.as_deref() {
            Some(name) => Some(self.upstream_of(&entry.job, name).await?),
            None => None,
        };
        let targets = which.keys(&entry.job, upstream)?;
        let (at, verdict) = (self.now().wall, decided.verdict);
        let decision = Decision { at, verdict, by: decided.by, note: decided.note, upstream, targets };
        match verdict {
            Verdict::Hold if entry.job.is_over() => Err(Problem::Undecidable(Undecidable::Over)),
            Verdict::Hold => {
                let customer = self.shared.ledger.customer(&entry)?;
                let tag = customer.map_or(entry.tag, |customer| self.shared.holds.tag(&customer));
                self.set_hold(tag, self.hold_tags(&entry), decision).await?;
                Ok(self.shown(&entry).await)
            }
            Verdict::Unhold => {
                let tags = self.hold_tags(&entry);
                let ids = self.shared.holds.ids_of(&tags, upstream);
                if ids.is_empty() {
                    return Err(Problem::Undecidable(Undecidable::NotHeld));
                }
                for id in ids {
                    self.lift_hold(id, &tags, &decision).await?;
                }
                self.told_of_holds(&tags, &decision).await;
                Ok(self.shown(&entry).await)
            }
            Verdict::Approve | Verdict::Cancel | Verdict::Retry | Verdict::Close => {
                self.decide_about(entry.job.id, decision).await
            }
        }
    }

    /// What was decided is in force: if the erasure cannot be read again, it is shown as it was read before.
    async fn shown(&self, entry: &Entry) -> View {
        let before = || View::of(&entry.job, self.now(), &self.held_of(entry));
        self.show(entry.job.id).await.unwrap_or_else(|_| before())
    }

    async fn upstream_of(&self, job: &Job, name: &str) -> Result<UpstreamNumber, Problem> {
        if let Some(target) = job.targets.iter().find(|target| target.name == name) {
            return Ok(target.key.upstream);
        }
        let known = self.shared.index.upstreams().await?;
        let found = known.iter().find(|known| known.name == name).map(|known| known.number);
        found.ok_or(Problem::UnknownUpstream)
    }

    async fn decide_about(&self, id: Uuid, decision: Decision) -> Result<View, Problem> {
        let guard = self.shared.ledger.lock(id).await;
        let entry = self.shared.ledger.load(id).await?.ok_or(Problem::NotFound)?;
        let (verdict, now) = (decision.verdict, self.now());
        let life = self.settings().erasure.barrier_timeout;
        let raises = matches!(verdict, Verdict::Approve | Verdict::Close);
        let fence = raises.then(|| Arc::new(self.shared.replicas.fence(entry.tag, None, life)));
        if let Some(fence) = &fence {
            fence.everywhere().await?;
        }
        let mark = fence.as_ref().map(|fence| self.mark_of(fence));
        let gone = match (&fence, verdict, decision.upstream) {
            (Some(fence), Verdict::Close, Some(upstream)) => {
                self.given_up(&entry, fence, (upstream, &decision)).await?
            }
            _ => Marks::default(),
        };
        let frozen = fence.as_ref().and_then(|fence| fence.freeze(UpstreamNumber(0)));
        let marked = if frozen.is_some() { gone } else { Marks::default() };
        let change = |job: &mut Job| match job.decide(decision, mark) {
            Ok(()) => (Ok(job.clone()), marked),
            Err(error) => (Err(error), Marks::default()),
        };
        let changed = self.shared.ledger.change_locked(&guard, id, now, By::Anyone, change).await;
        drop(frozen);
        if matches!((&changed, verdict), (Err(StoreError::Broken), Verdict::Approve)) {
            self.resolve_later(Doubt::Approved, id, fence);
            return Err(Problem::Unconfirmed);
        }
        let job = changed?.ok_or(Problem::NotFound)?.map_err(Problem::Undecidable)?;
        if verdict == Verdict::Approve {
            self.keep_fences(id, fence.into_iter().collect());
        }
        if job.is_over() {
            self.shared.fences.lock().remove(&id);
        }
        if !job.awaiting_approval || job.is_over() {
            self.shared.unapproved.decided(id);
        }
        drop(guard);
        self.told_decision(&job, verdict);
        self.shared.schedule.wake(id, now.moment);
        Ok(View::of(&job, self.now(), &self.held_of(&entry)))
    }

    /// The rows at an upstream that is given up, behind a fence: later erasures do not go there for them. Where something
    /// is on its way there is new data, and they stay.
    async fn given_up(
        &self,
        entry: &Entry,
        fence: &Arc<Fence>,
        (upstream, decision): (UpstreamNumber, &Decision),
    ) -> Result<Marks, StoreError> {
        let Some(customer) = self.shared.ledger.customer(entry)? else { return Ok(Marks::default()) };
        let closable = |target: &&Target| decision.is_about(&target.key) && target.is_for_a_person();
        let keys: Vec<_> = entry.job.targets.iter().filter(closable).map(|target| target.key).collect();
        let reaches = self.reaches(&self.settings(), &customer).await?;
        let rows = self.fenced_rows(&customer, std::slice::from_ref(fence)).await?;
        let drain = fence.drained(upstream, Covered::ALL, std::time::Duration::ZERO).await;
        // What it has passed on since the delete there is nowhere else in the index.
        let alone = !self.settings().passes_on(upstream);
        let quiet = alone && drain.until.is_none() && !drain.newer && self.lost_until(&rows, upstream).is_none();
        if !quiet {
            return Ok(Marks::default());
        }
        let needs = self.needs(&rows, &reaches);
        let gone: BTreeSet<_> = keys.iter().flat_map(|key| needs.marks(*key, |key| keys.contains(&key))).collect();
        Ok(Marks::of(gone.into_iter().collect(), &rows))
    }

    async fn set_hold(&self, tag: Tag, tags: Tags, decision: Decision) -> Result<Uuid, Problem> {
        let id = (self.shared.surroundings.new_id)();
        let hold = Hold::new(decision.upstream, decision.at, decision.by.clone(), decision.note.clone());
        match self.shared.holds.set(id, tag, hold).await {
            // It counts where deletes are sent: at every gate.
            Ok(true) => self.shared.replicas.tell_of_holds().await.map_err(|_| Problem::Unconfirmed)?,
            Ok(false) => return Err(Problem::TooManyHolds),
            Err(error) => {
                return Err(self.hold_in_doubt(id, tags, decision, error));
            }
        }
        self.told_of_holds(&tags, &decision).await;
        Ok(id)
    }

    async fn lift_hold(&self, id: Uuid, tags: &Tags, decision: &Decision) -> Result<(), Problem> {
        let lifted = self.shared.holds.lift(id).await;
        lifted.map_err(|error| self.hold_in_doubt(id, tags.clone(), decision.clone(), error))?;
        // Where they are not told they go on holding, until they look again.
        self.shared.replicas.tell_of_holds().await.ok();
        Ok(())
    }

    /// The customer's unfinished erasures keep the decision, and are looked at again. It is in force whether that can be
    /// recorded or not.
    pub(super) async fn told_of_holds(&self, tags: &Tags, decision: &Decision) {
        if let Err(error) = self.noted_by_all(tags, decision).await {
            report::warn("an erasure could not note a decision about legal holds, which is in force", &error);
        }
    }

    async fn noted_by_all(&self, tags: &Tags, decision: &Decision) -> Result<(), StoreError> {
        for entry in self.shared.ledger.unfinished_of(tags).await? {
            let (id, now) = (entry.job.id, self.now());
            let change = |job: &mut Job| (job.decide(decision.clone(), None), Marks::default());
            let noted = self.shared.ledger.change_anyones(id, now, change).await;
            if self.held_of(&entry).everywhere {
                // Nothing will be sent: the customer is let in.
                self.shared.fences.lock().remove(&id);
            }
            self.shared.schedule.wake(id, now.moment);
            if let Some(Ok(())) = noted? {
                self.told_decision(&entry.job, decision.verdict);
            }
        }
        Ok(())
    }

    /// The names under which this erasure's customer may be on hold.
    pub(super) fn hold_tags(&self, entry: &Entry) -> Tags {
        let customer = self.shared.ledger.customer(entry).ok().flatten();
        customer.map_or_else(|| Tags::from_slice(&[entry.tag]), |customer| self.shared.holds.tags(&customer))
    }

    /// Where this erasure's customer is on hold.
    pub(super) fn held_of(&self, entry: &Entry) -> OnHold {
        if self.shared.holds.are_none() { OnHold::default() } else { self.shared.holds.of(&self.hold_tags(entry)) }
    }

    /// Puts a customer on legal hold, whether an erasure was asked for or not.
    ///
    /// # Errors
    /// `UnknownUpstream`, `TooManyHolds`, `Unconfirmed` (then it holds until it is known) or `Store`.
    pub async fn hold(&self, customer: &CustomerId, decided: Decided) -> Result<HoldView, Problem> {
        let (eraser, customer) = (self.clone(), customer.clone());
        self.seen_through(async move { eraser.put_on_hold(&customer, decided).await }).await
    }

    async fn put_on_hold(&self, customer: &CustomerId, decided: Decided) -> Result<HoldView, Problem> {
        let name = decided.upstream;
        let known = self.shared.index.upstreams().await?;
        let number = |name: &String| known.iter().find(|known| known.name == *name).map(|known| known.number);
        let upstream = name.as_ref().map(|name| number(name).ok_or(Problem::UnknownUpstream)).transpose()?;
        let at = self.now().wall;
        let (by, reason) = (decided.by.clone(), decided.note.clone());
        let decision =
            Decision { at, verdict: Verdict::Hold, by: decided.by, note: decided.note, upstream, targets: Vec::new() };
        let tags = self.shared.holds.tags(customer);
        let id = self.set_hold(self.shared.holds.tag(customer), tags, decision).await?;
        Ok(HoldView { id, upstream: name, since: at, by, reason })
    }

    /// Takes a hold off.
    ///
    /// # Errors
    /// `NotFound`, `Unconfirmed` (then it holds until it is known) or `Store`.
    pub async fn unhold(&self, id: Uuid, by: String) -> Result<(), Problem> {
        let (tag, upstream) = self.shared.holds.one(id).ok_or(Problem::NotFound)?;
        let tags = Tags::from_slice(&[tag]);
        let (at, verdict, note, targets) = (self.now().wall, Verdict::Unhold, String::new(), Vec::new());
        let decision = Decision { at, verdict, by, note, upstream, targets };
        let eraser = self.clone();
        let lifting = async move {
            eraser.lift_hold(id, &tags, &decision).await?;
            eraser.told_of_holds(&tags, &decision).await;
            Ok(())
        };
        self.seen_through(lifting).await
    }

    /// A page of holds in the order of their IDs.
    ///
    /// # Errors
    /// `Store`.
    pub async fn holds(&self, cursor: Option<Uuid>, limit: usize) -> Result<HoldList, Problem> {
        let known = self.shared.index.upstreams().await?;
        let name = |number: UpstreamNumber| {
            let found = known.iter().find(|known| known.number == number).map(|known| known.name.clone());
            found.unwrap_or_else(|| format!("upstream {}", number.0))
        };
        let page = self.shared.holds.page(cursor, limit);
        let next = page.last().map(|(id, _)| *id).filter(|_| page.len() == limit);
        let view = |(id, hold): (Uuid, Hold)| HoldView {
            id,
            upstream: hold.upstream.map(name),
            since: hold.at,
            by: hold.by,
            reason: hold.reason,
        };
        Ok(HoldList { holds: page.into_iter().map(view).collect(), next })
    }
}
