//! The erasures of the store that forgets everything.

use uuid::Uuid;

use super::{Kept, MemoryStore, State};
use crate::domain::{Tag, UnixSeconds};
use crate::store::{
    HOLD_BODY_MAX, JobWrite, Jobs, ListedJob, SUMMARY_BYTES_MAX, StoreError, StoreFuture, StoredHold, StoredJob,
};

impl State {
    fn keep(&mut self, job: StoredJob, at: UnixSeconds) {
        let number = self.next_number();
        let accepted = self.jobs.get(&job.id).map_or(number, |old| old.job.accepted);
        let version = self.version(job.id) + 1;
        self.jobs.insert(job.id, Kept { job: StoredJob { accepted, version, ..job }, at });
    }

    fn version(&self, id: Uuid) -> u64 {
        self.jobs.get(&id).map_or(0, |kept| kept.job.version)
    }

    fn unfinished(&self) -> impl Iterator<Item = &StoredJob> {
        self.jobs.values().map(|kept| &kept.job).filter(|job| !job.finished)
    }
}

fn check(job: &StoredJob) -> Result<(), StoreError> {
    if job.summary.len() > SUMMARY_BYTES_MAX {
        return Err(StoreError::TooLarge { what: "an erasure's summary" });
    }
    Ok(())
}

impl Jobs for MemoryStore {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        self.answer(move |state| {
            if state.jobs.contains_key(&job.id) {
                return Ok(false);
            }
            check(&job)?;
            let at = job.received;
            state.keep(job, at);
            state.syncs += 1;
            Ok(true)
        })
    }

    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        self.answer(move |state| {
            check(&write.job)?;
            if let Some(also) = &write.also {
                check(also)?;
                if also.id == write.job.id || state.jobs.contains_key(&also.id) {
                    return Ok(false);
                }
            }
            if write.job.version != 0 && write.job.version != state.version(write.job.id) {
                return Err(StoreError::Conflict);
            }
            for key in &write.erased {
                if let Some((number, row)) = state.rows.get_mut(key) {
                    *row = row.clone().marked(write.at.max(UnixSeconds(1)), *number);
                }
            }
            for job in [Some(write.job), write.also].into_iter().flatten() {
                state.keep(job, write.at);
            }
            state.syncs += 1;
            Ok(true)
        })
    }

    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.answer(move |state| Ok(state.jobs.get(&id).map(|kept| kept.job.clone())))
    }

    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        self.answer(move |state| {
            let after = state.jobs.iter().filter(|(id, _)| cursor.is_none_or(|cursor| **id > cursor));
            Ok(after.take(limit).map(|(_, kept)| kept.job.clone()).collect())
        })
    }

    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        self.answer(move |state| {
            let after = state.unfinished().filter(|job| cursor.is_none_or(|at| (job.tag, job.id) > at));
            let mut after: Vec<_> = after.collect();
            after.sort_by_key(|job| (job.tag, job.id));
            let listed = |job: &StoredJob| ListedJob { id: job.id, tag: job.tag, summary: job.summary.clone() };
            Ok(after.into_iter().take(limit).map(listed).collect())
        })
    }

    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        self.answer(move |state| Ok(state.unfinished().filter(|job| tags.contains(&job.tag)).cloned().collect()))
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        self.answer(move |state| {
            let by_itself = |kept: &&Kept| {
                let of = kept.job.of.filter(|of| *of != kept.job.id && state.jobs.contains_key(of));
                kept.job.finished && kept.at < before && of.is_none()
            };
            let gone: Vec<Uuid> = state.jobs.values().filter(by_itself).map(|kept| kept.job.id).collect();
            let goes = |job: &StoredJob| gone.contains(&job.id) || job.of.is_some_and(|of| gone.contains(&of));
            state.jobs.retain(|_, kept| !goes(&kept.job));
            Ok(gone.len() as u64)
        })
    }

    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        self.answer(move |state| {
            let last = || state.jobs.values().filter(|kept| kept.job.finished).map(|kept| kept.at).max();
            let known = state.time.or_else(last);
            state.time = state.time.max(at);
            Ok(known)
        })
    }

    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        self.answer(move |state| {
            if hold.body.len() > HOLD_BODY_MAX {
                return Err(StoreError::TooLarge { what: "a legal hold" });
            }
            state.holds.insert(hold.id, hold);
            state.syncs += 1;
            Ok(())
        })
    }

    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        self.answer(move |state| {
            let held = state.holds.remove(&id).is_some();
            state.syncs += u64::from(held);
            Ok(held)
        })
    }

    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.answer(move |state| {
            let after = state.holds.values().filter(|hold| cursor.is_none_or(|cursor| hold.id > cursor));
            Ok(after.take(limit).cloned().collect())
        })
    }
}
