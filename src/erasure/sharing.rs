//! What an eraser does besides where other gates work on the same store: it goes on with what theirs leave behind, and hears what
//! people have told them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Eraser, report};
use crate::domain::Tag;
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
