//! Rows that become durable together: what one statement writes, each key once.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use tokio_postgres::types::Type;

use super::db::{Db, Fault, seconds};
use crate::domain::{PairKey, UpstreamNumber};
use crate::store::instances::Noted;
use crate::store::queue::Work;
use crate::store::row::StoredRow;
use crate::store::{INSTANCES_MAX, StoreError};

/// Rows in one statement.
pub(super) const BATCH_ROWS: usize = 512;
/// Bytes of rows in one statement.
pub(super) const BATCH_BYTES: usize = 1 << 20;

/// Tells whoever asked. Dropped, it tells that the store is broken.
pub(super) type Done = oneshot::Sender<Result<(), StoreError>>;

/// What waits for the writer.
pub(super) enum RowWork {
    /// A row, and the instance's entry if that is due.
    Row { key: PairKey, row: Box<StoredRow>, noted: Option<(UpstreamNumber, Noted)>, done: Done },
    /// Done when everything before it is.
    Before(Done),
}

impl Work for RowWork {
    fn bytes(&self) -> usize {
        match self {
            Self::Row { row, noted, .. } => {
                PairKey::LEN_MAX + row.sealed.len() + noted.as_ref().map_or(0, |(_, (_, sealed, _))| sealed.len())
            }
            Self::Before(_) => 0,
        }
    }
}

/// One statement's rows in the order of their keys, so that two gates that write the same rows do not wait for each other.
#[derive(Default)]
pub(super) struct Batch {
    rows: BTreeMap<PairKey, StoredRow>,
    noted: Vec<(UpstreamNumber, Noted)>,
    done: Vec<Done>,
    /// Those who wait for what was taken before, too.
    pub(super) before: Vec<Done>,
}

