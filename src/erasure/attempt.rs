//! One attempt at the targets whose turn has come: fence, drain, delete, lift, each upstream for itself.
//!
//! Turn and credentials are there before anybody is kept out. What one upstream passes on to another is deleted at the
//! other only after the first has drained, and the first opens again only after the other's delete was sent: else new
//! data could be passed on and be swept away. See docs/decisions/027-failed-attempts.md.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::Eraser;
use super::job_repository::{Entry, Marks};
use super::send::Pass;
use super::settings::{Settings, held};
use super::worker::LegPlace;
use crate::domain::erasure::{Held, Job, Mark, Moment, Reach, TargetKey, TargetState, passers, plan_at};
use crate::domain::{CustomerId, PairKey, Tag, UpstreamNumber};
use crate::inflight::{Fence, Generation};
use crate::store::{Row, StoreError};

/// Fences of one erasure that are passed on from step to step.
pub(super) type Fences = Vec<Arc<Fence>>;

/// What all upstreams of one attempt share.
pub(super) struct Round {
    pub(super) eraser: Eraser,
    pub(super) id: Uuid,
    pub(super) tag: Tag,
    pub(super) customer: CustomerId,
    /// The number of the store's write that made the erasure.
    pub(super) accepted: u64,
    pub(super) settings: Arc<Settings>,
    pub(super) reaches: Vec<Reach>,
    /// Fences of the acceptance, which are given up here; and those that single upstreams have raised since.
    fences: Mutex<Fences>,
    own: Mutex<Vec<(UpstreamNumber, Arc<Fence>)>>,
    /// The upstreams whose deletes are still to come, and those whose requests are kept out for them.
    open: Mutex<BTreeSet<UpstreamNumber>>,
    involved: BTreeSet<UpstreamNumber>,
}

/// One upstream at which deletes may go out now, and for which targets.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) upstream: UpstreamNumber,
    pub(super) keys: Vec<TargetKey>,
    /// What entered before this is covered at these.
    pub(super) before: Generation,
    /// Given back when the attempt there ends.
    pub(super) place: LegPlace,
}

impl Eraser {
    /// Begins the attempt, on tasks of its own. Each leg gives its turn back when it ends. With an error nothing has begun,
    /// and the fences are the caller's as before.
    pub(super) async fn attempt(
        &self,
        entry: &Entry,
        granted: Vec<Granted>,
        fences: &mut Fences,
    ) -> Result<(), StoreError> {
        let Some(round) = self.prepare(entry, &granted, fences).await?.map(Arc::new) else { return Ok(()) };
        for granted in granted {
            self.run_leg(Arc::clone(&round), granted);
        }
        Ok(())
    }

    async fn prepare(
        &self,
        entry: &Entry,
        granted: &[Granted],
        fences: &mut Fences,
    ) -> Result<Option<Round>, StoreError> {
        let Some(customer) = self.shared.ledger.customer(entry)? else { return Ok(None) };
        let settings = self.settings();
        let reaches = self.reaches(&settings, &customer).await?;
        let open: BTreeSet<UpstreamNumber> = granted.iter().map(|granted| granted.upstream).collect();
        let involved = with_passers(&open, &reaches);
        narrow(fences, &involved);
        Ok(Some(Round {
            eraser: self.clone(),
            id: entry.job.id,
            tag: self.shared.keys.tag(&customer),
            customer,
            accepted: entry.accepted,
            settings,
            reaches,
            fences: Mutex::new(std::mem::take(fences)),
            own: Mutex::default(),
            open: Mutex::new(open),
            involved,
        }))
    }

    /// What planning must know of all upstreams, for this customer.
    pub(super) async fn reaches(&self, settings: &Settings, customer: &CustomerId) -> Result<Vec<Reach>, StoreError> {
        let (upstreams, seen) = (self.shared.index.upstreams().await?, self.shared.index.instances().await?);
        Ok(settings.reaches(customer, &upstreams, &seen))
    }

    /// What each of these rows stands for.
    pub(super) fn needs(&self, rows: &[Row], reaches: &[Reach]) -> Needs {
        Needs::of(held(&self.shared.keys, rows, reaches), reaches)
    }

