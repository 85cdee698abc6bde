//! Rows read and swept. They are written by the writer (`batch`) and marked by the steps of jobs (`jobs`).

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;

use super::db::{Db, Fault, moment, page, seconds, upstream};
use crate::domain::{Apis, InstanceHash, LabelForm, PairKey, ResourceHash, Tag, UnixSeconds};
use crate::store::StoreError;
use crate::store::row::StoredRow;

/// Rows in one answer.
const PAGE: usize = 1000;
/// Rows that one step of a sweep removes, so that traffic never waits long for it.
const SWEEP_STEP: usize = 256;

/// A row with its key and the number of its latest write.
pub(super) type Found = (PairKey, StoredRow, u64);

impl Db {
    /// A customer's rows under one tag, after this one in the order of keys: a page, and whether there may be more.
    pub(super) async fn rows_of(&self, tag: Tag, cursor: Option<PairKey>) -> Result<(Vec<Found>, bool), Fault> {
        let (number, form) = cursor.map_or((-1, 0), |key| (i32::from(key.upstream.0), i16::from(key.form.0)));
        let (resource, instance) = cursor.map_or(([0; 8], [0; 8]), |key| (key.resource.0, key.instance.0));
        let params = [
            (&tag.0.as_slice() as _, Type::BYTEA),
            (&number as _, Type::INT4),
            (&form as _, Type::INT2),
            (&resource.as_slice() as _, Type::BYTEA),
            (&instance.as_slice() as _, Type::BYTEA),
            (&page(PAGE, PAGE) as _, Type::INT8),
        ];
        let rows = self.rows(ROWS_OF, &params).await?;
        let is_full = rows.len() == PAGE;
        Ok((rows.iter().map(|row| found(tag, row)).collect::<Result<_, _>>()?, is_full))
    }

    /// Removes some rows that were marked before `before`: how many, and whether there may be more.
    pub(super) async fn sweep(&self, before: UnixSeconds) -> Result<(u64, bool), Fault> {
        let params = [(&seconds(before) as _, Type::INT8), (&page(SWEEP_STEP, SWEEP_STEP) as _, Type::INT8)];
        let removed = self.execute(SWEEP, &params).await?;
        Ok((removed, removed == SWEEP_STEP as u64))
    }
}

fn found(tag: Tag, row: &SqlRow) -> Result<Found, Fault> {
    let bytes = |column: usize| {
        let bytes: &[u8] = row.try_get(column)?;
        <[u8; 8]>::try_from(bytes).map_err(|_| Fault::Answer(StoreError::Corrupt { what: "a row's key" }))
    };
    let form = u8::try_from(row.try_get::<_, i16>(1)?).map_err(|_| StoreError::Corrupt { what: "a row's key" })?;
    let (resource, instance) = (ResourceHash(bytes(2)?), InstanceHash(bytes(3)?));
    let key = PairKey { tag, upstream: upstream(row.try_get(0)?)?, form: LabelForm(form), resource, instance };
    let value = StoredRow {
        first_seen: moment(row.try_get(4)?),
        last_seen: moment(row.try_get(5)?),
        erased_at: row.try_get::<_, Option<i64>>(6)?.map(moment),
        written: None,
        apis: Apis(row.try_get::<_, i64>(7)?.cast_unsigned()),
        // What is no layout does not open; its key says where data is all the same.
        layout: u8::try_from(row.try_get::<_, i16>(8)?).unwrap_or(0),
        sealed: row.try_get(9)?,
    };
    Ok((key, value, row.try_get::<_, i64>(10)?.cast_unsigned()))
}

/// Found by the primary key, whose first column is the tag.
pub(super) const ROWS_OF: &str = "\
SELECT upstream, form, resource, instance, first_seen, last_seen, erased_at, apis, layout, sealed, written
FROM {s}.placements WHERE tag = $1 AND (upstream, form, resource, instance) > ($2, $3, $4, $5)
ORDER BY upstream, form, resource, instance LIMIT $6";

/// A mark that is cleared or set anew meanwhile keeps its row: the outer condition is looked at once the row is locked.
const SWEEP: &str = "\
DELETE FROM {s}.placements AS p USING (
    SELECT tag, upstream, form, resource, instance FROM {s}.placements WHERE erased_at < $1 ORDER BY erased_at LIMIT $2
) AS old
WHERE p.tag = old.tag AND p.upstream = old.upstream AND p.form = old.form AND p.resource = old.resource
    AND p.instance = old.instance AND p.erased_at < $1";
