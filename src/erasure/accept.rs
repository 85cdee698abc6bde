//! Acceptance: from this on the erasure survives everything (P5), and what the customer sends afterwards is new (P4).
//!
//! The fence stands before the job is durable, and the job is durable before anyone gets an answer. A customer has one
//! erasure at a time: what is asked for meanwhile attaches to it. An `id` is one request's, whosever: what looks whether
//! it is taken and what takes it are one step in the store, and here one at a time.

use tokio::time::Instant;
use uuid::Uuid;

use super::Eraser;
use super::ledger::{Entry, Guard, Marks};
use super::send::Carried;
use crate::barrier::{Fence, Watch};
use crate::domain::erasure::{Addressed, Intent, Job, Probe, Scope, Undecidable, reaches};
use crate::domain::{CustomerId, Tag, UnixSeconds};
use crate::store::StoreError;
use crate::telemetry::events;

/// Why an erasure was not accepted, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The same `id` was used for another customer.
    #[error("this id was used for the erasure of another customer")]
    OtherCustomer,
    /// There is none of this ID.
    #[error("there is no erasure of this id")]
    NotFound,
    /// There is no upstream of this name.
    #[error("there is no upstream of this name in the configuration")]
    UnknownUpstream,
    /// The decision does not fit.
    #[error("the erasure does not stand as this needs it")]
    Undecidable(#[source] Undecidable),
    /// The store did not take it; nothing was accepted.
    #[error("the store does not take it at the moment")]
    Store(#[source] StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One request for an erasure, authorised.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) customer: CustomerId,
    /// The requester's idempotency key.
    pub(super) id: Option<Uuid>,
    pub(super) scope: Scope,
    pub(super) addressed: Option<Addressed>,
    /// A probe that the addressed upstream answered with 2xx, and what watched over it, if the profile takes that answer
    /// for an accepted delete.
    pub(super) probe: Option<(Probe, Option<Watch>)>,
    /// The caller's own call.
    pub(super) carried: Option<Carried>,
    pub(super) submitted: Option<UnixSeconds>,
    pub(super) reason: Option<String>,
}

impl Eraser {
    /// Accepts an erasure: when this returns, it is durable and the customer is fenced, unless a person must approve it.
    pub(super) async fn accept(&self, asked: Asked) -> Result<Uuid, Problem> {
        let shared = &self.shared;
        let tags = shared.keys.tags_all_epochs(&asked.customer);
        let tag = shared.keys.tag(&asked.customer);
        let _alone = shared.customers.lock(tag).await;
        let _one_of_this_id = match asked.id {
            Some(id) => Some(shared.requests.lock(id).await),
            None => None,
        };
        if let Some(id) = asked.id
            && let Some(first) = shared.ledger.load(id).await?
        {
            return if tags.contains(&first.tag) { Ok(first.job.id) } else { Err(Problem::OtherCustomer) };
        }
        let above = !shared.rate.allows(self.settings().erasure.erasures_per_minute, Instant::now());
        let running = shared.ledger.unfinished_of(&tags).await?;
        let fits = |entry: &Entry| entry.job.awaiting_approval == above;
        let id = match running.into_iter().find(fits) {
            Some(entry) => self.join(entry.job.id, asked, tag).await?,
            None => self.begin(asked, tag, above).await?,
        };
        shared.schedule.wake(id, self.now());
        Ok(id)
    }

    async fn begin(&self, mut asked: Asked, tag: Tag, above: bool) -> Result<Uuid, Problem> {
        let id = asked.id.unwrap_or_else(&*self.shared.surroundings.new_id);
        let guard = self.shared.ledger.lock(id).await;
        let raised = (!above).then(|| self.shared.barrier.fence(tag));
        let intent = self.intent(&mut asked, !above);
        let deadline = self.settings().erasure.deadline.as_secs();
        let mut job = Job::new(id, self.now(), asked.submitted, deadline, intent);
        job.reason = asked.reason.take();
        job.awaiting_approval = above;
        if !self.shared.ledger.create(job, tag, &asked.customer).await? {
            return Err(Problem::OtherCustomer);
        }
        self.keep(&guard, id, raised, asked.carried);
        self.shared.registry.erasures().accepted();
        events::ErasureAccepted { erasure: id, awaiting_approval: above }.emit();
        Ok(id)
    }

    async fn join(&self, id: Uuid, mut asked: Asked, tag: Tag) -> Result<Uuid, Problem> {
        let guard = self.shared.ledger.lock(id).await;
        let Some(entry) = self.shared.ledger.load(id).await?.filter(|entry| !entry.job.is_over()) else {
            drop(guard);
            return self.begin(asked, tag, false).await;
        };
        let active = entry.job.is_active();
        let raised = active.then(|| self.shared.barrier.fence(tag));
        let intent = self.intent(&mut asked, active);
        let known = self.shared.index.upstreams().await?;
        let within = self.settings().reaches(&asked.customer, &known);
        let join =
            |job: &mut Job| (job.join(intent, |scope, upstream| reaches(scope, &within, upstream)), Marks::default());
        self.shared.ledger.change_locked(&guard, id, self.now(), join).await?;
        if let Some(own) = asked.id
            && !self.shared.ledger.attach(own, id, tag, self.now()).await?
        {
            return Err(Problem::OtherCustomer);
        }
        self.keep(&guard, id, raised, asked.carried);
        Ok(id)
    }

    /// What is asked for. The probe counts as the delete there only if nothing of this customer was on its way while it
    /// was; that is looked at now, when the fence stands.
    fn intent(&self, asked: &mut Asked, fenced: bool) -> Intent {
        let mut addressed = asked.addressed.take();
        if let (Some(addressed), Some((probe, watch))) = (&mut addressed, asked.probe.take()) {
            addressed.probed = true;
            let passed_to = self.settings().is_passed_to(addressed.upstream);
            addressed.probe = (fenced && watch.is_some_and(|watch| watch.quiet()) && !passed_to).then_some(probe);
        }
        Intent { scope: asked.scope.clone(), addressed, life: self.shared.started }
    }

    /// The fence and the caller's call wait for the worker; whoever holds the job's lock sees job and fences as one.
    fn keep(&self, _guard: &Guard, id: Uuid, raised: Option<Fence>, carried: Option<Carried>) {
        if let Some(fence) = raised {
            self.shared.fences.lock().entry(id).or_default().push(fence);
        }
        if let Some(call) = carried {
            self.carry(id, call);
        }
    }
}
