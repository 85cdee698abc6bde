//! Jobs and the marks that belong to their steps, all or nothing.
//!
//! A step is written as: a note that it may be half done; the pieces of the job's body and of its list of marks, under a
//! new generation; the head, which points to them and is the moment at which the step counts; then the marks themselves and
//! the clearing away. At opening every noted step is either taken back (head not written) or finished (head written).

use std::ops::Bound::{Excluded, Unbounded};

use uuid::Uuid;

use super::{TableError, Tables};
use crate::domain::{PairKey, Tag, UnixSeconds};
use crate::store::{JobWrite, StoredJob};

/// Bytes of a piece; small enough for a page of twenty (`row::BYTES_MAX`).
const PIECE: usize = 4096;
const BODY: u8 = 0;
const MARKS: u8 = 1;

/// What is kept of a job in one row.
struct Head {
    generation: u64,
    finished: bool,
    received: UnixSeconds,
    /// When the marks of its latest step were made.
    at: UnixSeconds,
    tag: Tag,
}

impl Head {
    fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.generation, self.received.0, self.at.0].map(u64::to_be_bytes).concat();
        [[u8::from(self.finished)].as_slice(), &numbers, &self.tag.0].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (finished, rest) = bytes.split_first()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (received, rest) = rest.split_first_chunk::<8>()?;
        let (at, tag) = rest.split_first_chunk::<8>()?;
        Some(Self {
            generation: u64::from_be_bytes(*generation),
            finished: *finished != 0,
            received: UnixSeconds(u64::from_be_bytes(*received)),
            at: UnixSeconds(u64::from_be_bytes(*at)),
            tag: Tag(tag.try_into().ok()?),
        })
    }
}

impl Tables {
    /// Writes a job, unless its ID is taken.
    pub(in super::super) fn create(&mut self, job: StoredJob) -> Result<bool, TableError> {
        if self.head(job.id)?.is_some() {
            return Ok(false);
        }
        let at = job.received;
        self.commit(&JobWrite { job, erased: Vec::new(), at })?;
        Ok(true)
    }

    /// Writes one step of a job.
    pub(in super::super) fn commit(&mut self, write: &JobWrite) -> Result<(), TableError> {
        let job = &write.job;
        let old = self.head(job.id)?;
        let generation = old.as_ref().map_or(0, |old| old.generation) + 1;
        self.put(&self.steps.clone(), job.id.as_bytes(), &generation.to_be_bytes())?;
        self.put_pieces(job.id, generation, BODY, &job.body)?;
        let marks: Vec<u8> = write.erased.iter().flat_map(|key| key.to_bytes()).collect();
        self.put_pieces(job.id, generation, MARKS, &marks)?;
        let head = Head { generation, finished: job.finished, received: job.received, at: write.at, tag: job.tag };
        self.put(&self.jobs.clone(), job.id.as_bytes(), &head.to_bytes())?;
        self.job_count += u64::from(old.is_none());
        self.finish_step(job.id, &head, &write.erased)
    }

    /// After the head: can be done again from the start at any point.
    fn finish_step(&mut self, id: Uuid, head: &Head, marks: &[PairKey]) -> Result<(), TableError> {
        for key in marks {
            match self.mark_erased(*key, head.at) {
                // Without its mark it is still a target of later erasures.
                Err(TableError::Unreadable(_)) => self.leave_unread("placements", &key.to_bytes()),
                marked => marked?,
            }
        }
        let unfinished = self.unfinished.clone();
        let entry = [head.tag.0, *id.as_bytes()].concat();
        if head.finished {
            let was = self.remove(&unfinished, &entry)?.is_some();
            self.unfinished_count -= u64::from(was);
        } else {
            let was = self.put(&unfinished, &entry, &[])?.is_some();
            self.unfinished_count += u64::from(!was);
        }
        self.remove_pieces(&[id.as_bytes().as_slice(), &(head.generation - 1).to_be_bytes()].concat())?;
        self.remove_pieces(&[id.as_bytes().as_slice(), &head.generation.to_be_bytes(), &[MARKS]].concat())?;
        self.remove(&self.steps.clone(), id.as_bytes())?;
        Ok(())
    }

    /// At opening: finishes or takes back what a crash left half done. What does not read stays noted, with its head and
    /// all its pieces.
    pub(super) fn finish_steps(&mut self) -> Result<(), TableError> {
        for step in &self.steps.clone() {
            let (id, generation) = step?;
            match self.finish_noted(&id, &generation) {
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", &id),
                done => done?,
            }
        }
        Ok(())
    }

