//! Jobs read and purged: one, in pages, and the list of unfinished ones, which is read without their bodies.

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::{Db, Fault, moment, page, seconds};
use crate::domain::{Tag, UnixSeconds};
use crate::store::{ListedJob, StoreError, StoredJob};

/// Jobs in one answer: each with its body.
pub(super) const PAGE: usize = 64;
/// List entries in one answer.
pub(super) const LIST_PAGE: usize = 1000;
/// Jobs that one step of a purge removes, their names not counted.
const PURGE_STEP: usize = 256;

/// Whose list entries are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Those of all gates.
    All,
    /// Those of this member, or of none.
    Owned(Option<Uuid>),
}

/// Where a purge goes on: time of the last step and ID.
pub(super) type Purged = (i64, Uuid);

impl Db {
    pub(super) async fn job(&self, id: Uuid) -> Result<Option<StoredJob>, Fault> {
        let row = self.first(&select("WHERE id = $1"), &[(&id, Type::UUID)]).await?;
        row.as_ref().map(job).transpose()
    }

    /// Some of those after `cursor` in the order of their IDs.
    pub(super) async fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> Result<Vec<StoredJob>, Fault> {
        let limit = page(limit, PAGE);
        let sql = select("WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2");
        let rows = self.rows(&sql, &[(&cursor, Type::UUID), (&limit, Type::INT8)]).await?;
        rows.iter().map(job).collect()
    }

    /// Some of the unfinished ones of a customer, after `cursor` in the order of their IDs.
    pub(super) async fn unfinished_of(&self, tags: &[Tag], cursor: Option<Uuid>) -> Result<Vec<StoredJob>, Fault> {
        let tags: Vec<&[u8]> = tags.iter().map(|tag| tag.0.as_slice()).collect();
        let cursor = cursor.unwrap_or(Uuid::nil());
        let is_first = cursor.is_nil();
        let sql = select("WHERE NOT finished AND tag = ANY($1) AND (id > $2 OR $3) ORDER BY id LIMIT $4");
        let params = [
            (&tags as _, Type::BYTEA_ARRAY),
            (&cursor as _, Type::UUID),
            (&is_first as _, Type::BOOL),
            (&page(PAGE, PAGE) as _, Type::INT8),
        ];
        self.rows(&sql, &params).await?.iter().map(job).collect()
    }

    /// Some list entries after `cursor`.
    pub(super) async fn listed(
        &self,
        cursor: Option<(Tag, Uuid)>,
        limit: usize,
        whose: Whose,
    ) -> Result<Vec<ListedJob>, Fault> {
        // No tag is before the empty one.
        let (tag, id) = cursor.as_ref().map_or((&[][..], Uuid::nil()), |(tag, id)| (&tag.0[..], *id));
        let limit = page(limit, LIST_PAGE);
        let (all, owner) = match whose {
            Whose::All => (true, None),
            Whose::Owned(owner) => (false, owner),
        };
        let params = [
            (&tag as _, Type::BYTEA),
            (&id as _, Type::UUID),
            (&limit as _, Type::INT8),
            (&all as _, Type::BOOL),
            (&owner as _, Type::UUID),
        ];
        self.rows(LISTED, &params).await?.iter().map(listed).collect()
    }

    /// Removes some finished jobs whose last step was before `before`, and their names: how many, names not counted, and where
    /// to go on if there may be more.
    pub(super) async fn purge(
        &self,
        before: UnixSeconds,
        from: Option<Purged>,
    ) -> Result<(u64, Option<Purged>), Fault> {
        let (stepped, id) = from.unwrap_or((i64::MIN, Uuid::nil()));
        let before = seconds(before);
        let params = [
            (&before as _, Type::INT8),
            (&stepped as _, Type::INT8),
            (&id as _, Type::UUID),
            (&page(PURGE_STEP, PURGE_STEP) as _, Type::INT8),
        ];
        let old = self.rows(OLD, &params).await?;
        let mut own = Vec::new();
        for row in &old {
            if row.try_get(2)? {
                own.push(row.try_get::<_, Uuid>(1)?);
            }
        }
        let mut removed = 0;
        if !own.is_empty() {
            for row in self.rows(PURGE, &[(&own, Type::UUID_ARRAY), (&before, Type::INT8)]).await? {
                removed += u64::from(row.try_get::<_, bool>(0)?);
            }
        }
        let last = old.last().filter(|_| old.len() == PURGE_STEP);
        Ok((removed, last.map(|row| Ok::<_, Fault>((row.try_get(0)?, row.try_get(1)?))).transpose()?))
    }
}

fn select(which: &str) -> String {
    format!("SELECT id, tag, finished, received, parent, summary, body, version, accepted FROM {{s}}.jobs {which}")
}

fn tag(bytes: &[u8]) -> Result<Tag, Fault> {
    Ok(Tag(bytes.try_into().map_err(|_| StoreError::Corrupt { what: "an erasure's tag" })?))
}

fn job(row: &SqlRow) -> Result<StoredJob, Fault> {
    Ok(StoredJob {
        id: row.try_get(0)?,
        tag: tag(row.try_get(1)?)?,
        finished: row.try_get(2)?,
        received: moment(row.try_get(3)?),
        of: row.try_get(4)?,
        summary: row.try_get(5)?,
        body: row.try_get(6)?,
        version: row.try_get::<_, i64>(7)?.cast_unsigned(),
        accepted: row.try_get::<_, i64>(8)?.cast_unsigned(),
    })
}

pub(super) fn listed(row: &SqlRow) -> Result<ListedJob, Fault> {
    Ok(ListedJob { tag: tag(row.try_get(0)?)?, id: row.try_get(1)?, summary: row.try_get(2)? })
}

const LISTED: &str = "\
SELECT tag, id, summary FROM {s}.jobs \
WHERE NOT finished AND (tag, id) > ($1, $2) AND ($4 OR owner IS NOT DISTINCT FROM $5) ORDER BY tag, id LIMIT $3";

/// Another name of a job that is there goes with that job.
const OLD: &str = "\
SELECT stepped, id,
    parent IS NULL OR parent = id OR NOT EXISTS (SELECT 1 FROM {s}.jobs AS p WHERE p.id = j.parent) AS own
FROM {s}.jobs AS j WHERE finished AND stepped < $1 AND (stepped, id) > ($2, $3) ORDER BY stepped, id LIMIT $4";

/// One that was opened again meanwhile stays, and so do its names.
const PURGE: &str = "\
DELETE FROM {s}.jobs AS j
WHERE (j.id = ANY($1) AND j.finished AND j.stepped < $2)
    OR (j.parent = ANY($1) AND NOT EXISTS (
        SELECT 1 FROM {s}.jobs AS p WHERE p.id = j.parent AND NOT (p.finished AND p.stepped < $2)))
RETURNING j.id = ANY($1)";
