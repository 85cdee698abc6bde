//! What an eraser does besides where other gates work on the same store: it goes on with what theirs leave behind, and hears what
//! people have told them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::lanes::{Place, Turn};
use super::{Eraser, report};
use crate::domain::{Tag, UpstreamNumber};
use crate::replicas::MemberView;
use crate::store::StoreError;

/// How often it is looked, also without word from the others.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Eraser {
    /// Shares the work until its future is dropped.
    #[expect(clippy::infinite_loop, reason = "its end is that of its task")]
    pub(super) async fn share(&self) {
        if !self.shared.replicas.may_have_others() {
            return std::future::pending().await;
        }
        loop {
            timeout(LOOK_EVERY, self.shared.replicas.news()).await.ok();
            if let Err(error) = self.look_at_others().await {
                report::warn("what other gates have left or changed cannot be read", &error);
            }
        }
    }

    /// For how many deletes a turn is good, where other gates send to the same service. `None`: for none, and the erasure stands
    /// in line again.
    pub(super) async fn shared_slots(
        &self,
        upstream: UpstreamNumber,
        turn: Turn,
        place: Option<Place>,
        per_minute: Option<u32>,
    ) -> Result<Option<(Place, usize)>, StoreError> {
        let Some(place) = place else { return Ok(None) };
        let rate = per_minute.and_then(|rate| usize::try_from(rate).ok()).filter(|rate| *rate > 0);
        let count = place.count;
        let Some(rate) = rate else { return Ok(Some((place, count))) };
        match self.shared.ledger.take_slots(upstream, count, rate).await? {
            None => Ok(Some((place, count))),
            Some(slots) if slots.granted > 0 => Ok(Some((place, slots.granted))),
            Some(slots) => {
                drop(place);
                let elapsed = (self.shared.surroundings.elapsed)();
                self.shared.lanes.rest(upstream, elapsed + slots.next);
                self.shared.lanes.line_up(upstream, vec![turn], per_minute);
                self.wake();
                Ok(None)
            }
        }
    }

    /// The gates of this deployment, each with the erasures that it works on; `None`: there can be but this one.
    pub async fn replicas(&self) -> Option<Vec<MemberView>> {
        let mut members = self.shared.replicas.shown()?;
        let shares = self.shared.ledger.shares().await.ok();
        for member in &mut members {
            let of = |shares: &Vec<(Option<Uuid>, u64)>| {
                shares.iter().find(|(owner, _)| *owner == member.id).map_or(0, |(_, count)| *count)
            };
            member.erasures = shares.as_ref().map(of);
        }
        Some(members)
    }

    /// Whether labelled requests may enter: not, where this gate hears nothing from the others.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.inflight.is_open()
    }

    async fn look_at_others(&self) -> Result<(), StoreError> {
        let now = self.now().moment;
        for id in self.shared.ledger.touched().await? {
            self.shared.schedule.wake(id, now);
        }
        self.take_over().await
    }

    /// From now on what other gates say of legal holds counts here.
    pub(super) fn hear_of_holds(&self) {
        let weak = Arc::downgrade(&self.shared);
        self.shared.replicas.on_holds(Arc::new(move || {
            let shared = weak.upgrade();
            Box::pin(async move {
                match shared {
                    Some(shared) => Self { shared }.holds_have_changed().await,
                    None => true,
                }
            })
        }));
    }

    pub(super) async fn holds_have_changed(&self) -> bool {
        match self.shared.holds.load_again().await {
            Ok(tags) => {
                let eraser = self.clone();
                self.shared.runtime.spawn(async move { eraser.look_at(&tags).await });
                true
            }
            Err(error) => {
                report::warn("legal holds that another gate has changed cannot be read", &error);
                false
            }
        }
    }

    /// The erasures of these customers go on, or stop.
    async fn look_at(&self, tags: &[Tag]) {
        let ours = async { self.shared.ledger.ours(self.shared.ledger.unfinished_of(tags).await?).await };
        let now = self.now().moment;
        match ours.await {
            Ok(ours) => ours.iter().for_each(|entry| self.shared.schedule.wake(entry.job.id, now)),
            Err(error) => report::warn("erasures of customers on legal hold cannot be read", &error),
        }
    }
}
