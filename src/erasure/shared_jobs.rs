//! The repository's jobs where other gates work on some of them. Alone, all are this gate's.

use uuid::Uuid;

use super::job_repository::{Entry, JobRepository, Listed};
use crate::domain::erasure::Standing;
use crate::domain::{Tag, UpstreamNumber};
use crate::store::{Slots, StoreError};

impl JobRepository {
    /// A page of the list of unfinished jobs of all gates, after a place in it.
    pub(super) fn listed_of_all(
        &self,
        cursor: Option<(Tag, Uuid)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send + use<'_> {
        let page = match &self.shared {
            Some(shared) => shared.listed_of_all(cursor, limit),
            None => self.store.listed(cursor, limit),
        };
        async move { Ok(page.await?.into_iter().map(Listed::from).collect()) }
    }

    /// Erasures whose gate is there no more become this one's.
    pub(super) async fn claim(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let Some(shared) = &self.shared else { return Ok(Vec::new()) };
        Ok(shared.claim(limit).await?.into_iter().map(Listed::from).collect())
    }

    /// Erasures of this gate that another has changed.
    pub(super) async fn touched(&self) -> Result<Vec<Uuid>, StoreError> {
        match &self.shared {
            Some(shared) => shared.touched().await,
            None => Ok(Vec::new()),
        }
    }

    /// How many unfinished erasures each gate has.
    pub(super) async fn shares(&self) -> Result<Vec<(Option<Uuid>, u64)>, StoreError> {
        match &self.shared {
            Some(shared) => shared.shares().await,
            None => Ok(Vec::new()),
        }
    }

    /// Slots of a service's rate, where other gates use it too: `None` where they cannot.
    pub(super) async fn take_slots(
        &self,
        upstream: UpstreamNumber,
        wanted: usize,
        per_minute: usize,
    ) -> Result<Option<Slots>, StoreError> {
        match &self.shared {
            Some(shared) => shared.take_slots(upstream, wanted, per_minute).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those of these on which this gate works.
    pub(super) async fn ours(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        let Some(shared) = self.shared.as_ref().filter(|_| !entries.is_empty()) else { return Ok(entries) };
        let owned = shared.owned(entries.iter().map(|entry| entry.job.id).collect()).await?;
        Ok(entries.into_iter().filter(|entry| owned.contains(&entry.job.id)).collect())
    }

    /// Another gate works on it: it does not count here any more.
    pub(super) fn counts_no_more(&self, id: Uuid) {
        self.gauges.lock().set(id, false, Standing::default());
    }
}
