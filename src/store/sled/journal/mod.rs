//! What was done about erasures since the last exports: every durable step, every legal hold and every number that was given to an
//! upstream, sealed as in the store, in a file beside it. A restore does them again, so that no accepted erasure is lost with the store.
//!
//! It begins with the first export. Each export that is known to be complete drops what lies before the one before it: an export
//! that was broken off at its reader's drops nothing. The tip says how far it goes, and each record which one came before it.
//! See docs/decisions/042-journal.md.

mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use self::record::Record;
use super::report;
use super::tip::check;
use crate::domain::{UnixSeconds, UpstreamNumber};
use crate::store::seal::key_file::directory_of;
use crate::store::{JobWrite, StoredHold};
use crate::telemetry::rfc3339;

const MAGIC: [u8; 8] = *b"FGJOURN\x02";
const HEAD: usize = 8 + 16 + 8 + 8 + 8;

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are steps")]
pub(super) enum Done {
    Step(JobWrite),
    Hold(StoredHold),
    Unhold(Uuid),
    Upstream { number: UpstreamNumber, name: String, identity: String },
}

/// What a journal says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of which store.
    pub(super) instance: [u8; 16],
    /// Everything after the write of this number is in it.
    pub(super) since: u64,
    /// Where the latest export ended that is known to be complete.
    pub(super) exported: u64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    /// Number of the last record, or where it begins.
    last: u64,
}

impl Journal {
    /// Begins an empty one.
    pub(super) fn begin(path: &Path, instance: [u8; 16], number: u64) -> io::Result<Self> {
        Self::write(path, Head { instance, since: number, exported: number }, &[], number)
    }

    /// Begins the one of a store that was made from an export which ended with this write: with what the journal of the store
    /// before it knew until then, so that older exports can be restored as before.
    pub(super) fn go_on(path: &Path, instance: [u8; 16], end: u64, before: Option<&Read>) -> io::Result<Self> {
        let Some(before) = before else { return Self::begin(path, instance, end) };
        let kept: Vec<_> = before.records.iter().filter(|record| record.number <= end).cloned().collect();
        Self::write(path, Head { instance, ..before.head }, &kept, end)
    }

    /// Opens the one of this store, without what a crash left half written at its end. What it lacks is said, and never cut
    /// off: behind it there may be more. `last`: how far it goes, as the tip says. `None`: there is none.
    pub(super) fn open(path: &Path, instance: [u8; 16], last: u64) -> io::Result<Option<Self>> {
        let Some(read) = read(path)?.filter(|read| read.head.instance == instance) else {
            if last > 0 {
                report::warn(&format!("{} is missing or does not read; {WAY_OUT}", path.display()), None);
            }
            return Ok(None);
        };
        let gaps = read.gaps(read.head.since, Some(last));
        for gap in &gaps {
            report::warn(&format!("{} lacks what was done {gap}; {WAY_OUT}", path.display()), None);
        }
        let file = OpenOptions::new().append(true).open(path)?;
        if gaps.is_empty() {
            file.set_len(read.length)?;
        }
        file.sync_all()?;
        let last = read.records.last().map_or(read.head.since, |record| record.number).max(last);
        Ok(Some(Self { path: path.into(), file, pending: Vec::new(), last }))
    }

    /// Puts it in line for the next sync. `number`: of its last write.
    pub(super) fn add(&mut self, number: u64, done: Done) {
        record::append(&mut self.pending, &Record { number, previous: self.last, done });
        self.last = number;
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

    /// How far it goes.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// An export that ended with this write is known to be complete: what the one before it holds need not be done again any
    /// more.
    pub(super) fn exported(&mut self, number: u64) -> io::Result<()> {
        self.sync(true)?;
        let Some(Read { head, mut records, .. }) = read(&self.path)? else { return Ok(()) };
        if number <= head.exported {
            return Ok(());
        }
        records.retain(|record| record.number > head.exported);
        let head = Head { since: head.exported, exported: number, ..head };
        *self = Self::write(&self.path, head, &records, self.last)?;
        Ok(())
    }

    /// Aside first, then into its place.
    fn write(path: &Path, head: Head, kept: &[Record], last: u64) -> io::Result<Self> {
        let mut bytes = head.to_bytes();
        kept.iter().for_each(|kept| record::append(&mut bytes, kept));
        let aside = path.with_added_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside);
        file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))?;
        fs::rename(&aside, path)?;
        File::open(directory_of(path))?.sync_all()?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.into(), file, pending: Vec::new(), last })
    }
}

const WAY_OUT: &str = "nothing is missing from the store, but a restore from an export of before would lack it: take an export \
                       now (`forgetgate index export`)";

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

/// A journal as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) records: Vec<Record>,
    /// Bytes up to the end of the last record.
    length: u64,
}

impl Read {
    /// Numbers of writes that there have been.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.records.iter().map(|record| record.number).chain([self.head.exported])
    }

    /// What is missing of what was done after the write of this number, in words that say when it was. `last`: how far the
    /// journal goes, if that is known.
    pub(super) fn gaps(&self, since: u64, last: Option<u64>) -> Vec<String> {
        let (mut gaps, mut before, mut from) = (Vec::new(), self.head.since, None);
        for Record { number, previous, done } in &self.records {
            let at = at(done);
            if *previous > before.max(since) {
                gaps.push(between(from, at));
            }
            (before, from) = ((*number).max(before), at.or(from));
        }
        if last.is_some_and(|last| last > before.max(since)) {
            gaps.push(between(from, None));
        }
        gaps
    }
}

