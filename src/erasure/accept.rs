//! Acceptance: from this on the erasure survives everything (P5), and what the customer sends afterwards is new (P4).
//!
//! The fence stands before the job is durable, and the job is durable before anyone gets an answer. A customer has one
//! erasure at a time: what is asked for meanwhile joins it, under a name of its own. A name is one request's, whosever: what
//! looks whether it is taken and what takes it are one step in the store, and here one at a time.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::Eraser;
use super::body::Note;
use super::doubt::Doubt;
use super::job_repository::Entry;
use super::send::Carried;
use crate::domain::erasure::{Addressed, Intent, Job, Mark, NewJob, Probe, Scope, Undecidable};
use crate::domain::{CustomerId, Tag, UnixSeconds, UpstreamNumber};
use crate::inflight::{Frozen, QuiescenceProbe};
use crate::replicas::Fence;
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
    /// As many requests have joined this customer's erasure as are kept until it has got on.
    #[error("as many requests for this customer wait as are kept: ask again when the erasure has got on")]
    Crowded,
    /// As many legal holds are set as may be.
    #[error("there are as many legal holds as can be kept")]
    TooManyHolds,
    /// The store did not say that a decision was written: it may have been.
    #[error("the store has not confirmed it yet, and nothing is sent for this customer until it is known: look again")]
    Unconfirmed,
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
    pub(super) probe: Option<(Probe, Option<QuiescenceProbe>)>,
    /// The caller's own call.
    pub(super) carried: Option<Carried>,
    pub(super) submitted: Option<UnixSeconds>,
    pub(super) reason: Option<String>,
    /// Whether a person must approve it. Where nothing is said, what begins a job above the rate must be.
    pub(super) above: Option<bool>,
}

/// So many requests that reach in different ways are kept with one erasure until its targets are planned: it is written as a
/// whole with each.
const INTENTS_MAX: usize = 256;

/// What was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The request's own name: new with each, whatever was asked before (P10). The erasure's, where that has as many as it may.
    pub(super) request: Uuid,
    /// The erasure that covers it, as it was accepted: it need not be read again to be shown.
    pub(super) job: Job,
}

/// A fence that stands while the acceptance is being made durable, however long that takes.
struct Raised(Option<Arc<Fence>>);

impl Raised {
    fn frozen(&self) -> Option<Frozen<'_>> {
        self.0.as_ref().and_then(|fence| fence.freeze(ANYWHERE))
    }
}

/// A fence that was raised everywhere stands at whatever upstream.
const ANYWHERE: UpstreamNumber = UpstreamNumber(0);

impl Eraser {
    /// Accepts an erasure: when this returns, it is durable and the customer is fenced, unless a person must approve it.
    pub(super) async fn accept(&self, asked: Asked) -> Result<Accepted, Problem> {
        let shared = &self.shared;
        let tags = shared.keys.tags_all_epochs(&asked.customer);
        let tag = shared.keys.tag(&asked.customer);
        let _alone = shared.customers.lock(tag).await;
        let request = asked.id.unwrap_or_else(&*shared.surroundings.new_id);
        let _one_of_this_name = shared.requests.lock(request).await;
        let doubted = |id: Uuid| shared.doubts.lock().contains(&id);
        if asked.id.is_some() {
            if doubted(request) {
                return Err(Problem::Store(StoreError::Broken));
            }
            if let Some(first) = shared.ledger.load(request).await? {
                return match tags.contains(&first.tag) {
                    false => Err(Problem::OtherCustomer),
                    // Its requester was told that it was not accepted, and asks again.
                    true if first.job.is_withdrawn() => {
                        let above = asked.above.unwrap_or_else(|| self.is_above(&[]));
                        let job = self.begin(request, asked, tag, above, true).await?;
                        shared.schedule.wake(job.id, self.now().moment);
                        Ok(Accepted { request, job })
                    }
                    true => Ok(Accepted { request, job: first.job }),
                };
            }
        }
        // What another gate works on goes on for itself: both keep the customer out for as long as they need.
        let running = shared.ledger.ours(shared.ledger.unfinished_of(&tags).await?).await?;
        // What may yet be withdrawn must not carry another request with it.
        if running.iter().any(|entry| doubted(entry.job.id)) {
            return Err(Problem::Store(StoreError::Broken));
        }
        let above = asked.above.unwrap_or_else(|| self.is_above(&running));
        let fits = |entry: &Entry| entry.job.awaiting_approval == above;
        let accepted = match running.into_iter().find(fits) {
            Some(entry) => self.join(entry.job.id, request, asked, tag, above).await?,
            None => Accepted { request, job: self.begin(request, asked, tag, above, false).await? },
        };
        shared.schedule.wake(accepted.job.id, self.now().moment);
        Ok(accepted)
    }

    /// Whether what begins a new erasure, beside these, has to wait for approval.
    fn is_above(&self, running: &[Entry]) -> bool {
        let per_minute = self.settings().erasure.erasures_per_minute;
        let begins = !running.iter().any(|entry| entry.job.is_active());
        begins && !self.shared.rate.has_room(per_minute, Instant::now())
    }

    /// The fence of an acceptance, which stands at all gates when this returns, unless nothing is to be sent for now.
    async fn raise(&self, tag: Tag, raises: bool) -> Result<(Raised, Option<Mark>), StoreError> {
        if !raises {
            return Ok((Raised(None), None));
        }
        let life = self.settings().erasure.barrier_timeout;
        let fence = Arc::new(self.shared.replicas.fence(tag, None, life));
        fence.everywhere().await?;
        let mark = self.mark_of(&fence);
        Ok((Raised(Some(fence)), Some(mark)))
    }

