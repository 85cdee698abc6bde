//! Jobs written, each step by one statement: all of it or nothing.
//!
//! A statement whose answer was lost is told from another's by the name that each write has (`wrote`). A job is written only
//! over the version that was read.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::batch::Columns;
use super::db::{Db, Fault, seconds};
use crate::domain::UnixSeconds;
use crate::store::{JobWrite, Sharing, StoreError, StoredJob};

/// Who writes a step, and under which name.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    /// The write's own name.
    pub(super) wrote: Uuid,
    /// The gate, while it is a member.
    pub(super) me: Option<Uuid>,
    pub(super) how: Sharing,
}

/// How a step came out.
enum Outcome {
    Written,
    /// The ID of the entry that is made with it is taken.
    Taken,
    Conflict,
    /// It can be tried again.
    Unknown,
}

impl Db {
    /// Writes a job that is new. `false`: its ID is taken.
    pub(super) async fn create(&self, job: &StoredJob, wrote: Uuid, me: Option<Uuid>) -> Result<bool, Fault> {
        let params = [
            (&job.id as _, Type::UUID),
            (&job.tag.0.as_slice() as _, Type::BYTEA),
            (&job.finished as _, Type::BOOL),
            (&seconds(job.received) as _, Type::INT8),
            (&job.of as _, Type::UUID),
            (&job.summary as _, Type::BYTEA),
            (&job.body as _, Type::BYTEA),
            (&wrote as _, Type::UUID),
            (&me as _, Type::UUID),
        ];
        if self.execute(CREATE, &params).await? > 0 {
            return Ok(true);
        }
        // It may be this very one, written by a statement whose answer was lost.
        Ok(self.stands(job.id).await?.is_some_and(|(_, by)| by == wrote))
    }

    /// Writes a step. `false`: the ID of the entry that is made with it is taken.
    pub(super) async fn commit(&self, write: &JobWrite, by: By) -> Result<bool, Fault> {
        match self.commit_once(write, by).await? {
            Outcome::Written => Ok(true),
            Outcome::Taken => Ok(false),
            Outcome::Conflict => Err(StoreError::Conflict.into()),
            // What stood in its way has gone since.
            Outcome::Unknown => match self.commit_once(write, by).await? {
                Outcome::Written => Ok(true),
                Outcome::Taken => Ok(false),
                Outcome::Conflict | Outcome::Unknown => Err(StoreError::Conflict.into()),
            },
        }
    }

    async fn commit_once(&self, write: &JobWrite, by: By) -> Result<Outcome, Fault> {
        let jobs: Vec<&StoredJob> = [Some(&write.job), write.also.as_ref()].into_iter().flatten().collect();
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
        let tags: Vec<&[u8]> = jobs.iter().map(|job| job.tag.0.as_slice()).collect();
        let finished: Vec<bool> = jobs.iter().map(|job| job.finished).collect();
        let received: Vec<i64> = jobs.iter().map(|job| seconds(job.received)).collect();
        let parents: Vec<Option<Uuid>> = jobs.iter().map(|job| job.of).collect();
        let summaries: Vec<&[u8]> = jobs.iter().map(|job| job.summary.as_slice()).collect();
        let bodies: Vec<&[u8]> = jobs.iter().map(|job| job.body.as_slice()).collect();
        let version = write.job.version.cast_signed();
        // What is made with it is new.
        let versions: Vec<i64> = [version, 0].into_iter().take(jobs.len()).collect();
        let keys: Vec<Columns<'_>> = write.erased.iter().map(Columns::of).collect();
        let key_tags: Vec<&[u8]> = keys.iter().map(|key| key.tag).collect();
        let upstreams: Vec<i32> = keys.iter().map(|key| key.upstream).collect();
        let forms: Vec<i16> = keys.iter().map(|key| key.form).collect();
        let resources: Vec<&[u8]> = keys.iter().map(|key| key.resource).collect();
        let instances: Vec<&[u8]> = keys.iter().map(|key| key.instance).collect();
        let params = [
            (&ids as _, Type::UUID_ARRAY),
            (&tags as _, Type::BYTEA_ARRAY),
            (&finished as _, Type::BOOL_ARRAY),
            (&received as _, Type::INT8_ARRAY),
            (&parents as _, Type::UUID_ARRAY),
            (&summaries as _, Type::BYTEA_ARRAY),
            (&bodies as _, Type::BYTEA_ARRAY),
            (&versions as _, Type::INT8_ARRAY),
            (&seconds(write.at) as _, Type::INT8),
            (&by.wrote as _, Type::UUID),
            // The one that is written over whatever is there.
            (&Some(write.job.id).filter(|_| version == 0) as _, Type::UUID),
            (&key_tags as _, Type::BYTEA_ARRAY),
            (&upstreams as _, Type::INT4_ARRAY),
            (&forms as _, Type::INT2_ARRAY),
            (&resources as _, Type::BYTEA_ARRAY),
            (&instances as _, Type::BYTEA_ARRAY),
            (&seconds(write.at.max(UnixSeconds(1))) as _, Type::INT8),
            (&by.me as _, Type::UUID),
            (&by.how.anyones as _, Type::BOOL),
            (&i64::try_from(by.how.up_to).unwrap_or(i64::MAX) as _, Type::INT8),
        ];
        match self.first(COMMIT, &params).await {
            Ok(_) => Ok(Outcome::Written),
            Err(Fault::Server(fault)) if fault.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                self.outcome(write, by).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Why a step was not written, or that it was before.
    async fn outcome(&self, write: &JobWrite, by: By) -> Result<Outcome, Fault> {
        let job = self.stands(write.job.id).await?;
        if job.is_some_and(|(_, wrote)| wrote == by.wrote) {
            return Ok(Outcome::Written);
        }
        if let Some(also) = &write.also
            && self.stands(also.id).await?.is_some()
        {
            return Ok(Outcome::Taken);
        }
        let is_as_read = write.job.version == 0 || job.is_some_and(|(version, _)| version == write.job.version);
        Ok(if is_as_read { Outcome::Unknown } else { Outcome::Conflict })
    }

    /// Version and latest write of a job.
    async fn stands(&self, id: Uuid) -> Result<Option<(u64, Uuid)>, Fault> {
        let row = self.first("SELECT version, wrote FROM {s}.jobs WHERE id = $1", &[(&id, Type::UUID)]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row.try_get::<_, i64>(0)?.cast_unsigned(), row.try_get(1)?)))
    }
}

