//! Whether everything is there. At opening every entry is read and added up, and the sum must be the one that the
//! latest write says. See docs/decisions/041-completeness-check.md.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use super::placements::Rows;
use super::read_ahead::ReadAhead;
use super::table::{Table, Trailer};
use super::{FORMAT, REMOVING, TableError, Tables};
use crate::store::sled::files::Files;
use crate::store::sled::tip::{Tip, TipFile};
use crate::store::sled::{Check, Tuning};

/// Into how many pieces each table is parted, for threads to take one after the other.
const PIECES: u128 = 16;
const THREADS_MAX: usize = 4;
/// For so many bytes sled is asked once more for the page that they stand in. Its cache takes note of what was asked for only
/// when one of 256 queues holds 64 pages, and leaves these in memory until then: 200 MiB of jobs, whatever its capacity.
const BYTES_PER_ACCESS: usize = 1024;

/// The entry that was written last.
#[derive(Default)]
struct Latest {
    trailer: Trailer,
    share: u64,
    /// What a removal took from the sum, if it had come that far.
    removing: Option<u64>,
}

/// What was read.
#[derive(Default)]
struct Found {
    sum: u64,
    entries: u64,
    latest: Latest,
    rows: Rows,
    /// The list of unfinished jobs, by the number of the piece.
    list: BTreeMap<usize, ReadAhead>,
    /// Entries of the list that cannot be read ahead.
    unlisted: u64,
}

impl Found {
    fn with(self, other: Self) -> Self {
        let other_is_later = other.latest.trailer.number > self.latest.trailer.number;
        Self {
            sum: self.sum.wrapping_add(other.sum),
            entries: self.entries + other.entries,
            latest: if other_is_later { other.latest } else { self.latest },
            rows: self.rows.with(other.rows),
            list: self.list.into_iter().chain(other.list).collect(),
            unlisted: self.unlisted + other.unlisted,
        }
    }

    /// The whole list in its order.
    fn read_ahead(list: BTreeMap<usize, ReadAhead>) -> ReadAhead {
        list.into_values().fold(ReadAhead::default(), |mut whole, part| {
            whole.append(part);
            whole
        })
    }
}

impl Latest {
    /// Whether everything may add up to this.
    fn allows(&self, sum: u64) -> bool {
        let before = self.trailer.others.wrapping_add(self.share);
        sum == before || self.removing.is_some_and(|removed| sum == before.wrapping_sub(removed))
    }
}

impl Tables {
    /// Whether it is ours to read.
    pub(super) fn check_meta(&mut self, key_check: [u8; 16]) -> Result<(), TableError> {
        // A store of the first format has no trailers.
        let format = self.meta.get_raw(b"format")?.and_then(|raw| raw.first_chunk::<4>().copied());
        match format.map(u32::from_be_bytes) {
            None => return Err(TableError::Unreadable("its format")),
            Some(FORMAT) => {}
            Some(found) => return Err(TableError::Format { found }),
        }
        let instance = self.meta.get(b"instance")?.and_then(|instance| instance.as_ref().try_into().ok());
        self.tip.instance = instance.ok_or(TableError::Unreadable("its name"))?;
        let ours = self.meta.get(b"key-check")?.is_some_and(|check| *check == key_check);
        if ours { Ok(()) } else { Err(TableError::WrongKey) }
    }

    /// Reads everything, counts the rows, and refuses what is not all there. A crash leaves a prefix of what was written, so
    /// its last entry names the sum; damage leaves something else.
    pub(super) fn add_up(&mut self, tip: Option<Tip>, check: Check) -> Result<(), TableError> {
        let Found { sum, entries, latest, rows, list, unlisted } = self.read_all(true)?;
        self.read_ahead = (unlisted == 0).then(|| Found::read_ahead(list));
        self.count = rows.count;
        rows.unreadable.iter().for_each(|key| self.leave_unread("placements", key));
        let found = latest.trailer.number;
        if check != Check::Nothing && !latest.allows(sum) {
            return Err(TableError::Incomplete { entries });
        }
        if let Some(tip) = tip.filter(|_| check == Check::Whole) {
            if tip.instance != self.tip.instance {
                return Err(TableError::NoTip("is another store's"));
            }
            if found < tip.number {
                return Err(TableError::Behind { found, expected: tip.number });
            }
            if found == tip.number && sum != tip.sum {
                return Err(TableError::Incomplete { entries });
            }
        }
        (self.tip.number, self.tip.sum) = (found.max(tip.map_or(0, |tip| tip.number)), sum);
        Ok(())
    }

