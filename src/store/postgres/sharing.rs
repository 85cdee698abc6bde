//! [`SharedJobs`] by a server: whose a job is, and slots of a service's rate.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::PostgresStore;
use super::db::{Db, Fault, page};
use super::job_lists::{LIST_PAGE, Whose, listed};
use crate::domain::{Tag, UpstreamNumber};
use crate::store::{ListedJob, SharedJobs, Slots, StoreError, StoreFuture};

use std::time::Duration;

/// How often slots are asked for again that another gate has taken some of meanwhile.
const TRIES: u32 = 8;

/// How long a slot counts, in milliseconds.
const MINUTE: i64 = 60_000;

impl SharedJobs for PostgresStore {
    fn claim(&self, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        let me = self.me();
        self.ask(0, move |db| async move { db.claim(me, limit).await })
    }

    fn owned(&self, ids: Vec<Uuid>) -> StoreFuture<'_, Vec<Uuid>> {
        let me = self.me();
        self.ask(0, move |db| {
            let ids = ids.clone();
            async move { db.ids(OWNED, &[(&ids, Type::UUID_ARRAY), (&me, Type::UUID)]).await }
        })
    }

    fn touched(&self) -> StoreFuture<'_, Vec<Uuid>> {
        let me = self.me();
        self.ask(0, move |db| async move { db.ids(TOUCHED, &[(&me, Type::UUID)]).await })
    }

    fn shares(&self) -> StoreFuture<'_, Vec<(Option<Uuid>, u64)>> {
        self.ask(0, move |db| async move {
            let rows = db.rows(SHARES, &[]).await?;
            let share = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.cast_unsigned()));
            rows.iter().map(share).collect()
        })
    }

    fn take_slots(&self, upstream: UpstreamNumber, wanted: usize, per_minute: usize) -> StoreFuture<'_, Slots> {
        self.ask(0, move |db| async move { db.take_slots(upstream, wanted, per_minute).await })
    }

    fn listed_of_all(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        // A page is as long as it may be, and a shorter one is the last.
        let limit = limit.min(LIST_PAGE);
        self.ask(0, move |db| async move { db.listed(cursor, limit, Whose::All).await })
    }
}

impl Db {
    async fn claim(&self, me: Option<Uuid>, limit: usize) -> Result<Vec<ListedJob>, Fault> {
        let Some(me) = me else { return Ok(Vec::new()) };
        let limit = page(limit, LIST_PAGE);
        let rows = self.rows(CLAIM, &[(&me, Type::UUID), (&limit, Type::INT8)]).await?;
        rows.iter().map(listed).collect()
    }

    async fn ids(&self, sql: &str, params: &[super::db::Param<'_>]) -> Result<Vec<Uuid>, Fault> {
        let rows = self.rows(sql, params).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Reads the minute's slots, and writes them with those that are taken unless another gate has done so meanwhile.
    async fn take_slots(&self, upstream: UpstreamNumber, wanted: usize, rate: usize) -> Result<Slots, Fault> {
        let upstream = i32::from(upstream.0);
        self.execute(PACE, &[(&upstream, Type::INT4)]).await?;
        for _ in 0..TRIES {
            let Some(row) = self.first(SLOTS, &[(&upstream, Type::INT4)]).await? else { break };
            let (version, mut sent, now): (i64, Vec<i64>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            sent.retain(|at| *at > now - MINUTE && *at <= now);
            sent.sort_unstable();
            let granted = rate.saturating_sub(sent.len()).min(wanted);
            if granted == 0 {
                let over = sent.len().saturating_sub(rate);
                let next = sent.get(over).map_or(MINUTE, |at| at + MINUTE - now);
                let next = Duration::from_millis(u64::try_from(next).unwrap_or(0).saturating_add(1));
                return Ok(Slots { granted, next });
            }
            sent.extend(std::iter::repeat_n(now, granted));
            let params = [(&upstream as _, Type::INT4), (&version as _, Type::INT8), (&sent as _, Type::INT8_ARRAY)];
            if self.execute(TAKE, &params).await? > 0 {
                return Ok(Slots { granted, next: Duration::ZERO });
            }
        }
        Err(StoreError::Overloaded.into())
    }
}

/// Each condition is looked at again on the row as it is when it is locked: of two gates one takes it.
const CLAIM: &str = "\
UPDATE {s}.jobs AS j SET owner = $1, version = j.version + 1, touched = false
WHERE j.id IN (SELECT c.id FROM {s}.jobs AS c WHERE NOT c.finished
        AND NOT EXISTS (SELECT 1 FROM {s}.members AS m WHERE m.id = c.owner AND m.state = 'up')
        ORDER BY c.received, c.id LIMIT $2)
    AND NOT j.finished AND NOT EXISTS (SELECT 1 FROM {s}.members AS m WHERE m.id = j.owner AND m.state = 'up')
    AND EXISTS (SELECT 1 FROM {s}.members AS m WHERE m.id = $1 AND m.state = 'up')
RETURNING j.tag, j.id, j.summary";

const OWNED: &str = "SELECT id FROM {s}.jobs WHERE id = ANY($1) AND owner IS NOT DISTINCT FROM $2";

const SHARES: &str = "SELECT owner, count(*) FROM {s}.jobs WHERE NOT finished GROUP BY owner";

const TOUCHED: &str = "UPDATE {s}.jobs SET touched = false WHERE owner = $1 AND touched RETURNING id";

const PACE: &str = "INSERT INTO {s}.paces (upstream, version, sent) VALUES ($1, 0, '{}') ON CONFLICT DO NOTHING";

const SLOTS: &str = "\
SELECT version, sent, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) FROM {s}.paces WHERE upstream = $1";

const TAKE: &str = "UPDATE {s}.paces SET version = version + 1, sent = $3 WHERE upstream = $1 AND version = $2";
