//! What a server is and holds for this gate, before anything is opened there: for those who check a configuration.

use tokio_postgres::types::{ToSql, Type};

use super::db::{Db, Fault};
use super::migrate::{MigrateError, failed, version};
use super::server::Server;
use super::session::Session;
use crate::config;

/// How things stand at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which of the hosts it is.
    pub host: String,
    /// Whether the way there is over TLS.
    pub tls: bool,
    /// What it says of itself.
    pub version: String,
    /// `synchronous_commit` there, where it has such a setting.
    pub synchronous_commit: Option<String>,
    /// Whether commits wait for a standby.
    pub has_synchronous_standby: bool,
    /// The version of the schema; `None`: there is none.
    pub schema: Option<i32>,
    /// Whether the role may make what the schema lacks.
    pub may_change: bool,
    /// Tables and sequences of the schema on which the role lacks a right that the gate needs.
    pub denied: Vec<String>,
}

/// Whether the role may make a schema, or change the one that is there.
const MAY_CHANGE: &str = "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1) \
     THEN has_schema_privilege($1, 'CREATE') ELSE has_database_privilege(current_database(), 'CREATE') END";

/// What the role lacks of what `store migrate` says to grant.
const DENIED: &str = "SELECT 'the schema itself' FROM pg_catalog.pg_namespace n \
     WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'USAGE') UNION ALL \
     SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND ((c.relkind IN ('r', 'p') AND NOT (has_table_privilege(c.oid, 'SELECT') \
     AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))) \
     OR (c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'USAGE')))";

/// Connects and looks; changes nothing.
///
/// # Errors
///
/// [`MigrateError`]: there is no server, or it does not say.
pub async fn standing(config: &config::Postgres) -> Result<Standing, MigrateError> {
    let session = Server::new(config).connect().await?;
    looked(session, &config.schema).await.map_err(|fault| failed(&config.schema, fault))
}

async fn looked(session: Session, schema: &str) -> Result<Standing, Fault> {
    let db = Db { session: session.into(), schema: schema.into() };
    let named = [(&schema as &(dyn ToSql + Sync), Type::TEXT)];
    let may_change = db.session.client.query_typed_one(MAY_CHANGE, &named).await?.try_get(0)?;
    let denied = db.rows(DENIED, &named).await?;
    let denied = denied.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    let facts = db.session.facts();
    Ok(Standing {
        host: db.session.host().to_owned(),
        tls: db.session.is_over_tls(),
        version: facts.version.clone(),
        synchronous_commit: facts.synchronous_commit.clone(),
        has_synchronous_standby: facts.synchronous_standby_names.is_some(),
        // Whoever lacks a right may lack that of reading it.
        schema: if denied.is_empty() { version(&db, "").await? } else { None },
        may_change,
        denied,
    })
}