    /// `anew`: in place of one of this name that was withdrawn.
    async fn begin(&self, id: Uuid, mut asked: Asked, tag: Tag, above: bool, anew: bool) -> Result<Job, Problem> {
        let _guard = self.shared.ledger.lock(id).await;
        let held = self.shared.holds.of(&self.shared.holds.tags(&asked.customer));
        let (raised, mark) = self.raise(tag, !above).await?;
        let frozen = raised.frozen();
        let settings = self.settings();
        let now = self.now();
        let new = NewJob {
            id,
            submitted: asked.submitted,
            deadline: settings.erasure.deadline.as_secs(),
            reason: asked.reason.take(),
            intent: self.intent(&mut asked, !above && !held.everywhere),
            mark,
            awaiting_approval: above,
        };
        let job = Job::new(new, now.wall);
        let created = self.shared.ledger.create(job.clone(), tag, &asked.customer, now, anew).await;
        drop(frozen);
        match created {
            Ok(true) => {}
            Ok(false) => return Err(Problem::OtherCustomer),
            Err(error) => return Err(self.doubtful(Doubt::Created, id, raised, error)),
        }
        if !above {
            self.shared.rate.count(settings.erasure.erasures_per_minute, Instant::now());
        }
        self.keep(id, raised.0.filter(|_| !held.everywhere), asked.carried);
        self.shared.registry.erasures().accepted();
        events::ErasureAccepted { erasure: id, awaiting_approval: above }.emit();
        Ok(job)
    }

    async fn join(
        &self,
        id: Uuid,
        request: Uuid,
        mut asked: Asked,
        tag: Tag,
        above: bool,
    ) -> Result<Accepted, Problem> {
        let guard = self.shared.ledger.lock(id).await;
        let entry = self.shared.ledger.load(id).await?.filter(|entry| !entry.job.is_over());
        // A person may have decided meanwhile: what would have joined another kind of erasure begins one of its own.
        let Some(entry) = entry.filter(|entry| entry.job.awaiting_approval == above) else {
            drop(guard);
            let job = self.begin(request, asked, tag, above, false).await?;
            return Ok(Accepted { request, job });
        };
        let names_its_own = !self.shared.names.are_full(id);
        if !names_its_own && asked.id.is_some() {
            return Err(Problem::Crowded);
        }
        if asked.above == Some(true) {
            self.shared.unapproved.joined(id);
        }
        let held = self.shared.holds.of(&self.shared.holds.tags(&asked.customer));
        let (raised, mark) = self.raise(tag, entry.job.is_active()).await?;
        let frozen = raised.frozen();
        let intent = Intent { mark, ..self.intent(&mut asked, entry.job.is_active() && !held.everywhere) };
        let now = self.now();
        let note = Note { received: now.wall, submitted: asked.submitted, reason: asked.reason.take() };
        let passed_on = match &intent.scope {
            Scope::Only(chosen) => self.settings().passed_on_from(chosen),
            Scope::All | Scope::Among(_) => Vec::new(),
        };
        let mut job = entry.job.clone();
        job.join(intent, now.wall);
        job.reaches_also(&passed_on, now.wall);
        if job.intents.len() > INTENTS_MAX {
            return Err(Problem::Crowded);
        }
        let change = |stored: &mut Job| stored.clone_from(&job);
        let own = names_its_own.then_some((request, note));
        let joined = self.shared.ledger.join(&guard, entry, own, now, change).await;
        drop(frozen);
        match joined {
            Ok(true) => {}
            Ok(false) => return Err(Problem::OtherCustomer),
            Err(error) => return Err(self.doubtful(Doubt::Joined, id, raised, error)),
        }
        if names_its_own {
            self.shared.names.given(id);
        }
        self.keep(id, raised.0.filter(|_| !held.everywhere), asked.carried);
        Ok(Accepted { request: if names_its_own { request } else { id }, job })
    }

    /// The store did not say that it was written. It may be there all the same: nothing of it runs before that is known,
    /// and the fence stands until then.
    fn doubtful(&self, doubt: Doubt, id: Uuid, raised: Raised, error: StoreError) -> Problem {
        if matches!(error, StoreError::Broken) {
            self.resolve_later(doubt, id, raised.0);
        }
        Problem::Store(error)
    }

    /// What is asked for. The probe counts as the delete there only if nothing of this customer was on its way while it
    /// was; that is looked at now, when the fence stands. What was on its way at other gates nobody has watched.
    fn intent(&self, asked: &mut Asked, fenced: bool) -> Intent {
        let mut addressed = asked.addressed.take();
        if let (Some(addressed), Some((probe, watch))) = (&mut addressed, asked.probe.take()) {
            addressed.probed = true;
            let passed_to = self.settings().is_passed_to(addressed.upstream);
            let fenced = fenced && !self.shared.replicas.may_have_others();
            addressed.probe = (fenced && watch.is_some_and(|watch| watch.quiet()) && !passed_to).then_some(probe);
        }
        Intent { scope: asked.scope.clone(), addressed, mark: None }
    }

    /// The fence and the caller's call wait for the worker; whoever holds the job's lock sees job and fences as one.
    fn keep(&self, id: Uuid, raised: Option<Arc<Fence>>, carried: Option<Carried>) {
        self.keep_fences(id, raised.into_iter().collect());
        if let Some(call) = carried {
            self.carry(id, call);
        }
    }
}
