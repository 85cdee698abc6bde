//! The known-pair cache: facts that are already durable and need no write.
//!
//! It compares whole keys, since a false positive would be a lost fact, and is bounded. Two generations stand
//! in for a list of recent use: what is asked for moves to the young one, and when that is full the old one is dropped.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use smallvec::SmallVec;

use super::Tick;
use crate::domain::{Apis, InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UpstreamNumber};

/// A tag is a keyed hash already: its first eight bytes spread as well as any further hashing could.
#[derive(Default)]
pub(super) struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

/// A map by tag.
pub(super) type TagMap<V> = HashMap<Tag, V, BuildHasherDefault<TagHasher>>;

/// Rows of one customer beyond which the cache does not remember single ones.
const ROWS_PER_CUSTOMER_MAX: usize = 64;

#[derive(Clone, Copy)]
struct CachedPair {
    resource: ResourceHash,
    instance: InstanceHash,
    /// The versions of the API that it was written with.
    apis: Apis,
    upstream: UpstreamNumber,
    form: LabelForm,
    written: Tick,
}

type Rows = SmallVec<[CachedPair; 1]>;

/// One shard's share of the cache.
pub(super) struct PairCache {
    young: TagMap<Rows>,
    old: TagMap<Rows>,
    young_rows: usize,
    rows_max: usize,
}

impl PairCache {
    /// A cache of at most `rows_max` rows, half of them recent.
    pub(super) fn new(rows_max: usize) -> Self {
        Self { young: TagMap::default(), old: TagMap::default(), young_rows: 0, rows_max: rows_max.max(2) / 2 }
    }

    /// Whether this row was written, with these versions of the API, less than `lease_s` seconds before `now`.
    pub(super) fn is_fresh(&mut self, key: &PairKey, apis: Apis, now: Tick, lease_s: u32) -> bool {
        let fresh = |rows: &[CachedPair]| {
            let is_one = |row: &CachedPair| is_row(row, key) && row.apis.contains(apis);
            rows.iter().any(|row| is_one(row) && now.0.saturating_sub(row.written.0) < lease_s)
        };
        if let Some(rows) = self.young.get(&key.tag) {
            return fresh(rows);
        }
        let Some(rows) = self.old.remove(&key.tag) else { return false };
        let fresh = fresh(&rows);
        self.young_rows += rows.len();
        self.young.insert(key.tag, rows);
        self.age();
        fresh
    }

    /// This row has just been made durable.
    pub(super) fn learn(&mut self, key: &PairKey, apis: Apis, now: Tick) {
        let from_old = self.old.remove(&key.tag);
        let rows = self.young.entry(key.tag).or_insert_with(|| {
            let rows = from_old.unwrap_or_default();
            self.young_rows += rows.len();
            rows
        });
        if let Some(row) = rows.iter_mut().find(|row| is_row(row, key)) {
            (row.written, row.apis) = (now, row.apis.with(apis));
        } else if rows.len() < ROWS_PER_CUSTOMER_MAX {
            let PairKey { upstream, form, resource, instance, .. } = *key;
            rows.push(CachedPair { resource, instance, apis, upstream, form, written: now });
            self.young_rows += 1;
        }
        self.age();
    }

    /// Forgets a customer.
    pub(super) fn evict(&mut self, tag: Tag) {
        if let Some(rows) = self.young.remove(&tag) {
            self.young_rows -= rows.len();
        }
        self.old.remove(&tag);
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        *self = Self { young: TagMap::default(), old: TagMap::default(), young_rows: 0, rows_max: self.rows_max };
    }

    fn age(&mut self) {
        if self.young_rows > self.rows_max {
            self.old = std::mem::take(&mut self.young);
            self.young_rows = 0;
        }
    }
}

fn is_row(row: &CachedPair, key: &PairKey) -> bool {
    let PairKey { upstream, form, resource, instance, .. } = *key;
    row.resource == resource && row.instance == instance && row.upstream == upstream && row.form == form
}