const CREATE: &str = "\
INSERT INTO {s}.jobs (id, tag, finished, received, parent, summary, body, version, accepted, stepped, wrote, owner)
VALUES ($1, $2, $3, $4, $5, $6, $7, 1, (SELECT nextval('{s}.numbers')), $4, $8, $9)
ON CONFLICT (id) DO NOTHING";

/// The job and the entry that is made with it are one insertion, since CockroachDB takes no two changes of one table in a
/// statement. Whatever is not inserted or written over as it should be makes the statement fail as a whole: by a division by
/// zero, the one failure that every server knows.
const COMMIT: &str = "\
WITH done AS (
    INSERT INTO {s}.jobs AS old (id, tag, finished, received, parent, summary, body, version, accepted, stepped, wrote, owner)
    SELECT n.id, n.tag, n.finished, n.received, n.parent, n.summary, n.body, n.version + 1,
        (SELECT nextval('{s}.numbers')), $9, $10, $18::uuid
    FROM unnest($1::uuid[], $2::bytea[], $3::bool[], $4::int8[], $5::uuid[], $6::bytea[], $7::bytea[], $8::int8[])
        AS n (id, tag, finished, received, parent, summary, body, version)
    WHERE n.version = 0 OR EXISTS (SELECT 1 FROM {s}.jobs AS j WHERE j.id = n.id AND j.version = n.version)
    ON CONFLICT (id) DO UPDATE SET tag = excluded.tag, finished = excluded.finished, received = excluded.received,
        parent = excluded.parent, summary = excluded.summary, body = excluded.body, version = old.version + 1,
        stepped = excluded.stepped, wrote = excluded.wrote,
        owner = CASE WHEN old.finished THEN excluded.owner ELSE old.owner END,
        touched = old.owner IS DISTINCT FROM excluded.owner AND NOT old.finished
    WHERE (old.version = excluded.version - 1 OR old.id = $11::uuid)
        AND ($19 OR old.finished OR old.owner IS NOT DISTINCT FROM excluded.owner)
    RETURNING 1
), marks AS (
    UPDATE {s}.placements AS p SET erased_at = $17
    FROM unnest($12::bytea[], $13::int4[], $14::int2[], $15::bytea[], $16::bytea[])
        AS k (tag, upstream, form, resource, instance)
    WHERE p.tag = k.tag AND p.upstream = k.upstream AND p.form = k.form AND p.resource = k.resource
        AND p.instance = k.instance AND p.written <= $20
    RETURNING 1
)
SELECT (1 / (CASE WHEN (SELECT count(*) FROM done) = array_length($1::uuid[], 1) THEN 1 ELSE 0 END))::int8,
    (SELECT count(*) FROM marks)";
