//! A fence, as an erasure holds it: here at once, and at all other gates when they have said so.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::body::{DrainAsked, FenceBody, millis};
use super::{Own, Shared, State};
use crate::domain::{Tag, UpstreamNumber};
use crate::inflight::{self, Drain, Frozen, Generation};
use crate::store::{MemberState, StoreError};

/// What an erasure covers: whatever had entered, at any gate, before its own fence went up there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// At this gate. `None`: it is not known here any more, and everything of before the next fence is waited for.
    pub here: Option<Generation>,
    /// By the number of the fence; 0 where there are no others, or where it is not known.
    pub number: u64,
}

impl Covered {
    /// Nothing at this gate, and whatever had entered before at others.
    pub const NONE: Self = Self { here: Some(Generation::FIRST), number: 0 };
    /// Everything that has entered.
    pub const ALL: Self = Self { here: Some(Generation::LAST), number: 0 };
}

/// A fence around one customer. Dropping it lifts what is left of it, here and elsewhere.
#[derive(Debug)]
pub struct Fence {
    local: inflight::Fence,
    ours: Option<Ours>,
}

/// The part of a fence that the others see.
pub(super) struct Ours {
    shared: Arc<Shared>,
    id: Uuid,
}

impl std::fmt::Debug for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ours").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Fence {
    pub(super) const fn new(local: inflight::Fence, ours: Option<Ours>) -> Self {
        Self { local, ours }
    }

    /// What entered here in an earlier generation entered before this fence.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.local.generation()
    }

    /// Its number among the fences of all gates; 0 where there are no others. Known when [`Self::everywhere`] is done.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.ours.as_ref().and_then(Ours::number).unwrap_or(0)
    }

    /// Whether it was raised at a start, in place of one of the run before.
    #[must_use]
    pub fn is_from_start(&self) -> bool {
        self.local.is_from_start()
    }

    /// Waits until each gate that may let anything in has put it up.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when this gate is not heard by the others.
    pub async fn everywhere(&self) -> Result<(), StoreError> {
        match &self.ours {
            None => Ok(()),
            Some(ours) => ours.everywhere().await,
        }
    }

    /// Waits until every request that had entered before the fence, at any gate, has its row, or has left.
    ///
    /// # Errors
    /// As [`Self::everywhere`].
    pub async fn recorded(&self) -> Result<(), StoreError> {
        self.local.recorded().await;
        match &self.ours {
            None => Ok(()),
            Some(ours) => ours.recorded().await,
        }
    }

    /// From now on only requests to those of these upstreams are kept out to which they were kept out until now.
    pub fn narrow(&self, upstreams: &[UpstreamNumber]) {
        self.local.narrow(upstreams);
        self.change(|only| {
            let still = |upstream: &u16| only.is_none_or(|only| only.contains(upstream));
            Some(upstreams.iter().map(|upstream| upstream.0).filter(still).collect())
        });
    }

    /// Lets requests to this upstream in again.
    pub fn lift(&self, upstream: UpstreamNumber) {
        self.local.lift(upstream);
        self.change(|only| Some(only?.iter().copied().filter(|other| *other != upstream.0).collect()));
    }

    fn change(&self, next: impl FnOnce(Option<&[u16]>) -> Option<Vec<u16>>) {
        let Some(ours) = &self.ours else { return };
        ours.change(|body| match next(body.only.as_deref()) {
            Some(only) if body.only.as_ref() != Some(&only) => {
                body.only = Some(only);
                true
            }
            _ => false,
        });
    }

    /// Whether it has kept this customer's requests to `upstream` out without a gap until now. If so, it goes on doing so
    /// until the answer is dropped. At other gates it stands for a while longer than here.
    #[must_use]
    pub fn freeze(&self, upstream: UpstreamNumber) -> Option<Frozen<'_>> {
        self.local.freeze(upstream).filter(|_| self.ours.as_ref().is_none_or(Ours::stands))
    }

    /// Another fence that goes on where this one stands now. `None` where it stands at none of them, or where there are other
    /// gates: those would have to be told of it.
    #[must_use]
    pub fn twin(&self, upstreams: &[UpstreamNumber]) -> Option<Self> {
        if self.ours.is_some() {
            return None;
        }
        self.local.twin(upstreams).map(|local| Self::new(local, None))
    }

    /// Waits, at most `limit`, until nothing is on its way to `upstream` at any gate that is covered, and says what may still
    /// arrive there.
    pub async fn drained(&self, upstream: UpstreamNumber, covered: Covered, limit: Duration) -> Drain {
        let here = covered.here.unwrap_or(self.local.generation());
        let Some(ours) = &self.ours else { return self.local.drained(upstream, here, limit).await };
        let (local, elsewhere) =
            tokio::join!(self.local.drained(upstream, here, limit), ours.drained(upstream, covered.number, limit));
        Drain {
            until: local.until.max(elsewhere.until),
            in_sight: local.in_sight && elsewhere.until.is_none(),
            newer: local.newer || elsewhere.newer,
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(own) = state.own.get_mut(&self.id) {
            own.dropped = true;
            own.changed(FenceBody::falls);
            state.unsaid.insert(self.id);
        }
        drop(state);
        self.shared.bell.notify_one();
    }
}

