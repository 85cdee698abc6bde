//! A job's steps, all or nothing.
//!
//! Most steps are one row, the head with the body in it. A step of several rows is written as: a note; the pieces of what is
//! large, under a new generation; the entry that is made with it; the head, which is the moment at which the step counts; then marks,
//! lists, counts and the clearing away. At opening a noted step is taken back (head not written) or finished (written).

use uuid::Uuid;

use super::job_rows::{Head, JobCounts, Note, Place, ended_key, job_id, list_key, name_key};
use super::table::Table;
use super::{TableError, Tables};
use crate::domain::{PairKey, UnixSeconds};
use crate::store::{JobWrite, SUMMARY_BYTES_MAX, StoredJob};

/// Bytes of a piece; small enough for a page of twenty (`row::BYTES_MAX`).
const PIECE: usize = 4096;
const BODY: u8 = 0;
const MARKS: u8 = 1;
/// Where the counts stand among the store's own values.
const COUNTS: &[u8] = b"jobs";

impl Tables {
    /// Writes a job, unless its ID is taken.
    pub(in super::super) fn create(&mut self, job: StoredJob) -> Result<bool, TableError> {
        if self.head(job.id)?.is_some() {
            return Ok(false);
        }
        let at = job.received;
        self.commit(&JobWrite { job, erased: Vec::new(), at, also: None })
    }

    /// Writes one step of a job. `false`: the ID of the entry that is made with it is taken.
    pub(in super::super) fn commit(&mut self, write: &JobWrite) -> Result<bool, TableError> {
        let (job, also) = (&write.job, write.also.as_ref());
        let too_long = |job: &StoredJob| job.summary.len() > SUMMARY_BYTES_MAX;
        if too_long(job) || also.is_some_and(too_long) {
            return Err(TableError::TooLarge("an erasure's summary"));
        }
        if let Some(also) = also
            && (also.id == job.id || self.head(also.id)?.is_some())
        {
            return Ok(false);
        }
        let old = self.head(job.id)?;
        let generation = old.as_ref().map_or(0, |old| old.generation) + 1;
        let head = Head::new(job, generation, write.at);
        let alone = write.erased.is_empty() && also.is_none();
        if alone && old.as_ref().is_some_and(|old| head.alone_after(old)) {
            self.put(&self.jobs.clone(), job.id.as_bytes(), &head.to_bytes())?;
            return Ok(true);
        }
        let mut counts = self.job_counts;
        if let Some(old) = &old {
            counts.subtract(old.finished);
        }
        counts.add(job.finished);
        if let Some(also) = also {
            counts.add(also.finished);
        }
        let note = Note::Step { generation, old: old.as_ref().map(Place::of), also: also.map(|also| also.id), counts };
        self.put(&self.steps.clone(), job.id.as_bytes(), &note.to_bytes())?;
        let marks: Vec<u8> = write.erased.iter().flat_map(|key| key.to_bytes()).collect();
        self.put_pieces(job.id, generation, MARKS, &marks)?;
        if let Some(also) = also {
            self.put_head(also, &Head::new(also, 1, write.at))?;
        }
        self.put_head(job, &head)?;
        self.finish_step(job.id, &head, &write.erased, note)?;
        Ok(true)
    }

    /// The body's pieces, if it has any, before the head that points to them.
    fn put_head(&mut self, job: &StoredJob, head: &Head) -> Result<(), TableError> {
        if head.body.is_none() {
            self.put_pieces(job.id, head.generation, BODY, &job.body)?;
        }
        self.put(&self.jobs.clone(), job.id.as_bytes(), &head.to_bytes())?;
        Ok(())
    }

    /// After the head: can be done again from the start at any point.
    fn finish_step(&mut self, id: Uuid, head: &Head, marks: &[PairKey], note: Note) -> Result<(), TableError> {
        let Note::Step { old, also, counts, .. } = note else { return Ok(()) };
        for key in marks {
            match self.mark_erased(*key, head.at) {
                // Without its mark it is still a target of later erasures.
                Err(TableError::Unreadable(_)) => self.leave_unread("placements", &key.to_bytes()),
                marked => marked?,
            }
        }
        self.put_in_lists(id, head, old)?;
        if let Some(also) = also {
            let made = self.head(also)?.ok_or(TableError::Unreadable("an entry that was made with a step"))?;
            self.put_in_lists(also, &made, None)?;
        }
        if old.is_some() {
            self.remove_pieces(&[id.as_bytes().as_slice(), &(head.generation - 1).to_be_bytes()].concat())?;
        }
        if !marks.is_empty() {
            self.remove_pieces(&[id.as_bytes().as_slice(), &head.generation.to_be_bytes(), &[MARKS]].concat())?;
        }
        self.end_step(id, counts)
    }

    /// The counts as they are after it, and the note's end.
    pub(super) fn end_step(&mut self, id: Uuid, counts: JobCounts) -> Result<(), TableError> {
        if self.job_counts != counts {
            self.put(&self.meta.clone(), COUNTS, &counts.to_bytes())?;
            self.job_counts = counts;
        }
        self.remove(&self.steps.clone(), id.as_bytes())?;
        Ok(())
    }