    fn finish_noted(&mut self, id: &[u8], generation: &[u8]) -> Result<(), TableError> {
        let id = job_id(id)?;
        let head = self.head(id)?;
        let Some(head) = head.filter(|head| generation == head.generation.to_be_bytes()) else {
            self.remove_pieces(&[id.as_bytes().as_slice(), generation].concat())?;
            self.remove(&self.steps.clone(), id.as_bytes())?;
            return Ok(());
        };
        let marks = self.pieces(id, head.generation, MARKS)?;
        let marks: Option<Vec<_>> = marks.chunks(PairKey::LEN).map(PairKey::from_bytes).collect();
        self.finish_step(id, &head, &marks.ok_or(TableError::Unreadable("the marks of an erasure's step"))?)
    }

    pub(in super::super) fn job(&self, id: Uuid) -> Result<Option<StoredJob>, TableError> {
        self.head(id)?.map(|head| self.whole(id, &head)).transpose()
    }

    pub(in super::super) fn jobs(&mut self, after: Option<Uuid>, limit: usize) -> Result<Vec<StoredJob>, TableError> {
        let start = after.map_or(Unbounded, |after| Excluded(after.into_bytes().to_vec()));
        let mut found = Vec::new();
        for entry in self.jobs.clone().range((start, Unbounded::<Vec<u8>>)) {
            if found.len() == limit {
                break;
            }
            let (id, head) = entry?;
            match job_id(&id).and_then(|id| self.whole(id, &read_head(&head)?)) {
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", &id),
                job => found.push(job?),
            }
        }
        Ok(found)
    }

    /// Unfinished jobs in the order of their list entries.
    pub(in super::super) fn unfinished(
        &mut self,
        after: Option<(Tag, Uuid)>,
        limit: usize,
    ) -> Result<Vec<StoredJob>, TableError> {
        let start = after.map_or(Unbounded, |(tag, id)| Excluded([tag.0, *id.as_bytes()].concat()));
        let mut found = Vec::new();
        for entry in self.unfinished.clone().range((start, Unbounded::<Vec<u8>>)).keys() {
            if found.len() == limit {
                break;
            }
            found.extend(self.listed(&entry?)?);
        }
        Ok(found)
    }

    /// Those of one customer.
    pub(in super::super) fn unfinished_of(&mut self, tags: &[Tag]) -> Result<Vec<StoredJob>, TableError> {
        let list = self.unfinished.clone();
        let mut found = Vec::new();
        for entry in tags.iter().flat_map(|tag| list.scan_prefix(tag.0).keys()) {
            found.extend(self.listed(&entry?)?);
        }
        found.sort_by_key(|job| job.id);
        Ok(found)
    }

    /// The job of an entry in the list of unfinished ones.
    fn listed(&mut self, entry: &[u8]) -> Result<Option<StoredJob>, TableError> {
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

    fn head(&self, id: Uuid) -> Result<Option<Head>, TableError> {
        self.jobs.get(id.as_bytes())?.map(|head| read_head(&head)).transpose()
    }

    fn whole(&self, id: Uuid, head: &Head) -> Result<StoredJob, TableError> {
        let body = self.pieces(id, head.generation, BODY)?;
        Ok(StoredJob { id, tag: head.tag, finished: head.finished, received: head.received, body })
    }

    fn put_pieces(&mut self, id: Uuid, generation: u64, kind: u8, bytes: &[u8]) -> Result<(), TableError> {
        let parts = self.parts.clone();
        for (number, piece) in (0u32..).zip(bytes.chunks(PIECE)) {
            let generation = generation.to_be_bytes();
            let key = [id.as_bytes().as_slice(), &generation, &[kind], &number.to_be_bytes()].concat();
            self.put(&parts, &key, piece)?;
        }
        Ok(())
    }

    fn pieces(&self, id: Uuid, generation: u64, kind: u8) -> Result<Vec<u8>, TableError> {
        let beginning = [id.as_bytes().as_slice(), &generation.to_be_bytes(), &[kind]].concat();
        let mut bytes = Vec::new();
        for piece in self.parts.scan_prefix(beginning).values() {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    fn remove_pieces(&mut self, beginning: &[u8]) -> Result<(), TableError> {
        let parts = self.parts.clone();
        for key in parts.scan_prefix(beginning).keys() {
            self.remove(&parts, &key?)?;
        }
        Ok(())
    }
}

fn job_id(bytes: &[u8]) -> Result<Uuid, TableError> {
    Uuid::from_slice(bytes).map_err(|_| TableError::Unreadable("a job's ID"))
}

fn read_head(bytes: &[u8]) -> Result<Head, TableError> {
    Head::from_bytes(bytes).ok_or(TableError::Unreadable("a job"))
}
