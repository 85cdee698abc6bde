//! At opening: what a crash left half done is finished or taken back, and the counts of jobs are as the latest note says.
//!
//! Finishing is harmless for what was finished. A step that does not read is kept under its job's ID, with its head and all
//! its pieces, and tried again at each opening.

use super::job_rows::{JobCounts, Note, Noted};
use super::jobs::{LATEST, MARKS};
use super::table::Table;
use super::{TableError, Tables};
use crate::domain::PairKey;

impl Tables {
    /// The latest step, and those that are kept.
    pub(super) fn finish_steps(&mut self) -> Result<(), TableError> {
        let steps = self.steps.clone();
        for entry in &steps {
            let (key, bytes) = entry?;
            if *key == *LATEST {
                continue;
            }
            match Note::from_bytes(&bytes).map(|note| self.finish_noted(note)) {
                Some(Ok(_)) => drop(self.remove(&steps, &key)?),
                None | Some(Err(TableError::Unreadable(_))) => self.leave_unread("jobs", &key),
                Some(Err(broken)) => return Err(broken),
            }
        }
        let Some(latest) = steps.get(LATEST)? else {
            self.count_jobs()?;
            return self.note(self.job_counts, Noted::Nothing);
        };
        match Note::from_bytes(&latest) {
            Some(Note { what: Noted::Nothing, after, .. }) => {
                self.job_counts = after;
                return Ok(());
            }
            Some(note) => match self.finish_noted(note) {
                Ok(counts) => self.job_counts = counts,
                Err(TableError::Unreadable(_)) => self.keep_step(note, &latest)?,
                Err(broken) => return Err(broken),
            },
            None => {
                self.put(&steps, b"unreadable", &latest)?;
                self.leave_unread("steps", b"unreadable");
                self.count_jobs()?;
            }
        }
        self.note(self.job_counts, Noted::Nothing)
    }

    fn keep_step(&mut self, note: Note, bytes: &[u8]) -> Result<(), TableError> {
        let (Noted::Step { id, .. } | Noted::Removal { id, .. }) = note.what else { return Ok(()) };
        self.put(&self.steps.clone(), id.as_bytes(), bytes)?;
        self.leave_unread("jobs", id.as_bytes());
        self.job_counts = note.after;
        Ok(())
    }

    /// Gives how many jobs there are when it is done.
    fn finish_noted(&mut self, note: Note) -> Result<JobCounts, TableError> {
        let (id, step, old, also) = match note.what {
            Noted::Nothing => return Ok(note.after),
            Noted::Removal { id, place } => {
                self.finish_removal(id, place)?;
                return Ok(note.after);
            }
            Noted::Step { id, generation, old, also } => (id, generation, old, also),
        };
        match self.head(id)?.filter(|head| head.generation >= step) {
            // Steps of one row came after it.
            Some(head) if head.generation > step => Ok(note.after),
            Some(head) => {
                let marks = self.pieces(id, step, MARKS)?;
                let marks = PairKey::list_from_bytes(&marks);
                let marks = marks.ok_or(TableError::Unreadable("the marks of an erasure's step"))?;
                self.finish_step(id, &head, &marks, old, also)?;
                Ok(note.after)
            }
            None => {
                self.remove_pieces(&[id.as_bytes().as_slice(), &step.to_be_bytes()].concat())?;
                if let Some(also) = also {
                    self.remove(&self.jobs.clone(), also.as_bytes())?;
                    self.remove_pieces(also.as_bytes())?;
                }
                Ok(note.before)
            }
        }
    }

    /// Only where no note says how many there are.
    fn count_jobs(&mut self) -> Result<(), TableError> {
        let count = |table: &Table| table.iter().keys().try_fold(0, |count, key| key.map(|_| count + 1));
        self.job_counts = JobCounts { jobs: count(&self.jobs)?, unfinished: count(&self.unfinished)? };
        Ok(())
    }
}
