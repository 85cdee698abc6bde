//! Writes whose outcome is unknown: the store failed after the bytes had gone out, and the requester was told so (503).
//!
//! What is in the store all the same is withdrawn before anything of it runs. What cannot be withdrawn, since it belongs to
//! an earlier request or a delete was sent for it, is carried out; the customer has been kept out since, so that nothing
//! newer is swept away. A person's approval, hold or end of a hold counts if the store has it; until that is known nothing is
//! sent. After a restart what the store has counts. See docs/decisions/034-writes-in-doubt.md.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::accept::Problem;
use super::holds::Tags;
use super::job_repository::Marks;
use super::{Eraser, report};
use crate::domain::UpstreamNumber;
use crate::domain::erasure::{Decision, Job, Verdict};
use crate::replicas::Fence;
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
    /// A person's approval.
    Approved,
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
        let decision = Decision::withdrawal(now.wall);
        let withdraw = |job: &mut Job| {
            let over = doubt == Doubt::Created && job.decide(decision, None).is_ok();
            ((over, job.is_active()), Marks::default())
        };
        let found = self.shared.ledger.change(id, now, withdraw).await?;
        match (doubt, found) {
            (Doubt::Created, Some((true, _))) => told(id, Verdict::Cancel),
            (Doubt::Approved, Some((_, true))) => told(id, Verdict::Approve),
            _ => {}
        }
        Ok(())
    }

    /// The store did not say that a hold or its end was written. The customer is held until it is known.
    pub(super) fn hold_in_doubt(&self, id: Uuid, tags: Tags, decision: Decision, error: StoreError) -> Problem {
        if !matches!(error, StoreError::Broken) {
            return Problem::Store(error);
        }
        if !self.shared.holds.doubt(id) {
            return Problem::Unconfirmed;
        }
        let eraser = self.clone();
        self.shared.runtime.spawn(async move {
            let there = loop {
                match eraser.shared.holds.look(id).await {
                    Ok(there) => break there,
                    Err(StoreError::Broken | StoreError::Overloaded) => tokio::time::sleep(PAUSE).await,
                    // It goes on holding.
                    Err(error) => return report::warn("a legal hold whose write is in doubt cannot be read", &error),
                }
            };
            if there == (decision.verdict == Verdict::Hold) {
                eraser.told_of_holds(&tags, &decision).await;
            } else if let Ok(waiting) = eraser.shared.ledger.unfinished_of(&tags).await {
                let now = eraser.now().moment;
                waiting.iter().for_each(|entry| eraser.shared.schedule.wake(entry.job.id, now));
            }
        });
        Problem::Unconfirmed
    }
}

fn told(erasure: Uuid, verdict: Verdict) {
    events::ErasureDecided { erasure, verdict: verdict.as_str() }.emit();
}
