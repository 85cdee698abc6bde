//! Statements on one connection, and what their failures mean for what was asked.
//!
//! Every statement is unnamed and names its tables with their schema, so that a pooler in transaction mode may stand before
//! the server and nothing depends on the session.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::fault::ServerFault;
use super::session::Session;
use crate::domain::{UnixSeconds, UpstreamNumber};
use crate::store::StoreError;

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// One connection, and the schema that the tables are in.
#[derive(Clone, Debug)]
pub(super) struct Db {
    pub(super) session: Arc<Session>,
    pub(super) schema: Arc<str>,
}

impl Db {
    /// A statement's text: `{s}` stands for the schema, a plain identifier.
    pub(super) fn sql(&self, text: &str) -> String {
        text.replace("{s}", &self.schema)
    }

    pub(super) async fn rows(&self, text: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        Ok(self.session.client.query_typed(&self.sql(text), params).await?)
    }

    pub(super) async fn first(&self, text: &str, params: &[Param<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.session.client.query_typed_opt(&self.sql(text), params).await?)
    }

    pub(super) async fn execute(&self, text: &str, params: &[Param<'_>]) -> Result<u64, Fault> {
        Ok(self.session.client.execute_typed(&self.sql(text), params).await?)
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said so, or the connection broke.
    Server(ServerFault),
    /// Its answer, in the asker's words.
    Answer(StoreError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Server(ServerFault::of(&error))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Ask again in a moment: nothing was written.
    Again,
    /// Ask again on another connection: this one is no use, and whether something was written is not known.
    Elsewhere,
    /// Give up.
    Fail,
}

/// Statements can be repeated, since each says what is to be afterwards.
pub(super) fn after(fault: &ServerFault) -> Then {
    let Some(code) = fault.code() else { return Then::Elsewhere };
    let code = code.code();
    match code {
        // Serialization failure, deadlock, lock or statement taking too long; two that gave one number to two names.
        "40001" | "40P01" | "55P03" | "57014" | "23505" => Then::Again,
        // Commit unknown; a server that only reads (a demoted one).
        "40003" | "25006" => Then::Elsewhere,
        // Connection, resources, shut down, system, internal.
        _ if ["08", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)) => Then::Elsewhere,
        _ => Then::Fail,
    }
}

/// The words that stand for "the server has no such table or schema".
pub(super) fn is_undefined(fault: &ServerFault) -> bool {
    fault.code().is_some_and(|code| ["42P01", "3F000"].contains(&code.code()))
}

pub(super) fn seconds(at: UnixSeconds) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

pub(super) fn moment(seconds: i64) -> UnixSeconds {
    UnixSeconds(u64::try_from(seconds).unwrap_or(0))
}

/// As many as a page may hold.
pub(super) fn page(limit: usize, most: usize) -> i64 {
    i64::try_from(limit.min(most)).unwrap_or(i64::MAX)
}

pub(super) fn upstream(number: i32) -> Result<UpstreamNumber, Fault> {
    let number = u16::try_from(number).map_err(|_| StoreError::Corrupt { what: "an upstream's number" })?;
    Ok(UpstreamNumber(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(code: &str) -> Then {
        after(&ServerFault::with_code(code))
    }

    #[test]
    fn p11_a_failure_that_passes_is_repeated_and_one_that_stays_is_not() {
        assert_eq!(["40001", "40P01", "55P03", "57014"].map(coded), [Then::Again; 4]);
        let elsewhere = ["40003", "25006", "57P01", "57P03", "08006", "53300", "53100", "58030"];
        assert_eq!(elsewhere.map(coded), [Then::Elsewhere; 8]);
        assert_eq!(["42P01", "42501", "22P02", "28P01"].map(coded), [Then::Fail; 4]);
        assert_eq!(after(&ServerFault::other("the connection was closed")), Then::Elsewhere);
    }
}
