//! A journal's records: a mark, length, check, and what was done. A record names the number of the one before it, so that one
//! that is missing is noticed; and it is found by its mark also behind bytes that do not read.

use memchr::memmem;
use uuid::Uuid;

use super::Done;
use crate::domain::{PairKey, Tag, UnixSeconds, UpstreamNumber};
use crate::store::sled::tip::check;
use crate::store::{JobWrite, StoredHold, StoredJob};

const MARK: [u8; 4] = *b"\xfeFGJ";
const STEP: u8 = 1;
const HOLD: u8 = 2;
const UNHOLD: u8 = 3;
const UPSTREAM: u8 = 4;

/// A thing that was done, and its place among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Record {
    /// Of its last write.
    pub(in super::super) number: u64,
    /// Of the record before it.
    pub(super) previous: u64,
    pub(in super::super) done: Done,
}

/// All records in these bytes, and how many bytes there are up to the end of the last of them.
pub(super) fn all(bytes: &[u8]) -> (Vec<Record>, usize) {
    let (mut records, mut rest) = (Vec::new(), bytes);
    let mut end = 0;
    loop {
        while let Some((record, after)) = first(rest) {
            records.push(record);
            rest = after;
            end = bytes.len() - rest.len();
        }
        // Behind what does not read there may be more.
        let next = rest.get(1..).and_then(|rest| memmem::find(rest, &MARK));
        let Some(next) = next.and_then(|at| rest.get(at + 1..)) else { return (records, end) };
        rest = next;
    }
}

fn first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let rest = bytes.strip_prefix(&MARK)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (whole, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if u64::from_be_bytes(*sum) != check(whole) {
        return None;
    }
    let mut fields = Fields(whole);
    let (number, previous) = (fields.number()?, fields.number()?);
    Some((Record { number, previous, done: fields.done()? }, after))
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

    fn done(&mut self) -> Option<Done> {
        Some(match self.byte()? {
            STEP => {
                let (job, at) = (self.job()?, UnixSeconds(self.number()?));
                let erased = PairKey::list_from_bytes(self.bytes()?)?;
                let also = if self.byte()? == 0 { None } else { Some(self.job()?) };
                Done::Step(JobWrite { job, erased, at, also })
            }
            HOLD => {
                let (id, tag) = (self.id()?, Tag(self.array()?));
                let one = self.byte()? != 0;
                let upstream = UpstreamNumber(u16::from_be_bytes(self.array()?));
                Done::Hold(StoredHold { id, tag, upstream: one.then_some(upstream), body: self.bytes()?.to_vec() })
            }
            UNHOLD => Done::Unhold(self.id()?),
            UPSTREAM => {
                let number = UpstreamNumber(u16::from_be_bytes(self.array()?));
                Done::Upstream { number, name: self.text()?, identity: self.text()? }
            }
            _ => return None,
        })
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn job(&mut self) -> Option<StoredJob> {
        Some(StoredJob {
            id: self.id()?,
            tag: Tag(self.array()?),
            finished: self.byte()? != 0,
            received: UnixSeconds(self.number()?),
            of: self.optional()?.map(Uuid::from_bytes),
            // Its number would be another's in the store that is restored.
            accepted: 0,
            version: 0,
            summary: self.bytes()?.to_vec(),
            body: self.bytes()?.to_vec(),
        })
    }
}

pub(super) fn append(to: &mut Vec<u8>, Record { number, previous, done }: &Record) {
    let mut bytes = [number.to_be_bytes(), previous.to_be_bytes()].concat();
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
            bytes.push(u8::from(hold.upstream.is_some()));
            bytes.extend_from_slice(&hold.upstream.map_or(0, |upstream| upstream.0).to_be_bytes());
            append_bytes(&mut bytes, &hold.body);
        }
        Done::Unhold(id) => {
            bytes.push(UNHOLD);
            bytes.extend_from_slice(id.as_bytes());
        }
        Done::Upstream { number, name, identity } => {
            bytes.push(UPSTREAM);
            bytes.extend_from_slice(&number.0.to_be_bytes());
            append_bytes(&mut bytes, name.as_bytes());
            append_bytes(&mut bytes, identity.as_bytes());
        }
    }
    let sum = check(&bytes).to_be_bytes();
    to.extend_from_slice(&MARK);
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