    /// Makes every list say of a job what its head says.
    fn put_in_lists(&mut self, id: Uuid, head: &Head, old: Option<Place>) -> Result<(), TableError> {
        let place = Place::of(head);
        if let Some(old) = old {
            self.remove_from_lists(id, old, Some(place))?;
        }
        if head.finished {
            self.put(&self.ended.clone(), &ended_key(head.at, id), &[])?;
        } else {
            let (unfinished, key) = (self.unfinished.clone(), list_key(head.tag, id));
            if unfinished.get(&key)?.is_none_or(|listed| *listed != *head.summary) {
                self.put(&unfinished, &key, &head.summary)?;
            }
        }
        if let Some(of) = head.of {
            self.put(&self.names.clone(), &name_key(of, id), &[])?;
        }
        Ok(())
    }

    /// Takes a job out of the lists that it stood in and does not stand in `now`.
    pub(super) fn remove_from_lists(&mut self, id: Uuid, old: Place, now: Option<Place>) -> Result<(), TableError> {
        let in_ended = |place: Place| place.finished.then_some(place.at);
        let in_list = |place: Place| (!place.finished).then_some(place.tag);
        if let Some(at) = in_ended(old).filter(|_| now.and_then(in_ended) != in_ended(old)) {
            self.remove(&self.ended.clone(), &ended_key(at, id))?;
        }
        if let Some(tag) = in_list(old).filter(|_| now.and_then(in_list) != in_list(old)) {
            self.remove(&self.unfinished.clone(), &list_key(tag, id))?;
        }
        if let Some(of) = old.of.filter(|of| now.and_then(|now| now.of) != Some(*of)) {
            self.remove(&self.names.clone(), &name_key(of, id))?;
        }
        Ok(())
    }

    /// At opening: finishes or takes back what a crash left half done. What does not read stays noted, with its head and
    /// all its pieces.
    pub(super) fn finish_steps(&mut self) -> Result<(), TableError> {
        for step in &self.steps.clone() {
            let (id, note) = step?;
            match self.finish_noted(&id, &note) {
                Err(TableError::Unreadable(_)) => self.leave_unread("jobs", &id),
                done => done?,
            }
        }
        Ok(())
    }

    fn finish_noted(&mut self, id: &[u8], note: &[u8]) -> Result<(), TableError> {
        let id = job_id(id)?;
        let note = Note::from_bytes(note).ok_or(TableError::Unreadable("the note of an erasure's step"))?;
        let (step, also) = match note {
            Note::Removal { place, counts } => return self.finish_removal(id, place, counts),
            Note::Step { generation, also, .. } => (generation, also),
        };
        let Some(head) = self.head(id)?.filter(|head| head.generation == step) else {
            self.remove_pieces(&[id.as_bytes().as_slice(), &step.to_be_bytes()].concat())?;
            if let Some(also) = also {
                self.remove(&self.jobs.clone(), also.as_bytes())?;
                self.remove_pieces(also.as_bytes())?;
            }
            return self.end_step(id, self.job_counts);
        };
        let marks = self.pieces(id, step, MARKS)?;
        let marks: Option<Vec<_>> = marks.chunks(PairKey::LEN).map(PairKey::from_bytes).collect();
        self.finish_step(id, &head, &marks.ok_or(TableError::Unreadable("the marks of an erasure's step"))?, note)
    }

    /// Counts are a row of their own; only where it does not read is anything counted.
    pub(super) fn read_job_counts(&mut self) -> Result<(), TableError> {
        let written = self.meta.get(COUNTS)?.and_then(|counts| JobCounts::from_bytes(&counts));
        self.job_counts = match written {
            Some(counts) => counts,
            None => JobCounts { jobs: count(&self.jobs)?, unfinished: count(&self.unfinished)? },
        };
        Ok(())
    }

    pub(super) fn head(&self, id: Uuid) -> Result<Option<Head>, TableError> {
        self.jobs.get(id.as_bytes())?.map(|head| Head::read(&head)).transpose()
    }

    pub(super) fn whole(&self, id: Uuid, head: Head) -> Result<StoredJob, TableError> {
        let Head { generation, finished, received, tag, of, summary, body, at: UnixSeconds(_) } = head;
        let body = body.map_or_else(|| self.pieces(id, generation, BODY), Ok)?;
        Ok(StoredJob { id, tag, finished, received, of, summary, body })
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

    /// Gives how many there were.
    pub(super) fn remove_pieces(&mut self, beginning: &[u8]) -> Result<usize, TableError> {
        let (parts, mut removed) = (self.parts.clone(), 0);
        for key in parts.scan_prefix(beginning).keys() {
            self.remove(&parts, &key?)?;
            removed += 1;
        }
        Ok(removed)
    }
}

fn count(table: &Table) -> Result<u64, TableError> {
    table.iter().keys().try_fold(0, |count, key| key.map(|_| count + 1))
}
