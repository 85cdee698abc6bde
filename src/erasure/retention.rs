//! How long finished erasures are kept. It is counted in time that the gate has run: a wall clock that is years ahead at a
//! start would remove them all, and with them what they were the evidence of.

use super::Eraser;
use crate::domain::UnixSeconds;
use crate::domain::erasure::Moment;
use crate::store::StoreError;

/// The time is noted about so often, in seconds: a restart loses no more of it.
const NOTED_EVERY: u64 = 60;

/// To which time the gate has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// When this run began.
    at_start: Moment,
    /// What was noted last.
    noted: Option<Moment>,
}

impl Eraser {
    /// Removes erasures that have been over for as long as they are kept; gives how many.
    ///
    /// # Errors
    /// When the store does not do it; it is done again later.
    pub async fn forget_finished(&self) -> Result<u64, StoreError> {
        let (now, begun) = (self.now().moment, self.shared.run.begun);
        let known = *self.shared.counted.lock();
        let Counted { at_start, noted } = match known {
            Some(known) => known,
            None => {
                let known = self.shared.ledger.keep_time(None).await?.map_or(begun, |time| Moment(time.0));
                Counted { at_start: known, noted: None }
            }
        };
        let counted = now.min(at_start.after(begun.until(now)));
        let is_due = noted.is_none_or(|noted| noted.after(NOTED_EVERY) <= counted);
        if is_due {
            self.shared.ledger.keep_time(Some(UnixSeconds(counted.0))).await?;
        }
        *self.shared.counted.lock() = Some(Counted { at_start, noted: if is_due { Some(counted) } else { noted } });
        let kept = self.settings().erasure.retention.as_secs();
        self.shared.ledger.purge(UnixSeconds(counted.0.saturating_sub(kept))).await
    }
}