/// When it was done, where that is said.
const fn at(done: &Done) -> Option<UnixSeconds> {
    match done {
        Done::Step(write) => Some(write.at),
        Done::Hold(_) | Done::Unhold(_) | Done::Upstream { .. } => None,
    }
}

fn between(from: Option<UnixSeconds>, until: Option<UnixSeconds>) -> String {
    let from = from.map_or_else(|| "from its beginning".to_owned(), |from| format!("from {}", rfc3339(from)));
    until.map_or_else(|| format!("{from} on"), |until| format!("{from} until {}", rfc3339(until)))
}

/// Reads one, whatever of it reads. `None`: there is none that says what it is.
pub(super) fn read(path: &Path) -> io::Result<Option<Read>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let Some(head) = Head::from_bytes(head) else { return Ok(None) };
    let (records, length) = record::all(rest);
    Ok(Some(Read { head, records, length: (HEAD + length) as u64 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PairKey, Tag};
    use crate::store::StoredJob;

    fn job(number: u128, of: Option<Uuid>) -> StoredJob {
        let (tag, received) = (Tag([3; 16]), UnixSeconds(7));
        let (summary, body) = (vec![1; 5], vec![2; 3000]);
        let (id, finished) = (Uuid::from_u128(number), number.is_multiple_of(2));
        StoredJob { id, tag, finished, received, of, accepted: 0, version: 0, summary, body }
    }

    fn story() -> Vec<Done> {
        let key = PairKey::from_bytes(&[9; PairKey::LEN]).unwrap();
        let alone = JobWrite { job: job(1, None), erased: vec![], at: UnixSeconds(8), also: None };
        let also = Some(job(3, Some(Uuid::from_u128(1))));
        let whole = JobWrite { job: job(2, None), erased: vec![key, key], at: UnixSeconds(9), also };
        let hold = |upstream| StoredHold { id: Uuid::from_u128(4), tag: Tag([5; 16]), upstream, body: vec![6; 10] };
        let number = UpstreamNumber(300);
        let holds = [Done::Hold(hold(None)), Done::Hold(hold(Some(number))), Done::Unhold(Uuid::nil())];
        let given = Done::Upstream { number, name: "one".into(), identity: "http://one".into() };
        [Done::Step(alone), Done::Step(whole)].into_iter().chain(holds).chain([given]).collect()
    }

    /// One with the whole story in it.
    fn told(path: &Path) -> Journal {
        let mut journal = Journal::begin(path, [1; 16], 10).unwrap();
        (11..).zip(story()).for_each(|(number, done)| journal.add(number, done));
        journal.sync(true).unwrap();
        journal
    }

    fn numbers(read: &Read) -> Vec<u64> {
        read.records.iter().map(|record| record.number).collect()
    }

    #[test]
    fn p5_what_was_done_reads_back_and_a_torn_end_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.journal");
        assert!(Journal::open(&path, [1; 16], 0).unwrap().is_none());
        assert_eq!(told(&path).last(), 16);
        let found = read(&path).unwrap().unwrap();
        assert_eq!(found.records.iter().map(|record| record.done.clone()).collect::<Vec<_>>(), story());
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let Some(read) = read(&path).unwrap() else {
                assert!(cut < HEAD);
                continue;
            };
            assert_eq!(read.records, found.records[..read.records.len()]);
            assert!(read.length <= cut as u64);
            assert_eq!(read.gaps(10, None), Vec::<String>::new(), "a crash leaves no gap");
            let last = read.records.last().map_or(10, |record| record.number);
            assert_eq!(read.gaps(10, Some(16)).is_empty(), last == 16, "what the tip names is missed");
        }
        let mut again = Journal::open(&path, [1; 16], 15).unwrap().unwrap();
        again.add(20, story().remove(4));
        again.sync(true).unwrap();
        assert_eq!(numbers(&read(&path).unwrap().unwrap()), [11, 12, 13, 14, 15, 20]);
        assert!(Journal::open(&path, [2; 16], 0).unwrap().is_none(), "another store's");
    }

    /// Whatever single byte is another: what does not read is missed, and everything else is there, also behind it.
    #[test]
    fn p5_p11_damage_in_its_middle_is_a_gap_and_hides_nothing_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.journal");
        drop(told(&path));
        let whole = fs::read(&path).unwrap();
        for at in (HEAD..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            fs::write(&path, damaged).unwrap();
            let before = read(&path).unwrap().unwrap();
            assert_eq!(before.records.len(), 5, "byte {at}");
            assert_eq!(before.gaps(10, Some(16)).len(), 1, "byte {at}");
            let mut journal = Journal::open(&path, [1; 16], 16).unwrap().unwrap();
            journal.add(17, story().remove(0));
            journal.sync(true).unwrap();
            let after = read(&path).unwrap().unwrap();
            assert_eq!((after.records.len(), after.gaps(10, Some(17)).len()), (6, 1), "byte {at}");
            journal.exported(17).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().gaps(10, Some(17)).len(), 1, "an older export may be restored");
            assert_eq!(read(&path).unwrap().unwrap().gaps(17, Some(17)).len(), 0, "one of afterwards needs none of it");
        }
    }

    #[test]
    fn a_completed_export_drops_what_the_one_before_it_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.journal");
        let mut journal = told(&path);
        journal.exported(13).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().records.len(), 6, "an older export may be restored");
        journal.exported(16).unwrap();
        let left = read(&path).unwrap().unwrap();
        assert_eq!(numbers(&left), [14, 15, 16]);
        assert_eq!(left.head, Head { instance: [1; 16], since: 13, exported: 16 });
        assert_eq!(left.gaps(13, Some(16)), Vec::<String>::new());
    }
}
