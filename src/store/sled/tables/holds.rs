//! Legal holds: one row each.

use std::ops::Bound::{Excluded, Unbounded};

use uuid::Uuid;

use super::job_rows::job_id;
use super::{TableError, Tables};
use crate::domain::{Tag, UpstreamNumber};
use crate::store::{HOLD_BODY_MAX, StoredHold};

const LAYOUT: u8 = 1;

impl Tables {
    pub(in super::super) fn hold(&mut self, hold: &StoredHold) -> Result<(), TableError> {
        if hold.body.len() > HOLD_BODY_MAX {
            return Err(TableError::TooLarge("a legal hold"));
        }
        self.put(&self.holds.clone(), hold.id.as_bytes(), &to_bytes(hold))?;
        Ok(())
    }

    pub(in super::super) fn unhold(&mut self, id: Uuid) -> Result<bool, TableError> {
        Ok(self.remove(&self.holds.clone(), id.as_bytes())?.is_some())
    }

    /// One that does not read is an error, not a gap: without it, what it protects would be erased.
    pub(in super::super) fn holds(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<StoredHold>, TableError> {
        let start = after.map_or(Unbounded, |after| Excluded(after.into_bytes().to_vec()));
        let mut found = Vec::new();
        for entry in self.holds.range((start, Unbounded::<Vec<u8>>)).take(limit) {
            let (id, bytes) = entry?;
            found.push(from_bytes(job_id(&id)?, &bytes).ok_or(TableError::Unreadable("a legal hold"))?);
        }
        Ok(found)
    }
}

/// Layout, whether it is for one upstream, that upstream, tag: 20 bytes, and the body.
fn to_bytes(hold: &StoredHold) -> Vec<u8> {
    let upstream = hold.upstream.unwrap_or(UpstreamNumber(0)).0.to_be_bytes();
    [&[LAYOUT, u8::from(hold.upstream.is_some())], upstream.as_slice(), &hold.tag.0, &hold.body].concat()
}

fn from_bytes(id: Uuid, bytes: &[u8]) -> Option<StoredHold> {
    let (&[LAYOUT, one], rest) = bytes.split_first_chunk::<2>()? else { return None };
    let (upstream, rest) = rest.split_first_chunk::<2>()?;
    let (tag, body) = rest.split_first_chunk::<16>()?;
    let upstream = (one != 0).then(|| UpstreamNumber(u16::from_be_bytes(*upstream)));
    Some(StoredHold { id, tag: Tag(*tag), upstream, body: body.to_vec() })
}
