//! One attempt at the targets that are due: fence, drain, delete, lift, each upstream for itself.
//!
//! What one upstream passes on to another is deleted at the other only after the first has drained, and the first opens
//! again only after the other's delete was sent: else new data could be passed on and be swept away.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::{Entry, Marks};
use super::settings::{Settings, held};
use super::{Eraser, report};
use crate::barrier::{Drain, Fence};
use crate::domain::decide::text_of;
use crate::domain::erasure::{
    Fault, Job, Outcome, Reach, Step, Target, TargetKey, TargetState, next_step, passers, plan_at,
};
use crate::domain::{CustomerId, PairKey, UnixSeconds, UpstreamNumber};
use crate::store::{Row, StoreError};
use crate::upstream::Site;

/// Until when something that was cut may still arrive; `None` if nothing may.
type Straggling = Option<UnixSeconds>;

pub(super) struct Round<'a> {
    eraser: &'a Eraser,
    id: Uuid,
    customer: CustomerId,
    settings: Arc<Settings>,
    reaches: Vec<Reach>,
    rows: Vec<Row>,
    fences: &'a [Fence],
    /// The upstreams whose requests are kept out: those that are due, and those that pass IDs on to them.
    involved: BTreeSet<UpstreamNumber>,
    drains: HashMap<UpstreamNumber, OnceCell<Straggling>>,
    /// The upstreams whose deletes are still to come.
    open: Mutex<BTreeSet<UpstreamNumber>>,
}

impl Eraser {
    /// Makes the attempt. After this, what could be sent was sent and recorded, and the fences are lifted. With an error
    /// the fences still stand.
    pub(super) async fn attempt(
        &self,
        entry: &Entry,
        keys: &[TargetKey],
        fences: &mut Vec<Fence>,
    ) -> Result<(), StoreError> {
        let Some(customer) = self.shared.ledger.customer(entry)? else { return Ok(()) };
        let settings = self.settings();
        let reaches = settings.reaches(&customer, &self.shared.index.upstreams().await?);
        let due: BTreeSet<UpstreamNumber> = keys.iter().map(|key| key.upstream).collect();
        let involved = with_passers(&due, &reaches);
        let rows = self.fenced_rows(&customer, fences, Some(&involved)).await?;
        let drains = involved.iter().map(|upstream| (*upstream, OnceCell::new())).collect();
        let id = entry.job.id;
        let round = Round {
            eraser: self,
            id,
            customer,
            settings,
            reaches,
            rows,
            fences,
            involved,
            drains,
            open: Mutex::new(due),
        };
        round.run().await
    }

    /// The customer's rows, read when new requests are kept out and all that had entered have recorded. Raises a fence
    /// if there is none, and narrows it if it is known to what.
    pub(super) async fn fenced_rows(
        &self,
        customer: &CustomerId,
        fences: &mut Vec<Fence>,
        to: Option<&BTreeSet<UpstreamNumber>>,
    ) -> Result<Vec<Row>, StoreError> {
        if fences.is_empty() {
            fences.push(self.shared.barrier.fence(self.shared.keys.tag(customer)));
        }
        if let Some(upstreams) = to {
            narrow(fences, upstreams);
        }
        for fence in fences.iter() {
            fence.recorded().await;
        }
        let tags = self.shared.keys.tags_all_epochs(customer);
        self.shared.index.rows(&tags, customer).await
    }

    /// What the run before this one had on its way there may still arrive until then.
    pub(super) fn lost_until(
        &self,
        rows: &[Row],
        upstream: UpstreamNumber,
        life: UnixSeconds,
        at: UnixSeconds,
    ) -> Straggling {
        let until = UnixSeconds(life.0 + self.settings().response_timeout.as_secs() + 1);
        // In the second of a quick restart both lives write the same time.
        let from_before = |row: &Row| row.key.upstream == upstream && row.first_seen <= life;
        (self.shared.cut_before && at < until && rows.iter().any(from_before)).then_some(until)
    }
}

/// These upstreams and all that pass IDs on to them.
pub(super) fn with_passers(upstreams: &BTreeSet<UpstreamNumber>, reaches: &[Reach]) -> BTreeSet<UpstreamNumber> {
    upstreams.iter().flat_map(|upstream| passers(reaches, *upstream)).chain(upstreams.iter().copied()).collect()
}