    /// Number and sum of the latest write in a closed store, of which every entry is read.
    pub(in super::super) fn latest(files: &Files) -> Result<(u64, u64), TableError> {
        let found = Self::alone(files)?.read_all(false)?;
        let is_whole = found.latest.allows(found.sum);
        is_whole
            .then_some((found.latest.trailer.number, found.sum))
            .ok_or(TableError::Incomplete { entries: found.entries })
    }

    /// Writes every entry of a closed store, as it is, into a new one.
    pub(in super::super) fn copy(from: &Files, to: &Files) -> Result<(), TableError> {
        let source = Self::alone(from)?;
        let db = sled_config(to).open()?;
        for table in source.all() {
            for entry in table.raw(..) {
                let (key, value) = entry?;
                Self::put_verbatim(&db, table.id(), &key, Some(&value))?;
            }
        }
        db.flush()?;
        Ok(())
    }

    /// The tables of a closed store, without anything beside them.
    fn alone(files: &Files) -> Result<Self, TableError> {
        Self::of(sled_config(files).open()?, files, &Tuning::default(), &Arc::default())
    }

    /// Reads every entry, in pieces, on as many threads as there are processors, up to four. `ahead`: the list of unfinished
    /// jobs is kept.
    fn read_all(&self, ahead: bool) -> Result<Found, TableError> {
        let mut pieces = Vec::new();
        for table in self.all() {
            let parting = table.parting(PIECES)?;
            let starts = parting.iter().cloned().map(Included);
            let ends = parting.iter().cloned().map(Excluded).chain([Unbounded]);
            pieces.extend(iter::once(Unbounded).chain(starts).zip(ends).map(|range| (table.clone(), range)));
        }
        let next = AtomicUsize::new(0);
        let read = || {
            let mut found = Found::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some((table, range)) = pieces.get(number) else { break };
                self.read_piece(table, range.clone(), ahead.then_some(number), &mut found)?;
            }
            Ok(found)
        };
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(read)).collect();
            let mut found = read();
            for other in others {
                let other = other.join().unwrap_or(Err(TableError::Panic));
                found = found.and_then(|found| Ok(found.with(other?)));
            }
            found
        })
    }

    fn read_piece(
        &self,
        table: &Table,
        range: impl RangeBounds<Vec<u8>>,
        ahead: Option<usize>,
        found: &mut Found,
    ) -> Result<(), TableError> {
        let mut unnoted = 0;
        for entry in table.whole(range) {
            let (key, value, trailer) = entry?;
            unnoted += key.len() + value.len();
            for _ in 0..unnoted / BYTES_PER_ACCESS {
                table.contains_key(&key)?;
            }
            unnoted %= BYTES_PER_ACCESS;
            let share = table.share(&key, &value, trailer.number);
            (found.sum, found.entries) = (found.sum.wrapping_add(share), found.entries + 1);
            if trailer.number > found.latest.trailer.number {
                let removing = table.id() == self.meta.id() && *key == *REMOVING;
                let removing = value.as_ref().try_into().ok().map(u64::from_be_bytes).filter(|_| removing);
                found.latest = Latest { trailer, share, removing };
            }
            if table.id() == self.placements.id() {
                found.rows.count(&key, &value);
            }
            if let Some(number) = ahead.filter(|_| table.id() == self.unfinished.id()) {
                let fits = found.list.entry(number).or_default().push(&key, &value);
                found.unlisted += u64::from(!fits);
            }
        }
        Ok(())
    }
}

/// No thread of sled's own: its periodic flush would put writes beyond our batches on the disk.
pub(super) fn sled_config(files: &Files) -> sled::Config {
    sled::Config::new().path(files.directory()).flush_every_ms(None)
}

/// What the tip beside the store says; `None` only where it need not say anything.
pub(super) fn read_tip(files: &Files, check: Check) -> Result<Option<(TipFile, Tip)>, TableError> {
    let read = match TipFile::open(&files.tip()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TableError::NoTip("is missing")),
        read => read?.ok_or(TableError::NoTip("does not read")).map(Some),
    };
    match read {
        Err(TableError::NoTip(_)) if check != Check::Whole => Ok(None),
        read => read,
    }
}
