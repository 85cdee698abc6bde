//! The list of unfinished jobs as the completeness check has read it, so that a start need not read it again.
//!
//! It is given out once, in its order, and it is dropped before the list changes: what it says is what stands in the table.

use std::collections::VecDeque;

use uuid::Uuid;

use super::job_rows::read_list_key;
use crate::domain::Tag;
use crate::store::ListedJob;

/// Bytes of a chunk; each is freed when it has been given out.
const CHUNK: usize = 64 * 1024;
const KEY: usize = 32;

/// A part of the list, or the whole: entries in the order of their keys.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// Key, length of the summary, summary; and so on.
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk has been given out.
    given: usize,
    /// The entry that was given out last.
    last: Option<(Tag, Uuid)>,
}

impl ReadAhead {
    /// The entry behind all others. `false`: it does not read.
    pub(super) fn push(&mut self, key: &[u8], summary: &[u8]) -> bool {
        let (Some(_), Ok(length)) = (read_list_key(key), u8::try_from(summary.len())) else { return false };
        let bytes = key.len() + 1 + summary.len();
        if self.chunks.back().is_none_or(|chunk| chunk.len() + bytes > CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.extend_from_slice(key);
            chunk.push(length);
            chunk.extend_from_slice(summary);
        }
        true
    }

    /// What stands behind this part.
    pub(super) fn append(&mut self, mut behind: Self) {
        self.chunks.append(&mut behind.chunks);
    }

    /// Up to `limit` entries after this one; fewer only at the end. `None`: it is not the one that was given out last.
    pub(super) fn page(&mut self, after: Option<(Tag, Uuid)>, limit: usize) -> Option<Vec<ListedJob>> {
        if after != self.last {
            return None;
        }
        let page: Vec<_> = std::iter::from_fn(|| self.next()).take(limit).collect();
        self.last = page.last().map(|job| (job.tag, job.id)).or(self.last);
        Some(page)
    }

    fn next(&mut self) -> Option<ListedJob> {
        let rest = self.chunks.front()?.get(self.given..)?;
        let (key, rest) = rest.split_at_checked(KEY)?;
        let (length, rest) = rest.split_first()?;
        let length = usize::from(*length);
        let (tag, id) = read_list_key(key)?;
        let summary = rest.get(..length)?.to_vec();
        self.given += KEY + 1 + length;
        if self.chunks.front().is_some_and(|chunk| chunk.len() == self.given) {
            self.chunks.pop_front();
            self.given = 0;
        }
        Some(ListedJob { id, tag, summary })
    }
}
