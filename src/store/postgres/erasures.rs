//! [`Jobs`] by a server.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::PostgresStore;
use super::job_lists::{LIST_PAGE, PAGE, Whose};
use super::jobs::By;
use super::upstreams::HOLDS_PAGE;
use crate::domain::{PairKey, Tag, UnixSeconds};
use crate::store::{
    HOLD_BODY_MAX, JobWrite, Jobs, ListedJob, SUMMARY_BYTES_MAX, Sharing, StoreError, StoreFuture, StoredHold,
    StoredJob,
};

fn check(job: &StoredJob) -> Result<(), StoreError> {
    if job.summary.len() > SUMMARY_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "an erasure's summary" });
    }
    Ok(())
}

impl Jobs for PostgresStore {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        if let Err(error) = check(&job) {
            return Box::pin(ready(Err(error)));
        }
        let (bytes, wrote, job) = (job.body.len(), Uuid::now_v7(), Arc::new(job));
        let me = self.me();
        self.ask(bytes, move |db| {
            let job = Arc::clone(&job);
            async move { db.create(&job, wrote, me).await }
        })
    }

    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        self.commit_shared(write, Sharing { anyones: false, up_to: u64::MAX })
    }

    fn commit_shared(&self, write: JobWrite, how: Sharing) -> StoreFuture<'_, bool> {
        let checked = check(&write.job).and_then(|()| write.also.as_ref().map_or(Ok(()), check));
        if let Err(error) = checked {
            return Box::pin(ready(Err(error)));
        }
        if write.also.as_ref().is_some_and(|also| also.id == write.job.id) {
            return Box::pin(ready(Ok(false)));
        }
        let also = write.also.as_ref().map_or(0, |also| also.body.len());
        let bytes = write.job.body.len() + also + write.erased.len() * PairKey::LEN_MAX;
        let by = By { wrote: Uuid::now_v7(), me: self.me(), how };
        let write = Arc::new(write);
        self.ask(bytes, move |db| {
            let write = Arc::clone(&write);
            async move { db.commit(&write, by).await }
        })
    }

    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.ask(0, move |db| async move { db.job(id).await })
    }

    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        Box::pin(async move {
            let (mut found, mut cursor) = (Vec::new(), cursor);
            while found.len() < limit {
                let rest = limit - found.len();
                let page = self.ask(0, move |db| async move { db.jobs(cursor, rest).await }).await?;
                cursor = page.last().map(|job| job.id);
                let is_last = page.len() < PAGE;
                found.extend(page);
                if is_last {
                    break;
                }
            }
            Ok(found)
        })
    }

    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        // Reading begins with this call.
        let (whose, first) = (Whose::Owned(self.me()), cursor);
        let first = self.ask(0, move |db| async move { db.listed(first, limit, whose).await });
        Box::pin(async move {
            let mut found: Vec<ListedJob> = first.await?;
            let mut is_last = found.len() < LIST_PAGE;
            while !is_last && found.len() < limit {
                let (rest, cursor) = (limit - found.len(), found.last().map(|job| (job.tag, job.id)));
                let page = self.ask(0, move |db| async move { db.listed(cursor, rest, whose).await }).await?;
                is_last = page.len() < LIST_PAGE;
                found.extend(page);
            }
            Ok(found)
        })
    }

    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        Box::pin(async move {
            let tags: Arc<[Tag]> = tags.into();
            let mut found: Vec<StoredJob> = Vec::new();
            loop {
                let (tags, cursor) = (Arc::clone(&tags), found.last().map(|job| job.id));
                let page = self.ask(0, move |db| {
                    let tags = Arc::clone(&tags);
                    async move { db.unfinished_of(&tags, cursor).await }
                });
                let page = page.await?;
                let is_last = page.len() < PAGE;
                found.extend(page);
                if is_last {
                    return Ok(found);
                }
            }
        })
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let (mut removed, mut from) = (0, None);
            loop {
                let (some, next) = self.ask(0, move |db| async move { db.purge(before, from).await }).await?;
                removed += some;
                if next.is_none() {
                    return Ok(removed);
                }
                from = next;
            }
        })
    }

    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        self.ask(0, move |db| async move { db.keep_time(at).await })
    }

    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        if hold.body.len() > HOLD_BODY_MAX {
            return Box::pin(ready(Err(StoreError::TooLarge { what: "a legal hold" })));
        }
        let (bytes, hold) = (hold.body.len(), Arc::new(hold));
        self.ask(bytes, move |db| {
            let hold = Arc::clone(&hold);
            async move { db.hold(&hold).await }
        })
    }

    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        // Asked again since its answer was lost, it finds nothing and has removed it all the same.
        let was = Arc::new(AtomicBool::new(false));
        self.ask(0, move |db| {
            let was = Arc::clone(&was);
            async move {
                if db.is_held(id).await? {
                    was.store(true, Ordering::Relaxed);
                }
                db.unhold(id).await?;
                Ok(was.load(Ordering::Relaxed))
            }
        })
    }

    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        Box::pin(async move {
            let (mut found, mut cursor) = (Vec::new(), cursor);
            while found.len() < limit {
                let rest = limit - found.len();
                let page = self.ask(0, move |db| async move { db.holds(cursor, rest).await }).await?;
                cursor = page.last().map(|hold| hold.id);
                let is_last = page.len() < HOLDS_PAGE;
                found.extend(page);
                if is_last {
                    break;
                }
            }
            Ok(found)
        })
    }
}
