//! Is everything there? At opening every entry is read and added up, and the sum must be the one that the latest write says.

use super::table::Trailer;
use super::{FORMAT, REMOVING, TableError, Tables};
use crate::store::sled::Check;
use crate::store::sled::tip::Tip;

/// The entry that was written last.
#[derive(Default)]
struct Latest {
    trailer: Trailer,
    share: u64,
    /// What a removal took from the sum, if it had come that far.
    removing: Option<u64>,
}

impl Latest {
    /// May everything add up to this?
    fn allows(&self, sum: u64) -> bool {
        let before = self.trailer.others.wrapping_add(self.share);
        sum == before || self.removing.is_some_and(|removed| sum == before.wrapping_sub(removed))
    }
}

impl Tables {
    /// Is it ours to read?
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
        let (mut sum, mut entries, mut latest) = (0_u64, 0, Latest::default());
        for (nth, table) in self.all().iter().enumerate() {
            for entry in table.whole() {
                let (key, value, trailer) = entry?;
                let share = table.share(&key, &value, trailer.number);
                (sum, entries) = (sum.wrapping_add(share), entries + 1);
                if trailer.number > latest.trailer.number {
                    let removing = nth == 0 && *key == *REMOVING;
                    let removing = value.as_ref().try_into().ok().map(u64::from_be_bytes).filter(|_| removing);
                    latest = Latest { trailer, share, removing };
                }
                if nth == 1 {
                    self.count_row(&key, &value);
                }
            }
        }
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
}
