//! How jobs lie in their rows: the head, which holds a small body itself; the note of a step; the counts; the keys.

use uuid::Uuid;

use super::TableError;
use crate::domain::{Tag, UnixSeconds};
use crate::store::StoredJob;

/// The longest body that stands in the head: with it a step may be one row. Well below what a page takes
/// (`row::BYTES_MAX`), since a head is written whole at each step.
pub(super) const INLINE_MAX: usize = 2048;

const LAYOUT: u8 = 1;
/// A head that says which write made it.
const LAYOUT_2: u8 = 2;
const FINISHED: u8 = 1;
const INLINE: u8 = 2;
const HAS_OF: u8 = 4;

/// What is kept of a job in one row.
#[derive(Clone)]
pub(super) struct Head {
    /// Counts the job's steps; pieces belong to one of them.
    pub(super) generation: u64,
    pub(super) finished: bool,
    pub(super) received: UnixSeconds,
    /// When its latest step was committed.
    pub(super) at: UnixSeconds,
    /// The number of the write that made it; 0 where that is not known, as it was never in the first layout.
    pub(super) accepted: u64,
    pub(super) tag: Tag,
    pub(super) of: Option<Uuid>,
    pub(super) summary: Vec<u8>,
    /// `None`: it stands in pieces.
    pub(super) body: Option<Vec<u8>>,
}

impl Head {
    pub(super) fn new(job: &StoredJob, generation: u64, at: UnixSeconds, accepted: u64) -> Self {
        Self {
            generation,
            finished: job.finished,
            received: job.received,
            at,
            accepted,
            tag: job.tag,
            of: job.of,
            summary: job.summary.clone(),
            body: (job.body.len() <= INLINE_MAX).then(|| job.body.clone()),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let flags = u8::from(self.finished) * FINISHED
            + u8::from(self.body.is_some()) * INLINE
            + u8::from(self.of.is_some()) * HAS_OF;
        let layout = if self.accepted == 0 { LAYOUT } else { LAYOUT_2 };
        let mut bytes = vec![layout, flags];
        let accepted = Some(self.accepted).filter(|accepted| *accepted != 0);
        for number in [self.generation, self.received.0, self.at.0].into_iter().chain(accepted) {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.tag.0);
        bytes.extend_from_slice(self.of.as_ref().map_or(&[][..], |of| of.as_bytes()));
        // No longer than `SUMMARY_BYTES_MAX`, which fits.
        bytes.push(u8::try_from(self.summary.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&self.summary);
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[layout @ (LAYOUT | LAYOUT_2), flags], rest) = bytes.split_first_chunk::<2>()? else { return None };
        let (generation, rest) = number(rest)?;
        let (received, rest) = number(rest)?;
        let (at, rest) = number(rest)?;
        let (accepted, rest) = if layout == LAYOUT { (0, rest) } else { number(rest)? };
        let (tag, rest) = rest.split_first_chunk::<16>()?;
        let (of, rest) =
            if flags & HAS_OF == 0 { (None, rest) } else { uuid(rest).map(|(of, rest)| (Some(of), rest))? };
        let (length, rest) = rest.split_first()?;
        let (summary, body) = rest.split_at_checked(usize::from(*length))?;
        let inline = flags & INLINE != 0;
        (inline || body.is_empty()).then(|| Self {
            generation,
            finished: flags & FINISHED != 0,
            received: UnixSeconds(received),
            at: UnixSeconds(at),
            accepted,
            tag: Tag(*tag),
            of,
            summary: summary.to_vec(),
            body: inline.then(|| body.to_vec()),
        })
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, TableError> {
        Self::from_bytes(bytes).ok_or(TableError::Unreadable("a job"))
    }

    /// Whether this head may take that one's place with no other row: then nothing that other rows say of the job has
    /// changed.
    pub(super) fn alone_after(&self, old: &Self) -> bool {
        let both_open = !(self.finished || old.finished);
        let both_inline = self.body.is_some() && old.body.is_some();
        both_open && both_inline && (self.tag, self.of, &self.summary) == (old.tag, old.of, &old.summary)
    }
}

/// How many jobs there are. The note of a step says it as well, so that it is exact after any crash and nothing has to be
/// counted at opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JobCounts {
    pub(super) jobs: u64,
    pub(super) unfinished: u64,
}

impl JobCounts {
    pub(super) fn add(&mut self, finished: bool) {
        self.jobs += 1;
        self.unfinished += u64::from(!finished);
    }

    pub(super) fn subtract(&mut self, finished: bool) {
        self.jobs = self.jobs.saturating_sub(1);
        self.unfinished = self.unfinished.saturating_sub(u64::from(!finished));
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.jobs.to_be_bytes());
        bytes.extend_from_slice(&self.unfinished.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (jobs, rest) = number(bytes)?;
        let (unfinished, rest) = number(rest)?;
        Some((Self { jobs, unfinished }, rest))
    }
}

/// Where other rows point to a job: what must be known of it to find them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) finished: bool,
    pub(super) at: UnixSeconds,
    pub(super) tag: Tag,
    pub(super) of: Option<Uuid>,
}

impl Place {
    pub(super) fn of(head: &Head) -> Self {
        Self { finished: head.finished, at: head.at, tag: head.tag, of: head.of }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self.finished) * FINISHED + u8::from(self.of.is_some()) * HAS_OF);
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        bytes.extend_from_slice(&self.tag.0);
        bytes.extend_from_slice(self.of.unwrap_or_default().as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (flags, rest) = bytes.split_first()?;
        let (at, rest) = number(rest)?;
        let (tag, rest) = rest.split_first_chunk::<16>()?;
        let (of, rest) = uuid(rest)?;
        let of = Some(of).filter(|_| flags & HAS_OF != 0);
        Some((Self { finished: flags & FINISHED != 0, at: UnixSeconds(at), tag: Tag(*tag), of }, rest))
    }
}