    /// The customer's rows, read when all that had entered before these fences have recorded. Rows that are marked erased
    /// are left out: nothing has been sent since.
    pub(super) async fn fenced_rows(
        &self,
        customer: &CustomerId,
        fences: &[Arc<Fence>],
    ) -> Result<Vec<Row>, StoreError> {
        for fence in fences {
            fence.recorded().await;
        }
        let tags = self.shared.keys.tags_all_epochs(customer);
        let rows = self.shared.index.rows(&tags, customer).await?;
        Ok(rows.into_iter().filter(|row| row.erased_at.is_none()).collect())
    }

    /// What the run before this one had on its way there may still arrive until then. That is this run's own clock.
    pub(super) fn lost_until(&self, rows: &[Row], upstream: UpstreamNumber) -> Option<Moment> {
        let until = self.shared.run.begun.after(self.settings().response_timeout.as_secs() + 1);
        let there = rows.iter().any(|row| row.key.upstream == upstream);
        (self.shared.cut_before && there && self.now().moment < until).then_some(until)
    }
}

/// Whether a request to one of these upstreams was recorded since the write that made an erasure. Where a fence was raised at a
/// start, nobody else can tell whether the customer was let in before the run before ended. No clock decides it: the store's
/// writes have an order. Where that is not known, the customer is taken to have been back.
pub(super) fn came_back(rows: &[Row], at: impl Fn(UpstreamNumber) -> bool, accepted: u64) -> bool {
    accepted == 0 || rows.iter().any(|row| at(row.key.upstream) && row.written > accepted)
}

/// These upstreams and all that pass IDs on to them.
pub(super) fn with_passers(upstreams: &BTreeSet<UpstreamNumber>, reaches: &[Reach]) -> BTreeSet<UpstreamNumber> {
    upstreams.iter().flat_map(|upstream| passers(reaches, *upstream)).chain(upstreams.iter().copied()).collect()
}

pub(super) fn narrow(fences: &[Arc<Fence>], upstreams: &BTreeSet<UpstreamNumber>) {
    let list: Vec<UpstreamNumber> = upstreams.iter().copied().collect();
    for fence in fences {
        fence.narrow(&list);
    }
}

impl Round {
    /// The upstream and those that pass IDs on to it.
    pub(super) fn around(&self, upstream: UpstreamNumber) -> Vec<UpstreamNumber> {
        passers(&self.reaches, upstream).into_iter().chain([upstream]).collect()
    }

    /// The fences that have stood around this upstream until now, else a new one. With an error the customer's requests are
    /// kept out there for something else: a new one may come when everybody who waits has been let in. It says when to try
    /// again.
    pub(super) fn fences_around(&self, upstream: UpstreamNumber) -> Result<Fences, Instant> {
        let around = self.around(upstream);
        let shared = self.fences.lock().clone();
        let stands = |fence: &Arc<Fence>| around.iter().all(|upstream| fence.freeze(*upstream).is_some());
        let standing: Fences = shared.into_iter().filter(stands).collect();
        if !standing.is_empty() {
            return Ok(standing);
        }
        let life = self.settings.erasure.barrier_timeout;
        let fence = Arc::new(self.eraser.shared.inflight.fence_where_let_in(self.tag, around, life)?);
        self.own.lock().push((upstream, Arc::clone(&fence)));
        Ok(vec![fence])
    }

    /// The leg there ended badly, and nobody is let in by that: what stands around it goes on for the next attempt, as
    /// fences of its own. Those of the acceptance go on for the others.
    pub(super) fn handed_over(&self, upstream: UpstreamNumber) -> Fences {
        let around = self.around(upstream);
        let own: Fences = self.own.lock().extract_if(.., |(at, _)| *at == upstream).map(|(_, fence)| fence).collect();
        let shared = self.fences.lock().clone();
        let twins = shared.iter().filter_map(|fence| fence.twin(&around)).map(Arc::new);
        let handed_over = twins.chain(own).collect();
        self.ended(upstream);
        handed_over
    }

