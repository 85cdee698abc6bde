//! The schema: numbered files, one statement each, which can be done again.
//!
//! They run under a lock of our own on the schema's version, since CockroachDB has no advisory locks, and each by itself, since
//! CockroachDB and YugabyteDB do not take many changes of tables in one transaction. A crash in between leaves the old version,
//! and the next start does them again. Nothing is asked of a role that may not change tables if there is nothing to change.

use std::sync::Arc;

use super::db::{Db, Fault, is_undefined};
use super::fault::ServerFault;
use super::server::{ConnectError, Server};

/// All that there is, the oldest first. A file that was released is never changed: another is added.
const STEPS: [&str; 13] = [
    include_str!("sql/001_placements.sql"),
    include_str!("sql/002_placements_marked.sql"),
    include_str!("sql/003_placements_upstream.sql"),
    include_str!("sql/004_numbers.sql"),
    include_str!("sql/005_jobs.sql"),
    include_str!("sql/006_jobs_unfinished.sql"),
    include_str!("sql/007_jobs_ended.sql"),
    include_str!("sql/008_jobs_names.sql"),
    include_str!("sql/009_jobs_due.sql"),
    include_str!("sql/010_holds.sql"),
    include_str!("sql/011_upstreams.sql"),
    include_str!("sql/012_instances.sql"),
    include_str!("sql/013_meta.sql"),
];

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: i32 = 13;
const _: () = assert!(STEPS.len() == SCHEMA_VERSION as usize);

/// How often two that make the schema at once are told so by the server, before it is an error.
const TRIES: u32 = 5;

/// What a migration found and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was there; `None`: there was no schema.
    pub from: Option<i32>,
    /// The version that is there now.
    pub to: i32,
}

/// Why the schema is not as this program needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It was made by a newer version.
    #[error(
        "schema {schema} has version {found}, this program knows versions up to {SCHEMA_VERSION}: use the newer program"
    )]
    Newer {
        /// Which schema.
        schema: String,
        /// Its version.
        found: i32,
    },
    /// There is no such schema, and it was not to be made.
    #[error("there is no schema {schema} in the database")]
    Gone {
        /// Which schema.
        schema: String,
    },
    /// The role may not do it.
    #[error(
        "schema {schema} is to be brought to version {SCHEMA_VERSION}, and the role may not do that ({fault}); run \
         `forgetgate store migrate` once with a role that owns the schema"
    )]
    Denied {
        /// Which schema.
        schema: String,
        /// What the server said.
        fault: ServerFault,
    },
    /// A statement failed.
    #[error("schema {schema} cannot be read or brought to version {SCHEMA_VERSION}: {fault}")]
    Failed {
        /// Which schema.
        schema: String,
        /// What the server said.
        fault: ServerFault,
    },
}

/// The version of the schema; `None`: there is no such schema, or nothing in it.
///
/// # Errors
///
/// [`MigrateError`].
pub async fn schema_version(server: &Server, schema: &str) -> Result<Option<i32>, MigrateError> {
    let db = Db { session: server.connect().await?.into(), schema: schema.into() };
    version(&db, "").await.map_err(|fault| failed(schema, fault))
}

/// Brings the schema to this program's version, and makes it if there is none and `make` says so.
///
/// # Errors
///
/// [`MigrateError`]; what was done until then can be done again.
pub async fn migrate(server: &Server, schema: &str, make: bool) -> Result<Migrated, MigrateError> {
    let db = Db { session: server.connect().await?.into(), schema: schema.into() };
    migrate_on(&db, server, make).await
}

/// The same, with a connection that is there.
pub(super) async fn migrate_on(db: &Db, server: &Server, make: bool) -> Result<Migrated, MigrateError> {
    let schema = &*db.schema;
    let from = version(db, "").await.map_err(|fault| failed(schema, fault))?;
    match from {
        Some(SCHEMA_VERSION) => return Ok(Migrated { from, to: SCHEMA_VERSION }),
        Some(found) if found > SCHEMA_VERSION => return Err(MigrateError::Newer { schema: schema.to_owned(), found }),
        None if !make => return Err(MigrateError::Gone { schema: schema.to_owned() }),
        _ => {}
    }
    let lock = Db { session: server.connect().await?.into(), schema: Arc::clone(&db.schema) };
    let mut tried = 0;
    loop {
        tried += 1;
        match changed(db, &lock).await {
            Ok(to) if to > SCHEMA_VERSION => return Err(MigrateError::Newer { schema: schema.to_owned(), found: to }),
            Ok(to) => return Ok(Migrated { from, to }),
            Err(Fault::Server(fault)) if tried < TRIES && is_made_at_once(&fault) => {}
            Err(fault) => return Err(failed(schema, fault)),
        }
    }
}

/// Two at once make one thing: PostgreSQL's `IF NOT EXISTS` tells the later one of them that it is there.
fn is_made_at_once(fault: &ServerFault) -> bool {
    fault.code().is_some_and(|code| ["23505", "42P06", "42P07", "XX000", "40001", "40P01"].contains(&code.code()))
}

/// Changes are made by one connection while the other holds the lock, in a transaction that changes but the version.
async fn changed(db: &Db, lock: &Db) -> Result<i32, Fault> {
    for statement in [
        "CREATE SCHEMA IF NOT EXISTS {s}",
        "CREATE TABLE IF NOT EXISTS {s}.schema_version (one boolean PRIMARY KEY CHECK (one), v int4 NOT NULL)",
        "INSERT INTO {s}.schema_version (one, v) VALUES (true, 0) ON CONFLICT DO NOTHING",
    ] {
        // What is there need not be made, and a role that may not make it need not try.
        if version(db, "").await?.is_none() {
            db.execute(statement, &[]).await?;
        }
    }
    // A transaction that an earlier try left open.
    lock.execute("ROLLBACK", &[]).await?;
    lock.execute("BEGIN", &[]).await?;
    let from = version(lock, "FOR UPDATE").await?.unwrap_or(0);
    if from >= SCHEMA_VERSION {
        lock.execute("COMMIT", &[]).await?;
        return Ok(from);
    }
    for step in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        db.execute(step, &[]).await?;
    }
    let sql = format!("UPDATE {{s}}.schema_version SET v = {SCHEMA_VERSION}");
    lock.execute(&sql, &[]).await?;
    lock.execute("COMMIT", &[]).await?;
    Ok(SCHEMA_VERSION)
}

pub(super) async fn version(db: &Db, lock: &str) -> Result<Option<i32>, Fault> {
    match db.first(&format!("SELECT v FROM {{s}}.schema_version {lock}"), &[]).await {
        Ok(row) => Ok(row.map(|row| row.try_get(0)).transpose()?),
        Err(Fault::Server(fault)) if is_undefined(&fault) => Ok(None),
        Err(fault) => Err(fault),
    }
}

pub(super) fn failed(schema: &str, fault: Fault) -> MigrateError {
    let schema = schema.to_owned();
    match fault {
        Fault::Server(fault) if fault.code().is_some_and(|code| code.code() == "42501") => {
            MigrateError::Denied { schema, fault }
        }
        Fault::Server(fault) => MigrateError::Failed { schema, fault },
        Fault::Answer(error) => MigrateError::Failed { schema, fault: ServerFault::other(error.to_string()) },
    }
}