impl Batch {
    pub(super) fn of(works: Vec<RowWork>) -> Self {
        let mut batch = Self::default();
        for work in works {
            match work {
                RowWork::Row { key, row, noted, done } => {
                    let row = match batch.rows.remove(&key) {
                        Some(first) => row.after(&first),
                        None => *row,
                    };
                    batch.rows.insert(key, row);
                    batch.noted.extend(noted);
                    batch.done.push(done);
                }
                RowWork::Before(done) => batch.before.push(done),
            }
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Tells all whose rows are in it.
    pub(super) fn tell(self, is_written: bool) {
        for done in self.done {
            // Whoever has gone away does not matter: what is written stays written.
            drop(done.send(if is_written { Ok(()) } else { Err(StoreError::Broken) }));
        }
    }

    /// Writes it. Instances come before rows: a crash in between leaves no row of an instance that nobody knows.
    pub(super) async fn write(&self, db: Db) -> Result<(), Fault> {
        if !self.noted.is_empty() {
            self.note_instances(&db).await?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let keys: Vec<Columns<'_>> = self.rows.keys().map(Columns::of).collect();
        let tags: Vec<&[u8]> = keys.iter().map(|key| key.tag).collect();
        let upstreams: Vec<i32> = keys.iter().map(|key| key.upstream).collect();
        let forms: Vec<i16> = keys.iter().map(|key| key.form).collect();
        let resources: Vec<&[u8]> = keys.iter().map(|key| key.resource).collect();
        let instances: Vec<&[u8]> = keys.iter().map(|key| key.instance).collect();
        let rows = self.rows.values();
        let first: Vec<i64> = rows.clone().map(|row| seconds(row.first_seen)).collect();
        let last: Vec<i64> = rows.clone().map(|row| seconds(row.last_seen)).collect();
        let apis: Vec<i64> = rows.clone().map(|row| row.apis.0.cast_signed()).collect();
        let layouts: Vec<i16> = rows.clone().map(|row| i16::from(row.layout)).collect();
        let sealed: Vec<&[u8]> = rows.map(|row| row.sealed.as_slice()).collect();
        db.execute(
            UPSERT,
            &[
                (&tags, Type::BYTEA_ARRAY),
                (&upstreams, Type::INT4_ARRAY),
                (&forms, Type::INT2_ARRAY),
                (&resources, Type::BYTEA_ARRAY),
                (&instances, Type::BYTEA_ARRAY),
                (&first, Type::INT8_ARRAY),
                (&last, Type::INT8_ARRAY),
                (&apis, Type::INT8_ARRAY),
                (&layouts, Type::INT2_ARRAY),
                (&sealed, Type::BYTEA_ARRAY),
            ],
        )
        .await?;
        Ok(())
    }

    async fn note_instances(&self, db: &Db) -> Result<(), Fault> {
        // The last of each counts.
        let by_key: BTreeMap<&[u8], _> = self.noted.iter().map(|noted| (noted.1.0.as_slice(), noted)).collect();
        let upstreams: Vec<i32> = by_key.values().map(|(upstream, _)| i32::from(upstream.0)).collect();
        let keys: Vec<&[u8]> = by_key.keys().copied().collect();
        let sealed: Vec<&[u8]> = by_key.values().map(|(_, (_, sealed, _))| sealed.as_slice()).collect();
        let seen: Vec<i64> = by_key.values().map(|(_, (_, _, seen))| seconds(*seen)).collect();
        let most = i64::try_from(INSTANCES_MAX).unwrap_or(i64::MAX);
        db.execute(
            NOTE,
            &[
                (&upstreams, Type::INT4_ARRAY),
                (&keys, Type::BYTEA_ARRAY),
                (&sealed, Type::BYTEA_ARRAY),
                (&seen, Type::INT8_ARRAY),
                (&most, Type::INT8),
            ],
        )
        .await?;
        Ok(())
    }
}

/// A key as it stands in columns.
pub(super) struct Columns<'a> {
    pub(super) tag: &'a [u8],
    pub(super) upstream: i32,
    pub(super) form: i16,
    pub(super) resource: &'a [u8],
    pub(super) instance: &'a [u8],
}

impl<'a> Columns<'a> {
    pub(super) fn of(key: &'a PairKey) -> Self {
        let (upstream, form) = (i32::from(key.upstream.0), i16::from(key.form.0));
        Self { tag: &key.tag.0, upstream, form, resource: &key.resource.0, instance: &key.instance.0 }
    }
}

/// As `StoredRow::after` says. One number for all: only its order to the numbers of other statements counts.
const UPSERT: &str = "\
INSERT INTO {s}.placements AS old
    (tag, upstream, form, resource, instance, first_seen, last_seen, apis, layout, sealed, written)
SELECT n.*, (SELECT nextval('{s}.numbers'))
FROM unnest($1::bytea[], $2::int4[], $3::int2[], $4::bytea[], $5::bytea[], $6::int8[], $7::int8[], $8::int8[], $9::int2[],
    $10::bytea[]) AS n
ON CONFLICT (tag, upstream, form, resource, instance) DO UPDATE SET
    first_seen = CASE WHEN old.erased_at IS NULL THEN old.first_seen ELSE excluded.first_seen END,
    last_seen = greatest(old.last_seen, excluded.last_seen),
    erased_at = NULL,
    apis = old.apis | excluded.apis,
    layout = CASE WHEN old.erased_at IS NULL AND old.layout IN (1, 3) THEN 3 ELSE excluded.layout END,
    sealed = CASE WHEN old.erased_at IS NULL AND old.layout IN (1, 3) THEN old.sealed ELSE excluded.sealed END,
    written = excluded.written";

/// Those that are new have a place as long as there are not so many.
const NOTE: &str = "\
INSERT INTO {s}.instances (upstream, key, first_seen, last_seen, answered, sealed)
SELECT n.upstream, n.key, n.seen, n.seen, false, n.sealed FROM (
    SELECT n.upstream, n.key, n.sealed, n.seen, old.key IS NOT NULL AS known,
        row_number() OVER (PARTITION BY n.upstream, old.key IS NULL ORDER BY n.key) AS nth
    FROM unnest($1::int4[], $2::bytea[], $3::bytea[], $4::int8[]) AS n (upstream, key, sealed, seen)
    LEFT JOIN {s}.instances AS old ON old.upstream = n.upstream AND old.key = n.key
) AS n
WHERE n.known OR n.nth + (SELECT count(*) FROM {s}.instances AS c WHERE c.upstream = n.upstream AND NOT c.answered) <= $5
ON CONFLICT (upstream, key) DO UPDATE SET last_seen = excluded.last_seen, sealed = excluded.sealed";