impl Own {
    fn changed(&mut self, change: impl FnOnce(&mut FenceBody)) {
        change(&mut self.body);
        self.version += 1;
    }
}

/// One look at how far the others have come.
enum Found<T> {
    Yet(T),
    NotYet,
    Lost,
}

impl Shared {
    /// Says that a fence is to be put up by all.
    pub(super) fn raise(self: &Arc<Self>, tag: Tag, body: FenceBody, life: Duration, generation: Generation) -> Ours {
        let id = (self.membership.new_id)();
        // Elsewhere it goes up later, and stands for as long as here; and what is recorded at its end is not there at once.
        let ends = Instant::now() + life + self.membership.ttl * 4;
        let mut state = self.state.lock();
        state.own.insert(id, Own { tag, version: 1, body, ends, generation, first: None, dropped: false });
        state.unsaid.insert(id);
        drop(state);
        self.bell.notify_one();
        Ours { shared: Arc::clone(self), id }
    }
}

impl Ours {
    fn number(&self) -> Option<u64> {
        self.shared.state.lock().own.get(&self.id).and_then(|own| own.first)
    }

    fn stands(&self) -> bool {
        let state = self.shared.state.lock();
        state.me.is_some() && state.own.contains_key(&self.id)
    }

    fn change(&self, change: impl FnOnce(&mut FenceBody) -> bool) {
        let mut state = self.shared.state.lock();
        let Some(own) = state.own.get_mut(&self.id) else { return };
        let mut is_new = false;
        own.changed(|body| is_new = change(body));
        if is_new {
            state.unsaid.insert(self.id);
            drop(state);
            self.shared.bell.notify_one();
        }
    }

    pub(super) async fn everywhere(&self) -> Result<(), StoreError> {
        self.until(|own, state| {
            let first = own.first?;
            state.living().all(|member| member.seen >= first).then_some(())
        })
        .await
    }

    async fn recorded(&self) -> Result<(), StoreError> {
        self.until(|own, state| {
            let first = own.first?;
            let said = |member: Uuid| state.acks.get(&(self.id, member)).is_some_and(|ack| ack.recorded);
            state.living().all(|member| member.seen >= first && said(member.id)).then_some(())
        })
        .await
    }

    async fn drained(&self, upstream: UpstreamNumber, before: u64, limit: Duration) -> Drain {
        let asked = DrainAsked { upstream: upstream.0, before, limit: millis(limit) };
        self.change(|body| {
            let is_new = !body.drains.contains(&asked);
            body.drains.extend(is_new.then_some(asked));
            is_new
        });
        let found = self.until(|own, state| {
            own.first?;
            let waited = (own.tag, upstream, before);
            let mut drain = Drain::default();
            let mut settled = Vec::new();
            for member in state.living() {
                let said = state.acks.get(&(self.id, member.id))?.of(upstream, before)?;
                match said.late {
                    Some(late) => drain.until = drain.until.max(Some(Instant::now() + Duration::from_millis(late))),
                    None => settled.push(member.id),
                }
                drain.newer |= said.newer;
            }
            drain.until = drain.until.max(state.late_until(|member| state.settled.matters(&waited, member)));
            // Something newer may have been on its way at those that are gone.
            drain.newer |= state.late_until(|_| true).is_some();
            Some((drain, waited, settled))
        });
        let end = Instant::now() + limit + self.shared.membership.ttl * 3;
        let Some((drain, waited, settled)) = timeout_at(end, found).await.ok().and_then(Result::ok) else {
            // Nobody knows what is on its way at the others.
            let until = Instant::now() + self.shared.membership.goes_on + self.shared.membership.straggle;
            return Drain { until: Some(until), in_sight: false, newer: true };
        };
        let mut state = self.shared.state.lock();
        settled.into_iter().for_each(|member| state.settled.note(waited, member));
        drop(state);
        drain
    }

    /// Waits until `ready` gives something, as long as this gate is a member and the fence's row is there.
    async fn until<T>(&self, ready: impl Fn(&Own, &State) -> Option<T>) -> Result<T, StoreError> {
        let mut heard = self.shared.heard.subscribe();
        loop {
            heard.borrow_and_update();
            let (found, end) = {
                let state = self.shared.state.lock();
                match state.own.get(&self.id) {
                    Some(own) if state.me.is_some() || own.first.is_none() => {
                        (ready(own, &state).map_or(Found::NotYet, Found::Yet), own.ends)
                    }
                    _ => (Found::Lost, Instant::now()),
                }
            };
            match found {
                Found::Yet(value) => return Ok(value),
                Found::Lost => return Err(StoreError::Broken),
                Found::NotYet => {}
            }
            match timeout_at(end, heard.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(StoreError::Broken),
            }
        }
    }
}

impl State {
    /// This gate is a member no more: nothing that it raised counts.
    pub(super) fn lose(&mut self) {
        self.me = None;
        self.heard_at = None;
        self.others.retain(|member| member.state != MemberState::Up);
        self.acks.clear();
        self.unsaid.clear();
        // Also what was said and whose answer was lost.
        let said = std::mem::take(&mut self.own).into_iter().filter(|(_, own)| own.version > 1);
        self.orphans.extend(said.map(|(id, own)| (id, own.tag)));
    }
}
