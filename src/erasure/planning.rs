//! From what was asked for to targets: read behind a fence, which is then narrowed to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use super::Eraser;
use super::attempt::{Fences, Needs, came_back, narrow, with_passers};
use super::job_repository::{Entry, Marks};
use crate::domain::erasure::{
    Held, Intent, Job, Later, Mark, Moment, OnHold, Outcome, Reach, Target, TargetKey, TargetState, Verdict, plan,
};
use crate::domain::{CustomerId, UpstreamNumber};
use crate::inflight::{Frozen, Generation};
use crate::replicas::Fence;
use crate::store::{Row, StoreError};

/// A probe that counts, as the outcome of an attempt at that target; and whether its rows may be marked.
struct Probed {
    key: TargetKey,
    outcome: Outcome,
    markable: bool,
    mark: Option<Mark>,
    /// Until then an earlier caller's own delete may be carried out that was not answered.
    unanswered: Option<Moment>,
}

impl Probed {
    /// What may still be carried out there is noted, so that this one does not count alone.
    fn reckons_with_earlier(&self, job: &mut Job) {
        if let Some(until) = self.unanswered {
            job.unanswered(self.key, until);
        }
    }
}

impl Eraser {
    /// Reads the targets behind the fence, and narrows it to them.
    pub(super) async fn plan(&self, entry: &Entry, fences: &mut Fences, topology: u64) -> Result<(), StoreError> {
        let Some(customer) = self.shared.ledger.customer(entry)? else { return Ok(()) };
        let settings = self.settings();
        let was_fenced = !fences.is_empty();
        if !was_fenced {
            let tag = self.shared.keys.tag(&customer);
            let life = settings.erasure.barrier_timeout;
            fences.push(Arc::new(self.shared.replicas.fence(tag, None, life)));
        }
        let rows = self.fenced_rows(&customer, fences).await?;
        let unanswered = self.probes_before(&entry.job.intents, &customer).await;
        let reaches = self.reaches(&settings, &customer).await?;
        let needs = self.needs(&rows, &reaches);
        let intents = &entry.job.intents;
        let (mut went, until) = (entry.job.clone(), self.ends_unseen_until());
        went.renamed(&reaches, until);
        let known: Vec<Held> = needs.held().into_iter().chain(went.went_to()).collect();
        let targets = plan(intents, &reaches, &known);
        let (on_hold, now) = (self.held_of(entry), self.now());
        let (probes, frozen) = self.probes((intents, &reaches, &unanswered), &rows, fences);
        let unbroken = was_fenced && stands(fences, &rows, entry.accepted);
        let decided = |verdict| entry.job.decisions.iter().any(|decision| decision.verdict == verdict);
        let later = if decided(Verdict::Unhold) { Later::Decision } else { Later::FenceEnded };
        let change = |job: &mut Job| {
            if !job.is_active() {
                return (BTreeSet::new(), Marks::default());
            }
            job.renamed(&reaches, until);
            let known = job.targets.len();
            if entry.job.topology != 0 && entry.job.topology != topology {
                // Another may pass IDs on to these since their deletes were accepted.
                job.asked_anew(&passed_to(&reaches), now.wall);
            }
            job.planned(intents, targets, topology);
            if decided(Verdict::Approve) {
                job.decided_later(known);
            }
            probes.iter().for_each(|probe| probe.reckons_with_earlier(job));
            let mut counts = |probe: &&Probed| job.probe_counts(probe.key, probe.outcome.clone(), now);
            let counting: Vec<&Probed> = probes.iter().filter(|probe| counts(probe)).collect();
            let as_planned = self.settings().topology() == topology;
            let followed = |probe: &Probed| as_planned && settings.goes_on_from(probe.key, job, probe.mark);
            let marked = marked(&counting, (&needs, &rows), followed);
            if !unbroken {
                job.unfence_pending(later);
            }
            let fenced = to_be_fenced(job, &on_hold);
            let waits = |target: &Target| is_first(target) && target.state == TargetState::Pending;
            let first = |target: &&Target| fenced.contains(&target.key.upstream) && waits(target);
            let keys: Vec<TargetKey> = job.targets.iter().filter(first).map(|target| target.key).collect();
            job.progress(&keys, TargetState::Fenced);
            (fenced, marked)
        };
        let changed = self.shared.ledger.change(entry.job.id, now, change).await;
        drop(frozen);
        let fenced = changed?.unwrap_or_default();
        self.told_probes(probes.iter().map(|probe| &probe.outcome));
        narrow_to(fences, &fenced, &reaches);
        Ok(())
    }

