//! The tip: a small file beside the store that says how far the store had come. It is written after each batch has been made
//! durable, and before anybody is told, so it is never ahead of the store; a store that is behind it lacks something.
//!
//! It lies beside the store's folder, not in it: an old copy of the folder that is put back does not bring its tip along.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const MAGIC: [u8; 8] = *b"FGTIP\0\0\x02";
/// Each of the two slots has a block of its own: a write that is torn spoils one of them, and the other says what was before.
const SLOT: u64 = 4096;
const BYTES: usize = 8 + 16 + 4 * 8 + 8;

/// How far a store had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    /// Which store.
    pub(super) instance: [u8; 16],
    /// The number of its latest write.
    pub(super) number: u64,
    /// The sum of all its entries.
    pub(super) sum: u64,
    /// The number of the journal's last record; 0: there is no journal.
    pub(super) journal: u64,
    /// The highest number that was ever given to an upstream.
    pub(super) upstreams: u16,
}

impl Tip {
    fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.number, self.sum, self.journal, self.upstreams.into()].map(u64::to_be_bytes).concat();
        let bytes = [MAGIC.as_slice(), &self.instance, &numbers].concat();
        let check = check(&bytes).to_be_bytes();
        [bytes.as_slice(), &check].concat()
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk::<8>()?;
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (instance, rest) = rest.split_first_chunk::<16>()?;
        let mut numbers = rest.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let (number, total, journal) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let upstreams = u16::try_from(numbers.next()?).ok()?;
        let whole = *magic == MAGIC && u64::from_be_bytes(*sum) == check(bytes);
        whole.then_some(Self { instance: *instance, number, sum: total, journal, upstreams })
    }
}

/// FNV-1a: against torn and changed bytes, not against forgers.
pub(super) fn check(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The file, open for the store's whole life.
#[derive(Debug)]
pub(super) struct TipFile {
    file: File,
    next_slot: u64,
}

impl TipFile {
    /// Makes it anew, durable with its content; its name is made durable by whoever makes the store.
    pub(super) fn make(path: &Path, tip: Tip) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        for slot in [0, 1] {
            file.write_all_at(&tip.to_bytes(), slot * SLOT)?;
        }
        file.sync_all()?;
        Ok(Self { file, next_slot: 0 })
    }

    /// Opens it and reads what it says. `None`: neither slot reads.
    pub(super) fn open(path: &Path) -> io::Result<Option<(Self, Tip)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let read = |slot: u64| {
            let mut bytes = [0; BYTES];
            file.read_exact_at(&mut bytes, slot * SLOT).ok().and_then(|()| Tip::from_bytes(&bytes))
        };
        let newest = (0..2).filter_map(|slot| Some((slot, read(slot)?))).max_by_key(|(_, tip)| tip.number);
        Ok(newest.map(|(slot, tip)| (Self { file, next_slot: 1 - slot }, tip)))
    }

    /// Writes it over the older of the two, durable when done.
    pub(super) fn write(&mut self, tip: Tip, sync: bool) -> io::Result<()> {
        self.file.write_all_at(&tip.to_bytes(), self.next_slot * SLOT)?;
        self.next_slot = 1 - self.next_slot;
        if sync { self.file.sync_data() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(number: u64) -> Tip {
        Tip { instance: [7; 16], number, sum: number * 31, journal: number / 2, upstreams: 3 }
    }

    #[test]
    fn p11_a_tip_whose_latest_write_was_torn_says_what_was_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tip");
        let mut file = TipFile::make(&path, tip(1)).unwrap();
        for number in 2..5 {
            file.write(tip(number), true).unwrap();
            assert_eq!(TipFile::open(&path).unwrap().unwrap().1, tip(number));
        }
        let latest = file.next_slot ^ 1;
        for at in 0..BYTES as u64 {
            let mut whole = [0];
            file.file.read_exact_at(&mut whole, latest * SLOT + at).unwrap();
            file.file.write_all_at(&[!whole[0]], latest * SLOT + at).unwrap();
            let (again, said) = TipFile::open(&path).unwrap().unwrap();
            assert_eq!((said, again.next_slot), (tip(3), latest), "byte {at}");
            file.file.write_all_at(&whole, latest * SLOT + at).unwrap();
        }
        file.file.set_len(10).unwrap();
        assert!(TipFile::open(&path).unwrap().is_none());
    }
}
