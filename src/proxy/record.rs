//! Records before forwarding: makes it durable that this customer's data goes to this upstream (P3).

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::{Instant, timeout, timeout_at};

use super::Gate;
use super::answered::Unanswered;
use super::forward::Passages;
use super::route::Destination;
use crate::domain::decide::{Label, Permit};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::{self, Apis, InstanceHash, PairKey, ResourceHash};
use crate::inflight::{Entered, KeptOut};
use crate::store::Placement;

/// A judged request whose facts are durable: the only thing that can be forwarded.
#[derive(Debug)]
pub(super) struct Recorded {
    passages: Passages,
    unanswered: Option<Unanswered>,
}

impl Recorded {
    pub(super) fn into_parts(self) -> (Passages, Option<Unanswered>) {
        (self.passages, self.unanswered)
    }
}

/// Where a request's data goes, as the index names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) destination: &'a Arc<Destination>,
    pub(super) resource: &'a str,
    pub(super) instance: &'a domain::Instance,
    pub(super) api: Option<u8>,
}

/// Enters the in-flight table for every customer of the request, waiting while one of them is being erased, and records what is
/// not known to be durable.
pub(super) async fn record(gate: &Gate, permit: &Permit, place: Place<'_>) -> Result<Recorded, Refusal> {
    let mut passages = Passages::new();
    if !permit.labels().is_empty() {
        let keys: SmallVec<[PairKey; 1]> = permit.labels().iter().map(|label| known_as(gate, label, place)).collect();
        let apis = Apis::of(place.api);
        let entered = match try_enter_all(gate, (&keys, apis), gate.now()) {
            Ok(entered) => entered,
            Err(kept_out) => Box::pin(wait_and_enter(gate, (&keys, apis), kept_out)).await?,
        };
        let counters = gate.counters().upstream(place.destination.slot);
        for ((label, key), Entered { mut passage, known }) in permit.labels().iter().zip(&keys).zip(entered) {
            if known {
                counters.known_pair();
            } else {
                Box::pin(make_durable(gate, label, stored_as(gate, *key, place), place)).await?;
                counters.recorded_pair();
                if !passage.recorded() {
                    return Err(Code::StoreUnavailable.into());
                }
            }
            passages.push(passage);
        }
    }
    let unanswered = Unanswered::of(gate, place.destination, place.instance);
    Ok(Recorded { passages, unanswered })
}

/// The pair as the in-flight table knows it: by short names of its resource and instance, which cost nearly nothing. The
/// store's are made for a row that is not known.
fn known_as(gate: &Gate, label: &Label, place: Place<'_>) -> PairKey {
    let names = gate.inflight().short_names();
    let resource = ResourceHash(names.of(place.resource));
    let instance = InstanceHash(names.of_instance(place.instance));
    let tag = gate.keys().tag(&label.id);
    PairKey { tag, upstream: place.destination.site.number, form: label.form, resource, instance }
}

/// The same pair as the store knows it.
fn stored_as(gate: &Gate, known: PairKey, place: Place<'_>) -> PairKey {
    let resource = gate.keys().resource_hash(known.tag, place.resource);
    let instance = gate.keys().instance_hash(known.tag, place.instance);
    PairKey { resource, instance, ..known }
}

/// Waits while a customer is being erased, then enters. Where as many wait already as may, nobody waits.
async fn wait_and_enter(
    gate: &Gate,
    keys: (&[PairKey], Apis),
    mut kept_out: KeptOut,
) -> Result<SmallVec<[Entered; 1]>, Refusal> {
    let deadline = Instant::now() + gate.barrier_timeout();
    loop {
        let fenced = match kept_out {
            KeptOut::Fenced(fenced) => fenced,
            KeptOut::Crowded => return Err(Code::ErasureInProgress.into()),
            KeptOut::Closed => return Err(Code::StoreUnavailable.into()),
        };
        timeout_at(deadline, fenced.moved()).await.map_err(|_| Refusal::from(Code::ErasureInProgress))?;
        kept_out = match try_enter_all(gate, keys, Instant::now()) {
            Ok(entered) => return Ok(entered),
            Err(kept_out) => kept_out,
        };
    }
}

/// Enters for all or for none: whoever waited for one fence while counted behind another could block two erasures.
fn try_enter_all(
    gate: &Gate,
    (keys, apis): (&[PairKey], Apis),
    now: Instant,
) -> Result<SmallVec<[Entered; 1]>, KeptOut> {
    keys.iter().map(|key| gate.inflight().enter_with(key, apis, now)).collect()
}

async fn make_durable(gate: &Gate, label: &Label, key: PairKey, place: Place<'_>) -> Result<(), Refusal> {
    let placement = Placement {
        key,
        id: label.id.clone(),
        resource: place.resource.into(),
        instance: place.instance.clone(),
        wire: None,
        api: place.api,
        seen: gate.unix_now(),
    };
    // Of an upstream that has moved, or is gone, since the request began nothing may be recorded any more.
    let Some(_recording) = place.destination.site.recordings.begin() else {
        return Err(Code::StoreUnavailable.into());
    };
    match timeout(gate.barrier_timeout(), gate.index().record(placement)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Code::StoreUnavailable.into()),
    }
}
