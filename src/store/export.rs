//! An export: every table of a store as it was at one moment, in a file of our own from which the store can be made again.
//!
//! Rows and jobs stay sealed; no ID is needed to write it, and none is in it. It ends with counts and a digest of all before,
//! so that a file that was cut or changed is refused as a whole.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Index, StoreError};
use crate::domain::UnixSeconds;

const MAGIC: [u8; 8] = *b"FGEXPORT";
const VERSION: u32 = 1;
const ENTRY: u8 = 1;
const GONE: u8 = 2;
const END: u8 = 3;
/// Nothing in a store is nearly as long.
const VALUE_MAX: u32 = 1 << 20;

/// How far an export has come; opaque to whoever asks for the next piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportStep {
    /// The first piece.
    Begin,
    /// Entries of a table, from the first after a key.
    Entries {
        /// Which export.
        export: u64,
        /// Which table.
        table: usize,
        /// The last key that is out.
        after: Vec<u8>,
    },
    /// What has changed since the beginning, and the end.
    Changes {
        /// Which export.
        export: u64,
    },
    /// Nobody wants the rest.
    Leave {
        /// Which export.
        export: u64,
    },
    /// It is out as a whole, and is safe where it was taken to.
    Done {
        /// The number of the latest write that is in it.
        number: u64,
    },
}

/// What an export begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The store's format.
    pub(crate) format: u32,
    pub(crate) key_check: [u8; 16],
    pub(crate) begun: UnixSeconds,
}

/// One of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry; a later one with the same key counts instead.
    Entry { table: u8, key: Vec<u8>, value: Vec<u8> },
    /// There is no such entry after all.
    Gone { table: u8, key: Vec<u8> },
    /// Number and sum of the latest write.
    End { number: u64, sum: u64 },
}

impl Head {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let numbers = [VERSION.to_be_bytes(), self.format.to_be_bytes()].concat();
        [MAGIC.as_slice(), &numbers, &self.key_check, &self.begun.0.to_be_bytes()].concat()
    }
}

impl Record {
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        let numbers;
        let (kind, table, key, value): (u8, u8, &[u8], &[u8]) = match self {
            Self::Entry { table, key, value } => (ENTRY, *table, key, value),
            Self::Gone { table, key } => (GONE, *table, key, &[]),
            Self::End { number, sum } => {
                numbers = [number.to_be_bytes(), sum.to_be_bytes()].concat();
                (END, 0, &[], &numbers)
            }
        };
        bytes.extend_from_slice(&[kind, table]);
        for length in [key.len(), value.len()] {
            bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
}

/// An export that is being taken, piece by piece, so that traffic never waits long for it.
pub struct Export {
    index: Arc<dyn Index>,
    step: Option<ExportStep>,
    digest: Sha256,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("step", &self.step).finish_non_exhaustive()
    }
}

impl Export {
    /// Nothing is read before the first piece is asked for.
    #[must_use]
    pub fn of(index: Arc<dyn Index>) -> Self {
        Self { index, step: Some(ExportStep::Begin), digest: Sha256::new() }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the export is worth nothing then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(ExportStep::Done { .. }) = self.step {
            return Ok(None);
        }
        let Some(step) = self.step.take() else { return Ok(None) };
        let (mut bytes, next) = self.index.export(step).await?;
        self.digest.update(&bytes);
        if let Some(ExportStep::Done { .. }) = next {
            bytes.extend_from_slice(&self.digest.clone().finalize());
        }
        self.step = next;
        Ok(Some(bytes))
    }

    /// Says that all pieces are durable where they were taken to. Only then the store lets go of what older exports needed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the export is good all the same.
    pub async fn is_safe(mut self) -> Result<(), StoreError> {
        match self.step.take() {
            Some(step @ ExportStep::Done { .. }) => self.index.export(step).await.map(drop),
            _ => Ok(()),
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(ExportStep::Entries { export, .. } | ExportStep::Changes { export }) = self.step {
            // The question is in line when it has been asked; nobody waits for the answer.
            drop(self.index.export(ExportStep::Leave { export }));
        }
    }
}

/// Why a file is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is not an export of a store, or one of a newer version")]
    Unknown,
    /// It was cut or changed.
    #[error("it is damaged or ends too early: take another export")]
    Damaged,
}

/// Reads an export to its end, to see that it is whole. Gives the number of the latest write in it.
///
/// # Errors
///
/// [`ExportFault`].
pub fn look_through(path: &Path) -> Result<u64, ExportFault> {
    look_to_end(path).map(|(_, end)| end)
}

/// The same, with what it begins with.
pub(crate) fn look_to_end(path: &Path) -> Result<(Head, u64), ExportFault> {
    let mut end = 0;
    let note_end = |_: &Head, record| {
        if let Record::End { number, .. } = record {
            end = number;
        }
        Ok(())
    };
    read(path, note_end).map(|head| (head, end))
}

/// Reads an export from its first byte to its last, and gives each record to `take`. What it held is to be believed only once
/// this has returned.
pub(crate) fn read(path: &Path, mut take: impl FnMut(&Head, Record) -> io::Result<()>) -> Result<Head, ExportFault> {
    let mut file = Digested { file: BufReader::new(std::fs::File::open(path)?), digest: Sha256::new() };
    if file.array()? != MAGIC || u32::from_be_bytes(file.array()?) != VERSION {
        return Err(ExportFault::Unknown);
    }
    let format = u32::from_be_bytes(file.array()?);
    let head = Head { format, key_check: file.array()?, begun: UnixSeconds(u64::from_be_bytes(file.array()?)) };
    loop {
        let [kind, table] = file.array()?;
        let (key_length, value_length) = (u32::from_be_bytes(file.array()?), u32::from_be_bytes(file.array()?));
        let (key, value) = (file.bytes(key_length)?, file.bytes(value_length)?);
        let record = match kind {
            ENTRY => Record::Entry { table, key, value },
            GONE => Record::Gone { table, key },
            END => {
                let (number, sum) = value.split_first_chunk::<8>().ok_or(ExportFault::Damaged)?;
                let sum = sum.try_into().map_err(|_| ExportFault::Damaged)?;
                Record::End { number: u64::from_be_bytes(*number), sum: u64::from_be_bytes(sum) }
            }
            _ => return Err(ExportFault::Damaged),
        };
        let is_end = matches!(record, Record::End { .. });
        take(&head, record)?;
        if is_end {
            break;
        }
    }
    let expected: [u8; 32] = file.digest.clone().finalize().into();
    let whole = file.array::<32>()? == expected && file.file.read(&mut [0])? == 0;
    if whole { Ok(head) } else { Err(ExportFault::Damaged) }
}

/// A file of which everything that is read is digested.
struct Digested {
    file: BufReader<std::fs::File>,
    digest: Sha256,
}

impl Digested {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ExportFault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>, ExportFault> {
        if length > VALUE_MAX {
            return Err(ExportFault::Damaged);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ExportFault> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ExportFault::Damaged),
            read => Ok(read.map(|()| self.digest.update(&*bytes))?),
        }
    }
}
