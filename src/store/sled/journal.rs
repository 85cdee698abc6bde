//! What was done about erasures since the last exports: every durable step and every legal hold, sealed as in the store, in a file
//! beside it. A restore does them again, so that no accepted erasure and no mark is lost with the store.
//!
//! It begins with the first export; each completed export drops what lies before the one before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::tip::check;
use crate::domain::{PairKey, Tag, UnixSeconds, UpstreamNumber};
use crate::store::seal::key_file::directory_of;
use crate::store::{JobWrite, StoredHold, StoredJob};

const MAGIC: [u8; 8] = *b"FGJOURN\x01";
const HEAD: usize = 8 + 16 + 8 + 8 + 8;
const STEP: u8 = 1;
const HOLD: u8 = 2;
const UNHOLD: u8 = 3;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Step(JobWrite),
    Hold(StoredHold),
    Unhold(Uuid),
}

/// What a journal says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of which store.
    pub(super) instance: [u8; 16],
    /// Everything after the write of this number is in it.
    pub(super) since: u64,
    /// Where the latest export ended.
    pub(super) exported: u64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
}

impl Journal {
    /// Begins an empty one.
    pub(super) fn begin(path: &Path, instance: [u8; 16], number: u64) -> io::Result<Self> {
        Self::write(path, Head { instance, since: number, exported: number }, &[])
    }

    /// Opens the one of this store, without what a crash left half written at its end. `None`: there is none.
    pub(super) fn open(path: &Path, instance: [u8; 16]) -> io::Result<Option<Self>> {
        let Some((_, _, length)) = read(path)?.filter(|(head, ..)| head.instance == instance) else {
            return Ok(None);
        };
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()?;
        Ok(Some(Self { path: path.into(), file, pending: Vec::new() }))
    }

    /// Puts it in line for the next sync. `number`: of its last write.
    pub(super) fn add(&mut self, number: u64, done: &Done) {
        append(&mut self.pending, number, done);
    }

    /// Makes durable what is in line.
    pub(super) fn sync(&mut self, sync: bool) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// An export that ended with this write is complete: what the one before it holds need not be done again any more.
    pub(super) fn exported(&mut self, number: u64) -> io::Result<()> {
        self.sync(true)?;
        let Some((head, all, _)) = read(&self.path)? else { return Ok(()) };
        let kept: Vec<_> = all.into_iter().filter(|(at, _)| *at > head.exported).collect();
        *self = Self::write(&self.path, Head { since: head.exported, exported: number, ..head }, &kept)?;
        Ok(())
    }

    /// Aside first, then into its place.
    fn write(path: &Path, head: Head, kept: &[(u64, Done)]) -> io::Result<Self> {
        let mut bytes = head.to_bytes();
        kept.iter().for_each(|(number, done)| append(&mut bytes, *number, done));
        let aside = path.with_added_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
        file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))?;
        fs::rename(&aside, path)?;
        File::open(directory_of(path))?.sync_all()?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file, pending: Vec::new() })
    }
}

impl Head {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.since.to_be_bytes(), self.exported.to_be_bytes()].concat();
        let bytes = [MAGIC.as_slice(), &self.instance, &numbers].concat();
        let sum = check(&bytes).to_be_bytes();
        [bytes.as_slice(), &sum].concat()
    }

    fn from_bytes(bytes: &[u8; HEAD]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk::<8>()?;
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (instance, rest) = rest.split_first_chunk::<16>()?;
        let (since, exported) = rest.split_first_chunk::<8>()?;
        let whole = *magic == MAGIC && u64::from_be_bytes(*sum) == check(bytes);
        let exported = u64::from_be_bytes(exported.try_into().ok()?);
        whole.then_some(Self { instance: *instance, since: u64::from_be_bytes(*since), exported })
    }
}

type Read = (Head, Vec<(u64, Done)>, u64);

