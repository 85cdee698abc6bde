//! One table in sled, and what makes a missing entry seen: behind each value stand the number of the write that made it and the
//! sum of all other entries at that moment.
//!
//! sled takes damage in its log for the end of the log and goes on without what follows. So whatever is found at opening has to
//! add up to what its latest write says: an entry that is missing, older than it was, or back again does not.

use std::ops::RangeBounds;

use sled::{Db, IVec, Tree};

use super::TableError;

/// Bytes behind each value: number and sum.
const TRAILER: usize = 16;

/// The tables' names. The place of each stands for it in sums and exports and is never given to another.
const NAMES: [&str; 12] = [
    "meta",
    "placements",
    "marked",
    "jobs",
    "parts",
    "steps",
    "unfinished",
    "upstreams",
    "ended",
    "names",
    "holds",
    "instances",
];

/// What stands behind a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Which write made it; each has a number of its own, one more than the one before.
    pub(super) number: u64,
    /// The sum of all other entries of all tables when it was made.
    pub(super) others: u64,
}

/// A tree of sled's.
#[derive(Clone, Debug)]
pub(super) struct Table {
    tree: Tree,
    /// Stands for the table in the sum; never given to another.
    id: u8,
}

impl Table {
    pub(super) fn open(db: &Db, name: &str) -> Result<Self, TableError> {
        let id = NAMES.iter().position(|known| *known == name).and_then(|id| u8::try_from(id).ok());
        Ok(Self { tree: db.open_tree(name)?, id: id.ok_or(TableError::Unreadable("a table's name"))? })
    }

    pub(super) fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, TableError> {
        self.tree.get(key)?.map(|whole| Ok(parted(&whole)?.0)).transpose()
    }

    pub(super) fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, TableError> {
        Ok(self.tree.contains_key(key)?)
    }