    /// Notes that the targets there are draining. They are read again: a person may have decided something meanwhile, and
    /// the customer may be known there in another form by now.
    pub(super) async fn begin(
        &self,
        upstream: UpstreamNumber,
        keys: &[TargetKey],
        covered: Mark,
        needs: &Needs,
    ) -> Result<Vec<TargetKey>, StoreError> {
        let now = self.eraser.now();
        let mut more = plan_at(&[upstream], &self.reaches, &needs.held());
        more.iter_mut().for_each(|target| target.mark = Some(covered));
        let tags = self.eraser.shared.holds.tags(&self.customer);
        let change = |job: &mut Job| {
            if job.is_active() {
                job.extended(more);
            }
            let on_hold = self.eraser.shared.holds.of(&tags);
            let may = |key: &TargetKey| {
                let due = job.target(*key).is_some_and(|target| target.is_due(now.moment));
                job.is_active() && due && !on_hold.is_at(key.upstream)
            };
            let keys: Vec<TargetKey> = keys.iter().copied().filter(may).collect();
            let unrecorded = |key: &TargetKey| Some((*key, self.eraser.is_unrecorded(self.id, *key)?));
            keys.iter().filter_map(unrecorded).for_each(|(key, until)| job.unanswered(key, until));
            job.progress(&keys, TargetState::Draining);
            (keys, Marks::default())
        };
        Ok(self.eraser.shared.ledger.change(self.id, now, change).await?.unwrap_or_default())
    }

    /// The deletes there are over. Lets the customer in again wherever nothing waits any more.
    pub(super) fn ended(&self, upstream: UpstreamNumber) {
        self.own.lock().retain(|(at, _)| *at != upstream);
        let mut open = self.open.lock();
        open.remove(&upstream);
        let fences = self.fences.lock().clone();
        for each in &self.involved {
            let awaited = open.contains(each) || open.iter().any(|to| passers(&self.reaches, *to).contains(each));
            if !awaited {
                fences.iter().for_each(|fence| fence.lift(*each));
            }
        }
    }
}

/// With what the deletes of a leg go out, each to its instance.
pub(super) type Passes = BTreeMap<TargetKey, Pass>;

/// A customer's rows, and all that has to be accepted before nothing is left of what each stands for.
pub(super) struct Needs(Vec<(PairKey, Held, Vec<TargetKey>)>);

impl Needs {
    fn of(held: Vec<(PairKey, Held)>, reaches: &[Reach]) -> Self {
        let need = |(row, held): (PairKey, Held)| {
            let reach = reaches.iter().find(|reach| reach.number == held.upstream);
            let keys = reach.map(|reach| reach.needs(&held).into_iter().map(|(key, _)| key).collect());
            (row, held, keys.unwrap_or_default())
        };
        Self(held.into_iter().map(need).collect())
    }

    /// In the words of planning.
    pub(super) fn held(&self) -> Vec<Held> {
        self.0.iter().map(|(_, held, _)| held.clone()).collect()
    }

    /// The rows that a delete under this target covers, if `covered` says so of everything else that they need: a row may
    /// stand for several instances and several versions of the API.
    pub(super) fn marks(&self, key: TargetKey, covered: impl Fn(TargetKey) -> bool) -> Vec<PairKey> {
        let mut rows: BTreeMap<PairKey, BTreeSet<TargetKey>> = BTreeMap::new();
        self.0.iter().for_each(|(row, _, keys)| rows.entry(*row).or_default().extend(keys));
        let is_covered = |keys: &BTreeSet<TargetKey>| keys.contains(&key) && keys.iter().all(|key| covered(*key));
        rows.into_iter().filter(|(_, keys)| is_covered(keys)).map(|(row, _)| row).collect()
    }
}

/// Runs all of these and gives the first error, if there is one.
pub(super) async fn all<F: Future<Output = Result<(), StoreError>>>(
    futures: impl Iterator<Item = F>,
) -> Result<(), StoreError> {
    join_all(futures).await.into_iter().collect()
}
