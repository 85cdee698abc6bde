//! A job's steps, all or nothing.
//!
//! Most steps are one row, the head with the body in it. A step of several rows is written as: a note; the pieces of what is
//! large, under a new generation; the entry that is made with it; the head, which is the moment at which the step counts; then marks,
//! lists and the clearing away. At opening the latest is taken back (head not written) or finished once more (`recover.rs`).

use uuid::Uuid;

use super::job_rows::{Head, JobCounts, Note, Noted, Place, ended_key, list_key, name_key};
use super::{TableError, Tables};
use crate::domain::{PairKey, UnixSeconds};
use crate::store::{JobWrite, SUMMARY_BYTES_MAX, StoredJob};

/// Bytes of a piece; small enough for a page of twenty (`row::BYTES_MAX`).
const PIECE: usize = 4096;
const BODY: u8 = 0;
pub(super) const MARKS: u8 = 1;
/// Where the note of the latest step stands.
pub(super) const LATEST: &[u8] = b"latest";

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
        let version = old.as_ref().map_or(0, |old| old.generation);
        if job.version != 0 && job.version != version {
            return Err(TableError::Conflict);
        }
        let generation = version + 1;
        // Whatever is written from here on has a higher number than what was written before the job was there.
        let now = self.tip.number + 1;
        let head = Head::new(job, generation, write.at, old.as_ref().map_or(now, |old| old.accepted));
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
        let (place, name) = (old.as_ref().map(Place::of), also.map(|also| also.id));
        self.note(counts, Noted::Step { id: job.id, generation, old: place, also: name })?;
        let marks = PairKey::list_to_bytes(&write.erased);
        self.put_pieces(job.id, generation, MARKS, &marks)?;
        if let Some(also) = also {
            self.put_head(also, &Head::new(also, 1, write.at, now))?;
        }
        self.put_head(job, &head)?;
        self.finish_step(job.id, &head, &write.erased, place, name)?;
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

    /// Before the first row of several. The counts are as if all were done: it will be, or the store is opened again.
    pub(super) fn note(&mut self, after: JobCounts, what: Noted) -> Result<(), TableError> {
        let note = Note { before: self.job_counts, after, what };
        self.put(&self.steps.clone(), LATEST, &note.to_bytes())?;
        self.job_counts = after;
        Ok(())
    }

    /// After the head: can be done again from the start at any point.
    pub(super) fn finish_step(
        &mut self,
        id: Uuid,
        head: &Head,
        marks: &[PairKey],
        old: Option<Place>,
        also: Option<Uuid>,
    ) -> Result<(), TableError> {
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

    pub(super) fn head(&self, id: Uuid) -> Result<Option<Head>, TableError> {
        self.jobs.get(id.as_bytes())?.map(|head| Head::read(&head)).transpose()
    }

    pub(super) fn whole(&self, id: Uuid, head: Head) -> Result<StoredJob, TableError> {
        let Head { generation, finished, received, tag, of, summary, body, accepted, at: UnixSeconds(_) } = head;
        let body = body.map_or_else(|| self.pieces(id, generation, BODY), Ok)?;
        Ok(StoredJob { id, tag, finished, received, of, accepted, version: generation, summary, body })
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

    pub(super) fn pieces(&self, id: Uuid, generation: u64, kind: u8) -> Result<Vec<u8>, TableError> {
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