    /// A value with its trailer, and whatever is there where it has none.
    pub(super) fn get_raw(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, TableError> {
        Ok(self.tree.get(key)?)
    }

    pub(super) const fn id(&self) -> u8 {
        self.id
    }

    /// Entries with their trailers.
    pub(super) fn raw(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(IVec, IVec), TableError>> {
        self.tree.range(range).map(|entry| Ok(entry?))
    }

    pub(super) fn iter(&self) -> Entries {
        Entries(self.tree.iter())
    }

    pub(super) fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Entries {
        Entries(self.tree.range(range))
    }

    pub(super) fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Entries {
        Entries(self.tree.scan_prefix(prefix))
    }

    /// What an entry adds to the sum.
    pub(super) fn share(&self, key: &[u8], value: &[u8], number: u64) -> u64 {
        let mut hash = mixed(mixed(u64::from(self.id), number), key.len() as u64);
        for bytes in [key, value] {
            let (words, rest) = bytes.as_chunks::<8>();
            hash = words.iter().fold(hash, |hash, word| mixed(hash, u64::from_le_bytes(*word)));
            if !rest.is_empty() {
                let mut last = [0; 8];
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                hash = mixed(hash, u64::from_le_bytes(last));
            }
        }
        mixed(mixed(hash, value.len() as u64), 0)
    }

    /// What is there under this key, and what it adds to the sum.
    pub(super) fn old(&self, key: &[u8]) -> Result<Option<(IVec, u64)>, TableError> {
        let Some(whole) = self.tree.get(key)? else { return Ok(None) };
        let (value, trailer) = parted(&whole)?;
        let share = self.share(key, &value, trailer.number);
        Ok(Some((value, share)))
    }

    pub(super) fn insert(&self, key: &[u8], value: &[u8], trailer: Trailer) -> Result<(), TableError> {
        let whole = [value, &trailer.number.to_be_bytes(), &trailer.others.to_be_bytes()].concat();
        self.tree.insert(key, whole)?;
        Ok(())
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), TableError> {
        self.tree.remove(key)?;
        Ok(())
    }

    /// The entries of a range, with their trailers.
    pub(super) fn whole(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(IVec, IVec, Trailer), TableError>> {
        self.tree.range(range).map(|entry| {
            let (key, whole) = entry?;
            let (value, trailer) = parted(&whole)?;
            Ok((key, value, trailer))
        })
    }

    /// The entries whose keys begin so, with the numbers of their latest writes.
    pub(super) fn numbered(
        &self,
        prefix: impl AsRef<[u8]>,
    ) -> impl Iterator<Item = Result<(IVec, IVec, u64), TableError>> {
        self.tree.scan_prefix(prefix).map(|entry| {
            let (key, whole) = entry?;
            let (value, trailer) = parted(&whole)?;
            Ok((key, value, trailer.number))
        })
    }

    /// What is there under this key, and the number of its latest write.
    pub(super) fn get_numbered(&self, key: impl AsRef<[u8]>) -> Result<Option<(IVec, u64)>, TableError> {
        let Some(whole) = self.tree.get(key)? else { return Ok(None) };
        let (value, trailer) = parted(&whole)?;
        Ok(Some((value, trailer.number)))
    }

    /// Keys that part the table: as evenly as may be said without reading it, between its first and its last.
    pub(super) fn parting(&self, pieces: u128) -> Result<Vec<Vec<u8>>, TableError> {
        let Some(((first, _), (last, _))) = self.tree.first()?.zip(self.tree.last()?) else { return Ok(Vec::new()) };
        let (first, last) = (beginning(&first), beginning(&last));
        let step = last.saturating_sub(first) / pieces;
        let keys = (1..pieces).map(|piece| (first + piece * step).to_be_bytes().to_vec());
        Ok(if step == 0 { Vec::new() } else { keys.collect() })
    }
}

/// The first 16 bytes of a key, as a number.
fn beginning(key: &[u8]) -> u128 {
    key.iter().copied().chain(std::iter::repeat(0)).take(16).fold(0, |number, byte| number << 8 | u128::from(byte))
}

impl super::Tables {
    /// Writes an entry of an export as it stands there, or removes it.
    pub(in super::super) fn put_verbatim(db: &Db, table: u8, key: &[u8], raw: Option<&[u8]>) -> Result<(), TableError> {
        let name = NAMES.get(usize::from(table)).ok_or(TableError::Unreadable("a table of an export"))?;
        let tree = db.open_tree(name)?;
        match raw {
            Some(raw) => tree.insert(key, raw)?,
            None => tree.remove(key)?,
        };
        Ok(())
    }
}

/// Both numbers decide every bit of what comes out.
const fn mixed(hash: u64, word: u64) -> u64 {
    let hash = (hash.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 29)
}

fn parted(whole: &IVec) -> Result<(IVec, Trailer), TableError> {
    let cut = whole.len().checked_sub(TRAILER).ok_or(TableError::NoTrailer)?;
    let (number, others) = whole.split_at(cut).1.split_at(8);
    let number = number.try_into().map(u64::from_be_bytes).map_err(|_| TableError::NoTrailer)?;
    let others = others.try_into().map(u64::from_be_bytes).map_err(|_| TableError::NoTrailer)?;
    Ok((whole.subslice(0, cut), Trailer { number, others }))
}

/// Entries in the order of their keys.
pub(super) struct Entries(sled::Iter);

impl Entries {
    pub(super) fn keys(self) -> impl DoubleEndedIterator<Item = Result<IVec, TableError>> {
        self.0.keys().map(|key| Ok(key?))
    }

    pub(super) fn values(self) -> impl Iterator<Item = Result<IVec, TableError>> {
        self.map(|entry| entry.map(|(_, value)| value))
    }
}

impl Iterator for Entries {
    type Item = Result<(IVec, IVec), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next()?;
        Some(entry.map_err(TableError::from).and_then(|(key, whole)| Ok((key, parted(&whole)?.0))))
    }
}

impl IntoIterator for &Table {
    type Item = Result<(IVec, IVec), TableError>;
    type IntoIter = Entries;

    fn into_iter(self) -> Entries {
        self.iter()
    }
}
