//! The numbers of upstreams, given once to a name; what is known of their instances; and legal holds.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::db::{Db, Fault, moment, page, seconds, upstream};
use crate::domain::erasure::NamedInstance;
use crate::domain::{Tag, UnixSeconds, UpstreamNumber};
use crate::store::instances::StoredInstance;
use crate::store::{INSTANCES_MAX, KnownUpstream, StoreError, StoredHold};

/// Holds in one answer.
pub(super) const HOLDS_PAGE: usize = 500;

impl Db {
    /// The number of this name. Two gates that give one number to two names at once: the server refuses the later one, which
    /// asks again.
    pub(super) async fn upstream_number(&self, name: &str, identity: &str) -> Result<UpstreamNumber, Fault> {
        let params = [(&name as _, Type::TEXT), (&identity as _, Type::TEXT)];
        let number = match self.first(NUMBER, &params).await {
            Err(Fault::Server(fault)) if fault.code().is_some_and(|code| code.code() == "23514") => {
                return Err(StoreError::TooLarge { what: "the list of upstreams" }.into());
            }
            number => number?,
        };
        let number = number.ok_or(StoreError::Corrupt { what: "the list of upstreams" })?;
        upstream(number.try_get(0)?)
    }

    pub(super) async fn name_instances(&self, of: UpstreamNumber, named: &[NamedInstance]) -> Result<(), Fault> {
        let named = serde_json::to_string(named).map_err(|_| StoreError::Corrupt { what: "a named instance" })?;
        let params = [(&i32::from(of.0) as _, Type::INT4), (&named as _, Type::TEXT)];
        self.execute("UPDATE {s}.upstreams SET named = $2 WHERE number = $1", &params).await?;
        Ok(())
    }

    pub(super) async fn upstreams(&self) -> Result<Vec<KnownUpstream>, Fault> {
        let mut known = Vec::new();
        for row in self.rows(UPSTREAMS, &[]).await? {
            // Without it a delete could go to another instance, and be called accepted.
            let named = serde_json::from_str(row.try_get(3)?);
            let named = named.map_err(|_| StoreError::Corrupt { what: "a named instance" })?;
            let (number, has_rows) = (upstream(row.try_get(0)?)?, row.try_get(4)?);
            let (name, identity) = (row.try_get(1)?, row.try_get(2)?);
            known.push(KnownUpstream { number, name, identity, has_rows, named });
        }
        Ok(known)
    }

    /// The service has taken something there. Beyond the bound nothing is noted.
    pub(super) async fn answered(&self, key: &[u8; 10], sealed: &[u8], seen: UnixSeconds) -> Result<(), Fault> {
        let [high, low, ..] = *key;
        let params = [
            (&i32::from(u16::from_be_bytes([high, low])) as _, Type::INT4),
            (&key.as_slice() as _, Type::BYTEA),
            (&sealed as _, Type::BYTEA),
            (&seconds(seen) as _, Type::INT8),
            (&page(INSTANCES_MAX, INSTANCES_MAX) as _, Type::INT8),
        ];
        self.execute(ANSWERED, &params).await?;
        Ok(())
    }

    /// All instances. Two gates that note some at once may each fill the list, so it is bounded by what there may be of them.
    pub(super) async fn instances(&self) -> Result<Vec<StoredInstance>, Fault> {
        let mut found = Vec::new();
        for row in self.rows(INSTANCES, &[]).await? {
            let key: &[u8] = row.try_get(1)?;
            let key = key.try_into().map_err(|_| StoreError::Corrupt { what: "an instance" })?;
            let (first_seen, last_seen) = (moment(row.try_get(2)?), moment(row.try_get(3)?));
            let (upstream, answered, sealed) = (upstream(row.try_get(0)?)?, row.try_get(4)?, row.try_get(5)?);
            found.push(StoredInstance { key, upstream, first_seen, last_seen, answered, sealed: Some(sealed) });
        }
        Ok(found)
    }

    pub(super) async fn hold(&self, hold: &StoredHold) -> Result<(), Fault> {
        let params = [
            (&hold.id as _, Type::UUID),
            (&hold.tag.0.as_slice() as _, Type::BYTEA),
            (&hold.upstream.map(|upstream| i32::from(upstream.0)) as _, Type::INT4),
            (&hold.body as _, Type::BYTEA),
        ];
        self.execute(HOLD, &params).await?;
        Ok(())
    }

    pub(super) async fn is_held(&self, id: Uuid) -> Result<bool, Fault> {
        Ok(self.first("SELECT 1 FROM {s}.holds WHERE id = $1", &[(&id, Type::UUID)]).await?.is_some())
    }

    pub(super) async fn unhold(&self, id: Uuid) -> Result<(), Fault> {
        self.execute("DELETE FROM {s}.holds WHERE id = $1", &[(&id, Type::UUID)]).await?;
        Ok(())
    }

    /// One that does not read is an error, not a gap: without it, what it protects would be erased.
    pub(super) async fn holds(&self, cursor: Option<Uuid>, limit: usize) -> Result<Vec<StoredHold>, Fault> {
        let limit = page(limit, HOLDS_PAGE);
        let rows = self.rows(HOLDS, &[(&cursor, Type::UUID), (&limit, Type::INT8)]).await?;
        let mut found = Vec::new();
        for row in rows {
            let tag: &[u8] = row.try_get(1)?;
            let tag = Tag(tag.try_into().map_err(|_| StoreError::Corrupt { what: "a legal hold" })?);
            let at = row.try_get::<_, Option<i32>>(2)?.map(upstream).transpose()?;
            found.push(StoredHold { id: row.try_get(0)?, tag, upstream: at, body: row.try_get(3)? });
        }
        Ok(found)
    }
}

const NUMBER: &str = "\
INSERT INTO {s}.upstreams (number, name, identity)
SELECT coalesce(max(number), 0) + 1, $1::text, $2::text FROM {s}.upstreams
ON CONFLICT (name) DO UPDATE SET identity = excluded.identity RETURNING number";

/// One row is looked for in the index by upstream.
const UPSTREAMS: &str = "\
SELECT number, name, identity, named, EXISTS (SELECT 1 FROM {s}.placements AS p WHERE p.upstream = u.number)
FROM {s}.upstreams AS u ORDER BY number";

const ANSWERED: &str = "\
INSERT INTO {s}.instances AS old (upstream, key, first_seen, last_seen, answered, sealed)
SELECT $1::int4, $2::bytea, $4::int8, $4::int8, true, $3::bytea
WHERE (SELECT count(*) FROM {s}.instances WHERE upstream = $1 AND answered) < $5
ON CONFLICT (upstream, key) DO UPDATE SET answered = true, last_seen = excluded.last_seen, sealed = excluded.sealed
WHERE NOT old.answered";

const INSTANCES: &str =
    "SELECT upstream, key, first_seen, last_seen, answered, sealed FROM {s}.instances ORDER BY upstream, key";

const HOLD: &str = "\
INSERT INTO {s}.holds (id, tag, upstream, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET tag = excluded.tag, upstream = excluded.upstream, body = excluded.body";

const HOLDS: &str = "\
SELECT id, tag, upstream, body FROM {s}.holds WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2";