    /// Waits for callers' own deletes of this customer that are under way at the homes of probes that may count. Gives until when
    /// some that were not answered may be carried out.
    async fn probes_before(&self, intents: &[Intent], customer: &CustomerId) -> BTreeMap<UpstreamNumber, Moment> {
        let (tag, limit) = (self.shared.keys.tag(customer), self.settings().erasure.barrier_timeout / 4);
        let homes: BTreeSet<_> =
            intents.iter().filter_map(|intent| intent.probed()).map(|(addressed, _)| addressed.upstream).collect();
        let over = homes
            .into_iter()
            .map(async |at| Some((at, self.home_probes_over((tag, at), Generation::LAST, limit).await?)));
        join_all(over).await.into_iter().flatten().collect()
    }

    /// The probes that count. Rows are marked under a fence that has stood since the acceptance, and stands on until that is
    /// durable. Where none has, the customer may have been let in since: that is nobody's delete if another request came after.
    fn probes<'a>(
        &self,
        (intents, reaches, unanswered): (&[Intent], &[Reach], &BTreeMap<UpstreamNumber, Moment>),
        rows: &[Row],
        fences: &'a Fences,
    ) -> (Vec<Probed>, Vec<Frozen<'a>>) {
        let (mut probes, mut frozen) = (Vec::new(), Vec::new());
        for intent in intents {
            let Some((addressed, probe)) = intent.probed() else { continue };
            let upstream = addressed.upstream;
            let reach = reaches.iter().find(|reach| reach.number == upstream);
            let Some((key, _)) = reach.and_then(|reach| reach.probed(addressed)) else { continue };
            let straggling = self.lost_until(rows, upstream, true);
            let unanswered = unanswered.get(&upstream).copied();
            let stands = fences.iter().filter(|fence| self.is_since(fence, intent.mark));
            let stands = stands.into_iter().find_map(|fence| fence.freeze(upstream));
            if stands.is_none() && intents.len() > 1 {
                continue;
            }
            let markable = straggling.max(unanswered).is_none() && stands.is_some();
            frozen.extend(stands);
            let outcome = Outcome::Accepted { evidence: probe.evidence.clone(), straggling };
            probes.push(Probed { key, outcome, markable, mark: intent.mark, unanswered });
        }
        (probes, frozen)
    }

    /// Whether this fence was there when the request of this mark was accepted.
    fn is_since(&self, fence: &Fence, mark: Option<Mark>) -> bool {
        let ours = mark.filter(|mark| mark.run == self.shared.run.name);
        ours.is_some_and(|mark| fence.generation().0 <= mark.generation)
    }
}

/// Whether one of these fences has stood everywhere since the request.
fn stands(fences: &Fences, rows: &[Row], accepted: u64) -> bool {
    let came_back = came_back(rows, |_| true, accepted);
    let stands = |fence: &&Arc<Fence>| fence.freeze(UpstreamNumber(0)).is_some();
    fences.iter().filter(stands).any(|fence| !(came_back && fence.is_from_start()))
}

/// The rows of which nothing is left after these probes.
fn marked(probes: &[&Probed], (needs, read): (&Needs, &[Row]), is_followed: impl Fn(&Probed) -> bool) -> Marks {
    let counts = |probe: &&&Probed| probe.markable && is_followed(probe);
    let counting: Vec<_> = probes.iter().filter(counts).map(|probe| probe.key).collect();
    let rows = counting.iter().flat_map(|key| needs.marks(*key, |other| counting.contains(&other)));
    Marks::of(rows.collect::<BTreeSet<_>>().into_iter().collect(), read)
}

/// Nobody is kept out because of an upstream that is no target. Fences that were added meanwhile, by another request, are
/// not among these.
fn narrow_to(fences: &mut Fences, fenced: &BTreeSet<UpstreamNumber>, reaches: &[Reach]) {
    if fenced.is_empty() {
        fences.clear();
    } else {
        narrow(fences, &with_passers(fenced, reaches));
    }
}

/// The upstreams to which another passes IDs on.
fn passed_to(reaches: &[Reach]) -> Vec<UpstreamNumber> {
    reaches.iter().flat_map(|reach| reach.passes_to.iter().copied()).collect()
}

fn is_first(target: &Target) -> bool {
    !target.unfenced && target.attempt_at() == Some(Moment(0))
}

/// The upstreams at which the first attempt is still to come.
pub(super) fn to_be_fenced(job: &Job, held: &OnHold) -> BTreeSet<UpstreamNumber> {
    let first = job.targets.iter().filter(|target| is_first(target) && !held.is_at(target.key.upstream));
    first.map(|target| target.key.upstream).collect()
}
