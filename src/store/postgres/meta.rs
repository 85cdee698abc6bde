//! What is known of the store as a whole: its key, how the run before ended, to which time the gate has counted; and figures.

use tokio_postgres::types::Type;

use super::db::{Db, Fault, moment, seconds};
use crate::domain::UnixSeconds;
use crate::store::{Figures, StoreError};

/// Up to so many rows are counted. Beyond it the server's own estimate is given: counting would read the whole table.
const COUNTED_MAX: i64 = 20_000;

impl Db {
    /// What the store remembers of its key; `None`: it has had none yet.
    pub(super) async fn key_check(&self) -> Result<Option<Vec<u8>>, Fault> {
        let row = self.first("SELECT value FROM {s}.meta WHERE name = 'key-check'", &[]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Remembers this key unless there is one, and gives the one that counts.
    pub(super) async fn remember_key(&self, check: &[u8]) -> Result<Vec<u8>, Fault> {
        self.execute(REMEMBER_KEY, &[(&check, Type::BYTEA)]).await?;
        // The row that is found when the server is asked whether it can be written to.
        self.execute("INSERT INTO {s}.meta (name, number) VALUES ('probe', 0) ON CONFLICT DO NOTHING", &[]).await?;
        let check = self.key_check().await?;
        Ok(check.ok_or(StoreError::Corrupt { what: "what the store remembers of its key" })?)
    }

    /// The run begins: gives whether the one before ended in good order. A new store has had none that did not.
    pub(super) async fn begin_run(&self) -> Result<bool, Fault> {
        let row = self.first("SELECT number FROM {s}.meta WHERE name = 'ending'", &[]).await?;
        let well = row.map(|row| row.try_get::<_, i64>(0)).transpose()?.is_none_or(|number| number == 1);
        self.end_run(false).await?;
        Ok(well)
    }

    /// The run ends. `well`: nothing of it is under way any more, here or elsewhere.
    pub(super) async fn end_run(&self, well: bool) -> Result<(), Fault> {
        self.execute(ENDING, &[(&i64::from(well), Type::INT8)]).await?;
        Ok(())
    }

    /// Notes a time that is later than the one that is noted, and gives that or the last step of a finished job.
    pub(super) async fn keep_time(&self, at: Option<UnixSeconds>) -> Result<Option<UnixSeconds>, Fault> {
        let at = at.map(seconds);
        let row = self.first(KEEP_TIME, &[(&at, Type::INT8)]).await?;
        let known = row.map(|row| row.try_get::<_, Option<i64>>(0)).transpose()?.flatten();
        Ok(known.map(moment))
    }

    /// Figures. Beyond [`COUNTED_MAX`] they are estimates, or as many as were counted where the server has none.
    pub(super) async fn figures(&self) -> Result<Figures, Fault> {
        let row = self.first(FIGURES, &[(&COUNTED_MAX, Type::INT8)]).await?;
        let row = row.ok_or(StoreError::Corrupt { what: "figures" })?;
        let number = |column: usize| Ok::<_, Fault>(moment(row.try_get(column)?).0);
        let (rows, erased_rows, jobs, unfinished_jobs) = (number(0)?, number(1)?, number(2)?, number(3)?);
        let (mut rows, mut jobs) = (rows, jobs);
        let most = COUNTED_MAX.cast_unsigned();
        if rows >= most || jobs >= most {
            let (many_rows, many_jobs) = self.estimates().await.unwrap_or_default();
            rows = if rows >= most { rows.max(many_rows) } else { rows };
            jobs = if jobs >= most { jobs.max(many_jobs) } else { jobs };
        }
        let bytes = self.bytes().await.unwrap_or_default();
        Ok(Figures { rows, erased_rows, unfinished_jobs, jobs, bytes, syncs: 0, unreadable: 0 })
    }

    /// Rows and jobs, about.
    async fn estimates(&self) -> Result<(u64, u64), Fault> {
        let schema = &*self.schema;
        let row = self.first(ESTIMATES, &[(&schema, Type::TEXT)]).await?;
        let Some(row) = row else { return Ok((0, 0)) };
        Ok((moment(row.try_get(0)?).0, moment(row.try_get(1)?).0))
    }

    /// On disk. Servers that do not say it are not asked in vain: it is 0 there.
    async fn bytes(&self) -> Result<u64, Fault> {
        let schema = &*self.schema;
        let row = self.first(BYTES, &[(&schema, Type::TEXT)]).await?;
        Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()?.map_or(0, |bytes| moment(bytes).0))
    }
}

const REMEMBER_KEY: &str = "INSERT INTO {s}.meta (name, value) VALUES ('key-check', $1) ON CONFLICT (name) DO NOTHING";

const ENDING: &str = "\
INSERT INTO {s}.meta (name, number) VALUES ('ending', $1) ON CONFLICT (name) DO UPDATE SET number = excluded.number";

const KEEP_TIME: &str = "\
WITH later AS (
    INSERT INTO {s}.meta AS old (name, number) SELECT 'time', $1::int8 WHERE $1 IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET number = greatest(old.number, excluded.number)
)
SELECT coalesce((SELECT number FROM {s}.meta WHERE name = 'time'), (SELECT max(stepped) FROM {s}.jobs WHERE finished))";

const FIGURES: &str = "\
SELECT (SELECT count(*) FROM (SELECT 1 FROM {s}.placements LIMIT $1) AS a),
    (SELECT count(*) FROM (SELECT 1 FROM {s}.placements WHERE erased_at IS NOT NULL LIMIT $1) AS b),
    (SELECT count(*) FROM (SELECT 1 FROM {s}.jobs LIMIT $1) AS c),
    (SELECT count(*) FROM (SELECT 1 FROM {s}.jobs WHERE NOT finished LIMIT $1) AS d)";

const ESTIMATES: &str = "\
SELECT coalesce(max(reltuples) FILTER (WHERE relname = 'placements'), 0)::int8,
    coalesce(max(reltuples) FILTER (WHERE relname = 'jobs'), 0)::int8
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r'";

const BYTES: &str = "\
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r'";