/// Reads one as far as it goes: what it says of itself, what was done, and how many bytes are good. `None`: there is none that
/// reads.
pub(super) fn read(path: &Path) -> io::Result<Option<Read>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let Some((head, mut rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let Some(head) = Head::from_bytes(head) else { return Ok(None) };
    let mut all = Vec::new();
    while let Some((number, done, after)) = record(rest) {
        all.push((number, done));
        rest = after;
    }
    Ok(Some((head, all, (bytes.len() - rest.len()) as u64)))
}

fn record(bytes: &[u8]) -> Option<(u64, Done, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (whole, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if u64::from_be_bytes(*sum) != check(whole) {
        return None;
    }
    let mut fields = Fields(whole);
    let (number, kind) = (fields.number()?, fields.byte()?);
    let done = match kind {
        STEP => {
            let (job, at) = (fields.job()?, UnixSeconds(fields.number()?));
            let erased = PairKey::list_from_bytes(fields.bytes()?)?;
            let also = if fields.byte()? == 0 { None } else { Some(fields.job()?) };
            Done::Step(JobWrite { job, erased, at, also })
        }
        HOLD => {
            let (id, tag) = (fields.id()?, Tag(*fields.id()?.as_bytes()));
            let upstream = fields.optional()?.map(|number| u16::from_be_bytes([number[14], number[15]]));
            Done::Hold(StoredHold { id, tag, upstream: upstream.map(UpstreamNumber), body: fields.bytes()?.to_vec() })
        }
        UNHOLD => Done::Unhold(fields.id()?),
        _ => return None,
    };
    Some((number, done, after))
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn id(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    fn optional(&mut self) -> Option<Option<[u8; 16]>> {
        Some(if self.byte()? == 0 { None } else { Some(self.array()?) })
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_be_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn job(&mut self) -> Option<StoredJob> {
        Some(StoredJob {
            id: self.id()?,
            tag: Tag(self.array()?),
            finished: self.byte()? != 0,
            received: UnixSeconds(self.number()?),
            of: self.optional()?.map(Uuid::from_bytes),
            summary: self.bytes()?.to_vec(),
            body: self.bytes()?.to_vec(),
        })
    }
}

fn append(to: &mut Vec<u8>, number: u64, done: &Done) {
    let mut bytes = number.to_be_bytes().to_vec();
    match done {
        Done::Step(write) => {
            bytes.push(STEP);
            append_job(&mut bytes, &write.job);
            bytes.extend_from_slice(&write.at.0.to_be_bytes());
            append_bytes(&mut bytes, &PairKey::list_to_bytes(&write.erased));
            bytes.push(u8::from(write.also.is_some()));
            write.also.iter().for_each(|also| append_job(&mut bytes, also));
        }
        Done::Hold(hold) => {
            bytes.push(HOLD);
            bytes.extend_from_slice(hold.id.as_bytes());
            bytes.extend_from_slice(&hold.tag.0);
            append_optional(&mut bytes, hold.upstream.map(|upstream| u128::from(upstream.0).to_be_bytes()));
            append_bytes(&mut bytes, &hold.body);
        }
        Done::Unhold(id) => {
            bytes.push(UNHOLD);
            bytes.extend_from_slice(id.as_bytes());
        }
    }
    let sum = check(&bytes).to_be_bytes();
    to.extend_from_slice(&length_of(&bytes));
    to.extend_from_slice(&sum);
    to.extend_from_slice(&bytes);
}

fn append_job(to: &mut Vec<u8>, job: &StoredJob) {
    to.extend_from_slice(job.id.as_bytes());
    to.extend_from_slice(&job.tag.0);
    to.push(u8::from(job.finished));
    to.extend_from_slice(&job.received.0.to_be_bytes());
    append_optional(to, job.of.map(Uuid::into_bytes));
    append_bytes(to, &job.summary);
    append_bytes(to, &job.body);
}

fn append_optional(to: &mut Vec<u8>, value: Option<[u8; 16]>) {
    to.push(u8::from(value.is_some()));
    to.extend_from_slice(value.as_ref().map_or(&[], |value| value.as_slice()));
}

fn append_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&length_of(bytes));
    to.extend_from_slice(bytes);
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u128, of: Option<Uuid>) -> StoredJob {
        let (tag, received) = (Tag([3; 16]), UnixSeconds(7));
        let (summary, body) = (vec![1; 5], vec![2; 3000]);
        StoredJob { id: Uuid::from_u128(number), tag, finished: number.is_multiple_of(2), received, of, summary, body }
    }

    fn story() -> Vec<Done> {
        let key = PairKey::from_bytes(&[9; PairKey::LEN]).unwrap();
        let alone = JobWrite { job: job(1, None), erased: vec![], at: UnixSeconds(8), also: None };
        let also = Some(job(3, Some(Uuid::from_u128(1))));
        let whole = JobWrite { job: job(2, None), erased: vec![key, key], at: UnixSeconds(9), also };
        let hold = |upstream| StoredHold { id: Uuid::from_u128(4), tag: Tag([5; 16]), upstream, body: vec![6; 10] };
        let holds = [Done::Hold(hold(None)), Done::Hold(hold(Some(UpstreamNumber(300)))), Done::Unhold(Uuid::nil())];
        [Done::Step(alone), Done::Step(whole)].into_iter().chain(holds).collect()
    }

    #[test]
    fn p5_what_was_done_reads_back_and_a_torn_end_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.journal");
        assert!(Journal::open(&path, [1; 16]).unwrap().is_none());
        let mut journal = Journal::begin(&path, [1; 16], 10).unwrap();
        for (done, number) in story().iter().zip(11..) {
            journal.add(number, done);
        }
        journal.sync(true).unwrap();
        let expected: Vec<_> = (11..).zip(story()).collect();
        assert_eq!(read(&path).unwrap().unwrap().1, expected);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let Some((_, found, length)) = read(&path).unwrap() else {
                assert!(cut < HEAD);
                continue;
            };
            assert_eq!(found, expected[..found.len()]);
            assert!(length <= cut as u64);
        }
        let mut again = Journal::open(&path, [1; 16]).unwrap().unwrap();
        again.add(20, &story()[4]);
        again.sync(true).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().1.last(), Some(&(20, story()[4].clone())));
        assert!(Journal::open(&path, [2; 16]).unwrap().is_none(), "another store's");
    }

    #[test]
    fn a_completed_export_drops_what_the_one_before_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.journal");
        let mut journal = Journal::begin(&path, [1; 16], 10).unwrap();
        for (done, number) in story().iter().zip(11..) {
            journal.add(number, done);
        }
        journal.exported(13).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().1.len(), 5, "an older export may be restored");
        journal.exported(15).unwrap();
        let (head, left, _) = read(&path).unwrap().unwrap();
        assert_eq!(left.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [14, 15]);
        assert_eq!(head, Head { instance: [1; 16], since: 13, exported: 15 });
    }
}