/// What is noted before the first of several rows: enough to finish them or to take them back. Steps come one after another,
/// so the latest note says of all of them what must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Jobs without it.
    pub(super) before: JobCounts,
    /// Jobs with it.
    pub(super) after: JobCounts,
    pub(super) what: Noted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Nothing is under way.
    Nothing,
    /// A job's step. It counts if the job's head has this generation.
    Step { id: Uuid, generation: u64, old: Option<Place>, also: Option<Uuid> },
    /// A job that is removed. It counts at once.
    Removal { id: Uuid, place: Place },
}

const NOTHING: u8 = 0;
const STEP: u8 = 1;
const REMOVAL: u8 = 2;
const HAS_OLD: u8 = 1;
const HAS_ALSO: u8 = 2;

impl Note {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (kind, flags) = match self.what {
            Noted::Nothing => (NOTHING, 0),
            Noted::Step { old, also, .. } => {
                (STEP, u8::from(old.is_some()) * HAS_OLD + u8::from(also.is_some()) * HAS_ALSO)
            }
            Noted::Removal { .. } => (REMOVAL, 0),
        };
        let mut bytes = vec![LAYOUT, kind, flags];
        self.before.write(&mut bytes);
        self.after.write(&mut bytes);
        match self.what {
            Noted::Nothing => {}
            Noted::Step { id, generation, old, also } => {
                bytes.extend_from_slice(id.as_bytes());
                bytes.extend_from_slice(&generation.to_be_bytes());
                if let Some(old) = old {
                    old.write(&mut bytes);
                }
                bytes.extend_from_slice(also.as_ref().map_or(&[][..], |also| also.as_bytes()));
            }
            Noted::Removal { id, place } => {
                bytes.extend_from_slice(id.as_bytes());
                place.write(&mut bytes);
            }
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[LAYOUT, kind, flags], rest) = bytes.split_first_chunk::<3>()? else { return None };
        let (before, rest) = JobCounts::read(rest)?;
        let (after, rest) = JobCounts::read(rest)?;
        let (what, rest) = match kind {
            NOTHING => (Noted::Nothing, rest),
            STEP => {
                let (id, rest) = uuid(rest)?;
                let (generation, rest) = number(rest)?;
                let (old, rest) = optional(flags & HAS_OLD != 0, rest, Place::read)?;
                let (also, rest) = optional(flags & HAS_ALSO != 0, rest, uuid)?;
                (Noted::Step { id, generation, old, also }, rest)
            }
            REMOVAL => {
                let (id, rest) = uuid(rest)?;
                let (place, rest) = Place::read(rest)?;
                (Noted::Removal { id, place }, rest)
            }
            _ => return None,
        };
        rest.is_empty().then_some(Self { before, after, what })
    }
}

/// Key of a list entry: unfinished jobs by customer.
pub(super) fn list_key(tag: Tag, id: Uuid) -> Vec<u8> {
    [tag.0, *id.as_bytes()].concat()
}

pub(super) fn read_list_key(key: &[u8]) -> Option<(Tag, Uuid)> {
    let (tag, id) = key.split_first_chunk::<16>()?;
    Some((Tag(*tag), Uuid::from_slice(id).ok()?))
}

/// Key in the list of finished jobs, by the time of their last step.
pub(super) fn ended_key(at: UnixSeconds, id: Uuid) -> Vec<u8> {
    [at.0.to_be_bytes().as_slice(), id.as_bytes()].concat()
}

pub(super) fn read_ended_key(key: &[u8]) -> Result<(UnixSeconds, Uuid), TableError> {
    let (at, id) = number(key).ok_or(TableError::Unreadable("an entry of the list of finished jobs"))?;
    Ok((UnixSeconds(at), job_id(id)?))
}

/// Key of one of a job's other names.
pub(super) fn name_key(of: Uuid, name: Uuid) -> Vec<u8> {
    [*of.as_bytes(), *name.as_bytes()].concat()
}

pub(super) fn job_id(bytes: &[u8]) -> Result<Uuid, TableError> {
    Uuid::from_slice(bytes).map_err(|_| TableError::Unreadable("a job's ID"))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

fn uuid(bytes: &[u8]) -> Option<(Uuid, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*id), rest))
}

fn optional<T>(is_there: bool, bytes: &[u8], read: impl Fn(&[u8]) -> Option<(T, &[u8])>) -> Option<(Option<T>, &[u8])> {
    if is_there { read(bytes).map(|(value, rest)| (Some(value), rest)) } else { Some((None, bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_a_head_of_the_first_layout_says_that_it_is_not_known_which_write_made_it() {
        for of in [None, Some(Uuid::from_u128(5))] {
            let (id, tag, summary, body) = (Uuid::from_u128(4), Tag([3; 16]), vec![1; 9], vec![2; 30]);
            let received = UnixSeconds(7);
            let job = StoredJob { id, tag, finished: false, received, of, accepted: 0, version: 0, summary, body };
            let new = Head::new(&job, 6, UnixSeconds(8), 77);
            let read = Head::read(&new.to_bytes()).unwrap();
            assert_eq!((read.accepted, read.generation, read.tag, read.of), (77, 6, tag, of));
            assert_eq!((read.summary, read.body), (job.summary.clone(), Some(job.body.clone())));
            let mut first = new.to_bytes();
            first[0] = LAYOUT;
            first.drain(26..34);
            let old = Head::read(&first).unwrap();
            assert_eq!((old.accepted, old.of, &old.body), (0, of, &Some(job.body.clone())));
            assert_eq!(old.to_bytes(), first, "and stays so");
        }
    }
}