pub(super) fn narrow(fences: &[Fence], upstreams: &BTreeSet<UpstreamNumber>) {
    let list: Vec<UpstreamNumber> = upstreams.iter().copied().collect();
    for fence in fences {
        fence.narrow(&list);
    }
}

impl Round<'_> {
    async fn run(self) -> Result<(), StoreError> {
        let keys = self.begin().await?;
        let due: Vec<UpstreamNumber> = self.open.lock().iter().copied().collect();
        let legs = due.into_iter().map(|upstream| {
            let own: Vec<TargetKey> = keys.iter().copied().filter(|key| key.upstream == upstream).collect();
            self.leg(upstream, own)
        });
        join_all(legs).await.into_iter().collect()
    }

    /// Notes that the targets are draining. They are read again: a person may have decided something meanwhile, and
    /// the customer may be known there in another form by now.
    async fn begin(&self) -> Result<Vec<TargetKey>, StoreError> {
        let now = self.eraser.now();
        let due: Vec<UpstreamNumber> = self.open.lock().iter().copied().collect();
        let more = plan_at(&due, &self.reaches, &held(&self.rows));
        let change = |job: &mut Job| {
            if job.is_active() {
                job.extended(more);
            }
            let Step::Attempt(mut keys) = next_step(job, now) else { return (Vec::new(), Marks::default()) };
            keys.retain(|key| due.contains(&key.upstream));
            job.progress(&keys, TargetState::Draining);
            (keys, Marks::default())
        };
        Ok(self.eraser.shared.ledger.change(self.id, now, change).await?.unwrap_or_default())
    }

    async fn leg(&self, upstream: UpstreamNumber, keys: Vec<TargetKey>) -> Result<(), StoreError> {
        let mut result = Ok(());
        let mut sendable = Vec::new();
        for key in keys {
            match self.slot(key) {
                Ok(()) => sendable.push(key),
                Err(outcome) => result = result.and(self.record(key, outcome).await),
            }
        }
        if !sendable.is_empty() {
            let straggling = self.drained_with_passers(upstream).await;
            let deletes = join_all(sendable.into_iter().map(|key| self.delete(key, straggling))).await;
            result = deletes.into_iter().fold(result, Result::and);
        }
        self.ended(upstream);
        result
    }

    /// Room in the upstream's rate; looked for before the drain, since a customer is not kept out only to find none.
    fn slot(&self, key: TargetKey) -> Result<(), Outcome> {
        let rate = self.settings.site(key.upstream).and_then(|site| site.upstream.profile.deletes_per_minute);
        let slot = self.eraser.shared.paces.slot((self.id, key), rate, Instant::now());
        slot.map_err(|at| Outcome::Paced { until: self.unix(at) })
    }

    /// A moment of tokio's clock, by the wall clock, rounded up.
    fn unix(&self, at: Instant) -> UnixSeconds {
        let left = at.saturating_duration_since(Instant::now());
        UnixSeconds(self.eraser.now().0 + left.as_secs() + 1)
    }

    async fn drained_with_passers(&self, upstream: UpstreamNumber) -> Straggling {
        let also = passers(&self.reaches, upstream).into_iter().chain([upstream]);
        join_all(also.map(|upstream| self.drained(upstream))).await.into_iter().max().flatten()
    }

    async fn drained(&self, upstream: UpstreamNumber) -> Straggling {
        let (Some(cell), Some(fence)) = (self.drains.get(&upstream), self.fences.first()) else { return None };
        let limit = self.settings.erasure.barrier_timeout;
        let drain = || async {
            let seen = match fence.drained(upstream, limit).await {
                Drain::Clean => None,
                Drain::NotDrained { until } => Some(self.unix(until)),
            };
            let started = self.eraser.shared.started;
            seen.max(self.eraser.lost_until(&self.rows, upstream, started, self.eraser.now()))
        };
        *cell.get_or_init(drain).await
    }

    async fn delete(&self, key: TargetKey, straggling: Straggling) -> Result<(), StoreError> {
        let limit = self.settings.erasure.barrier_timeout;
        let Some(site) = self.settings.site(key.upstream) else {
            return self.record(key, Outcome::NotSupported(Fault::NotConfigured)).await;
        };
        let Some(text) = self.text(key) else {
            return self.record(key, Outcome::NotSupported(Fault::NotSupported)).await;
        };
        let Some(_leave) = self.eraser.shared.paces.enter(key.upstream, limit).await else {
            return self.record(key, Outcome::Paced { until: self.unix(Instant::now()) }).await;
        };
        let outcome = match self.target(key).await? {
            Some(target) => self.sent(site, &target, &text, straggling).await?,
            None => None,
        };
        match outcome {
            Some(outcome) => self.record(key, outcome).await,
            None => Ok(()),
        }
    }

    /// Sends the delete, once its intention is durable. `None` if a person decided otherwise meanwhile.
    async fn sent(
        &self,
        site: &Site,
        target: &Target,
        text: &str,
        straggling: Straggling,
    ) -> Result<Option<Outcome>, StoreError> {
        let within = self.settings.erasure.barrier_timeout;
        let request = match self.eraser.request(self.id, site, target, text, within).await {
            Ok(request) => request,
            Err(outcome) => return Ok(Some(outcome)),
        };
        let key = target.key;
        let sending = |job: &mut Job| (job.sending(key), Marks::default());
        if self.eraser.shared.ledger.change(self.id, self.eraser.now(), sending).await? != Some(true) {
            return Ok(None);
        }
        Ok(Some(self.eraser.send(site, request, straggling.is_none(), straggling).await))
    }

    async fn target(&self, key: TargetKey) -> Result<Option<Target>, StoreError> {
        let entry = self.eraser.shared.ledger.load(self.id).await?;
        Ok(entry.and_then(|entry| entry.job.target(key).cloned()))
    }

    /// The text by which the customer is known there.
    fn text(&self, key: TargetKey) -> Option<Box<str>> {
        let owner = self.settings.site(key.label_of)?;
        let recorded = |row: &&Row| row.key.upstream == key.label_of && row.key.form == key.form;
        if let Some(wire) = self.rows.iter().filter(recorded).find_map(|row| row.wire.clone()) {
            return Some(wire);
        }
        let derivable = !key.form.is_alias() || key.form.0 == owner.aliases.epoch();
        derivable.then(|| text_of(&owner.aliases, &self.customer, key.form))
    }

    /// What came of it and, if it counts, the marks of the rows that it covers: one durable write, before the fence lifts.
    async fn record(&self, key: TargetKey, outcome: Outcome) -> Result<(), StoreError> {
        let attempt = report::attempt_outcome(&outcome);
        let counts = matches!(&outcome, Outcome::Accepted { straggling_until: None, .. });
        let marks = if counts { marks(&self.rows, key) } else { Vec::new() };
        let (now, random) = (self.eraser.now(), (self.eraser.shared.surroundings.random)());
        let change = |job: &mut Job| {
            job.ended(key, outcome, now, random);
            ((job.target(key).cloned(), job.is_accepted_everywhere()), Marks(marks))
        };
        let Some((told, everywhere)) = self.eraser.shared.ledger.change(self.id, now, change).await? else {
            return Ok(());
        };
        if everywhere {
            self.eraser.forget_calls(self.id);
        }
        if let Some(target) = told {
            self.eraser.told_attempt(self.id, &target, attempt);
        }
        Ok(())
    }

    /// The deletes there are over. Lets the customer in again wherever nothing waits any more.
    fn ended(&self, upstream: UpstreamNumber) {
        let mut open = self.open.lock();
        open.remove(&upstream);
        for each in &self.involved {
            let awaited = open.contains(each) || open.iter().any(|to| passers(&self.reaches, *to).contains(each));
            if !awaited {
                self.fences.iter().for_each(|fence| fence.lift(*each));
            }
        }
    }
}

/// The rows that a delete under this target covers.
pub(super) fn marks(rows: &[Row], key: TargetKey) -> Vec<PairKey> {
    let covered = |row: &&Row| {
        row.key.upstream == key.upstream
            && row.key.form == key.form
            && key.label_of == key.upstream
            && row.erased_at.is_none()
    };
    rows.iter().filter(covered).map(|row| row.key).collect()
}
