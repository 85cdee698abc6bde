//! Jobs read: one, in pages, and the list of unfinished ones, which is read without their bodies.

use std::ops::Bound::{Excluded, Unbounded};

use uuid::Uuid;

use super::job_rows::{Head, job_id, list_key, read_list_key};
use super::{TableError, Tables};
use crate::domain::Tag;
use crate::store::{ListedJob, StoredJob};

impl Tables {
    pub(in super::super) fn job(&self, id: Uuid) -> Result<Option<StoredJob>, TableError> {
        self.head(id)?.map(|head| self.whole(id, head)).transpose()
    }

    pub(in super::super) fn jobs(&mut self, after: Option<Uuid>, limit: usize) -> Result<Vec<StoredJob>, TableError> {
        let start = after.map_or(Unbounded, |after| Excluded(after.into_bytes().to_vec()));
        let mut found = Vec::new();
        for entry in self.jobs.clone().range((start, Unbounded::<Vec<u8>>)) {
            if found.len() == limit {
                break;
            }
            let (id, head) = entry?;
            match job_id(&id).and_then(|id| self.whole(id, Head::read(&head)?)) {
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", &id),
                job => found.push(job?),
            }
        }
        Ok(found)
    }

    /// List entries of unfinished jobs in their order.
    pub(in super::super) fn listed(
        &mut self,
        after: Option<(Tag, Uuid)>,
        limit: usize,
    ) -> Result<Vec<ListedJob>, TableError> {
        if let Some(page) = self.read_ahead.as_mut().and_then(|list| list.page(after, limit)) {
            if page.len() < limit {
                self.read_ahead = None;
            }
            return Ok(page);
        }
        // Whoever reads elsewhere has not been told what was read ahead, or reads it a second time.
        self.read_ahead = None;
        let start = after.map_or(Unbounded, |(tag, id)| Excluded(list_key(tag, id)));
        let mut found = Vec::new();
        for entry in self.unfinished.clone().range((start, Unbounded::<Vec<u8>>)) {
            if found.len() == limit {
                break;
            }
            let (key, summary) = entry?;
            match read_list_key(&key) {
                Some((tag, id)) => found.push(ListedJob { id, tag, summary: summary.to_vec() }),
                None => self.leave_unread("unfinished", &key),
            }
        }
        Ok(found)
    }

    /// The unfinished jobs of one customer.
    pub(in super::super) fn unfinished_of(&mut self, tags: &[Tag]) -> Result<Vec<StoredJob>, TableError> {
        let list = self.unfinished.clone();
        let mut found = Vec::new();
        for entry in tags.iter().flat_map(|tag| list.scan_prefix(tag.0).keys()) {
            found.extend(self.job_of_entry(&entry?)?);
        }
        found.sort_by_key(|job| job.id);
        Ok(found)
    }

    fn job_of_entry(&mut self, entry: &[u8]) -> Result<Option<StoredJob>, TableError> {
        let id = entry.get(16..).unwrap_or_default();
        match job_id(id).and_then(|id| self.job(id)) {
            Ok(job) => Ok(job.filter(|job| !job.finished && entry.starts_with(&job.tag.0))),
            Err(TableError::Unreadable(_)) => {
                self.leave_unread("jobs", id);
                Ok(None)
            }
            Err(broken) => Err(broken),
        }
    }
}
