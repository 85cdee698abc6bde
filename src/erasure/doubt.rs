//! Writes whose outcome is unknown: the store failed after the bytes had gone out, and the requester was told so (503).
//!
//! What is in the store all the same is withdrawn before anything of it runs. What cannot be withdrawn, since it belongs to
//! an earlier request or a delete was sent for it, is carried out; the customer has been kept out since, so that nothing
//! newer is swept away.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Eraser;
use super::ledger::Marks;
use crate::barrier::Fence;
use crate::domain::UpstreamNumber;
use crate::domain::erasure::{Decision, Job, Verdict};
use crate::store::StoreError;
use crate::telemetry::events;

/// How long a pause is between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Which write is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A new erasure.
    Created,
    /// A request that joined another.
    Joined,
}

impl Eraser {
    /// Finds out, as soon as the store answers again, and keeps the customer out until then.
    pub(super) fn resolve_later(&self, doubt: Doubt, id: Uuid, fence: Option<Arc<Fence>>) {
        self.shared.doubts.lock().insert(id);
        let eraser = self.clone();
        self.shared.runtime.spawn(async move {
            // Nobody is kept out by this who could get in otherwise: where the store is broken nothing is let through.
            let frozen = fence.as_ref().and_then(|fence| fence.freeze(UpstreamNumber(0)));
            while let Err(StoreError::Broken | StoreError::Overloaded) = eraser.resolve(doubt, id).await {
                tokio::time::sleep(PAUSE).await;
            }
            eraser.keep_fences(id, fence.clone().into_iter().collect());
            eraser.shared.doubts.lock().remove(&id);
            eraser.shared.schedule.wake(id, eraser.now().moment);
            drop(frozen);
        });
    }

    async fn resolve(&self, doubt: Doubt, id: Uuid) -> Result<(), StoreError> {
        let now = self.now();
        let decision = Decision {
            at: now.wall,
            verdict: Verdict::Cancel,
            by: "forgetgate".into(),
            note: "the store did not confirm it, and the requester was told that it was not accepted".into(),
            upstream: None,
        };
        let withdraw = |job: &mut Job| {
            let over = doubt == Doubt::Created && job.decide(decision, None).is_ok();
            (over, Marks::default())
        };
        let found = self.shared.ledger.change(id, now, withdraw).await?;
        if found == Some(true) {
            events::ErasureDecided { erasure: id, verdict: Verdict::Cancel.as_str() }.emit();
        }
        Ok(())
    }
}
