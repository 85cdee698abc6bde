//! The members of a deployment in PostgreSQL: one connection of their own, and one transaction for each exchange.
//!
//! Whatever goes wrong within a transaction, the connection is dropped with it, and the next exchange opens another: what was
//! not confirmed is said again, and nothing of it hurts if it is there already.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::Server;
use super::fault::ServerFault;
use super::members_sql::Sql;
use super::session::Session;
use crate::config;
use crate::domain::Tag;
use crate::store::{
    Ack, FenceRow, FenceWrite, Heard, Hint, Joining, Member, MemberState, Members, StoreError, StoreFuture, Told,
};
use crate::telemetry::{chain, events};

/// After so many exchanges what is over is removed.
const TIDY_EVERY: u32 = 64;

/// The members, as one gate reaches them.
pub(super) struct PostgresMembers {
    server: Server,
    /// Where announcements are heard, if not over the same connection: a pooler passes none on.
    direct: Option<Arc<Server>>,
    ears: Arc<Mutex<Ears>>,
    sql: Sql,
    /// The connection, while no exchange has it.
    idle: Mutex<Option<Session>>,
    /// Rung by the database over the connection that was opened last.
    rung: Arc<Mutex<Arc<Notify>>>,
    /// This gate, while it is a member: what its other connections write is written in that name.
    me: Arc<Mutex<Option<Uuid>>>,
    exchanges: AtomicU32,
    /// The number that was told last.
    said: AtomicU64,
    is_failing: AtomicBool,
}

/// The connection over which announcements are heard.
#[derive(Debug, Default)]
struct Ears {
    session: Option<Session>,
    opening: bool,
}

impl fmt::Debug for PostgresMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresMembers").finish_non_exhaustive()
    }
}

impl PostgresMembers {
    /// `me` is told which member this gate is.
    pub(super) fn new(config: &config::Postgres, me: Arc<Mutex<Option<Uuid>>>) -> Self {
        let (server, schema) = (Server::new(config), &config.schema);
        let direct = config.notify_url.as_ref().map(|_| Arc::new(Server::of_notifications(config)));
        let ears = Arc::default();
        let (idle, rung) = (Mutex::default(), Arc::default());
        let (exchanges, said) = (AtomicU32::new(0), AtomicU64::new(0));
        Self {
            server,
            direct,
            ears,
            sql: Sql::new(schema),
            idle,
            rung,
            me,
            exchanges,
            said,
            is_failing: AtomicBool::new(false),
        }
    }

    /// The connection, or a new one. Whoever is dropped with it ends its transaction, too.
    async fn session(&self) -> Result<Session, StoreError> {
        let idle = self.idle.lock().take().filter(|session| !session.client.is_closed());
        if let Some(session) = idle {
            return Ok(session);
        }
        let session = self.server.connect().await.map_err(|error| {
            self.failed("the members' connection to the store does not open", &error);
            StoreError::Broken
        })?;
        match &self.direct {
            None => {
                session.client.batch_execute(&self.sql.listen).await.ok();
                *self.rung.lock() = session.bell();
            }
            Some(direct) => self.listen_over(direct),
        }
        Ok(session)
    }

    /// On a task of its own: no exchange waits for what only makes it quicker.
    fn listen_over(&self, direct: &Arc<Server>) {
        {
            let mut ears = self.ears.lock();
            if ears.opening || ears.session.as_ref().is_some_and(|session| !session.client.is_closed()) {
                return;
            }
            ears.opening = true;
        }
        let (direct, ears, rung) = (Arc::clone(direct), Arc::clone(&self.ears), Arc::clone(&self.rung));
        let listen = self.sql.listen.clone();
        tokio::spawn(async move {
            let session = direct.connect().await;
            let mut told = Ears::default();
            match session {
                Ok(session) => {
                    session.client.batch_execute(&listen).await.ok();
                    *rung.lock() = session.bell();
                    told.session = Some(session);
                }
                Err(error) => {
                    let what = format!("the connection of store.notify_url does not open: {}", chain(&error));
                    events::Warned { what: &what }.emit();
                }
            }
            *ears.lock() = told;
        });
    }

    /// It is kept if all went well.
    fn kept<T>(&self, session: Session, outcome: Result<T, Error>) -> Result<T, StoreError> {
        match outcome {
            Ok(value) => {
                self.is_failing.store(false, Relaxed);
                *self.idle.lock() = Some(session);
                Ok(value)
            }
            Err(error) => {
                self.failed("the members' connection to the store broke", &ServerFault::of(&error));
                Err(StoreError::Broken)
            }
        }
    }

    /// Said once, until it goes well again.
    fn failed(&self, what: &str, error: &dyn std::error::Error) {
        if !self.is_failing.swap(true, Relaxed) {
            events::Warned { what: &format!("{what}: {}", chain(error)) }.emit();
        }
    }

    async fn joined(&self, client: &Client, joining: &Joining) -> Result<(), Error> {
        let Joining { id, name, ttl, straggle } = joining;
        client.batch_execute(BEGIN).await?;
        client.query_typed(&self.sql.join_locks, &[]).await?;
        let (ttl, straggle) = (millis(*ttl), millis(*straggle));
        let values: [Parameter<'_>; 4] =
            [(id, Type::UUID), (name, Type::TEXT), (&ttl, Type::INT8), (&straggle, Type::INT8)];
        client.execute_typed(&self.sql.join, &values).await?;
        client.batch_execute("COMMIT").await
    }

    async fn exchanged(&self, client: &Client, me: Uuid, told: &Told) -> Result<Option<Heard>, Error> {
        client.batch_execute(BEGIN).await?;
        let seen = number(told.seen);
        let renewed = client.execute_typed(&self.sql.renew, &[(&me, Type::UUID), (&seen, Type::INT8)]).await?;
        if renewed == 0 {
            client.batch_execute("ROLLBACK").await?;
            return Ok(None);
        }
        let numbers = self.raised(client, me, &told.fences).await?;
        self.said(client, me, &told.acks).await?;
        let values: [Parameter<'_>; 2] = [(&me, Type::UUID), (&seen, Type::INT8)];
        let mine = values.get(..1).unwrap_or_default();
        let (fences, acks, members) = tokio::try_join!(
            client.query_typed(&self.sql.fences, &values),
            client.query_typed(&self.sql.acks, mine),
            client.query_typed(&self.sql.members, &[]),
        )?;
        let heard =
            Heard { numbers, fences: read(&fences, fence)?, acks: read(&acks, ack)?, members: read(&members, member)? };
        client.batch_execute("COMMIT").await?;
        let is_new = self.said.swap(told.seen, Relaxed) != told.seen;
        if is_new || !told.fences.is_empty() || !told.acks.is_empty() {
            // It only makes the others quicker, and some databases have nothing of the kind.
            client.batch_execute(&self.sql.notify).await.ok();
        }
        if self.exchanges.fetch_add(1, Relaxed).is_multiple_of(TIDY_EVERY) {
            for forget in &self.sql.forget {
                client.execute_typed(forget, &[]).await?;
            }
        }
        Ok(Some(heard))
    }

    /// Writes fences, each with the next number.
    async fn raised(&self, client: &Client, me: Uuid, fences: &[FenceWrite]) -> Result<Vec<u64>, Error> {
        let count = i64::try_from(fences.len()).unwrap_or(i64::MAX);
        if count == 0 {
            return Ok(Vec::new());
        }
        client.execute_typed(&self.sql.count, &[(&count, Type::INT8)]).await?;
        let last: i64 =
            client.query_typed(&self.sql.numbers, &[]).await?.first().map_or(Ok(0), |row| row.try_get(0))?;
        let first = last - count;
        let ids: Vec<Uuid> = fences.iter().map(|fence| fence.id).collect();
        let tags: Vec<&[u8]> = fences.iter().map(|fence| fence.tag.0.as_slice()).collect();
        let versions: Vec<i64> = fences.iter().map(|fence| i64::from(fence.version)).collect();
        let bodies: Vec<&[u8]> = fences.iter().map(|fence| fence.body.as_slice()).collect();
        let lives: Vec<i64> = fences.iter().map(|fence| millis(fence.life)).collect();
        let values: [Parameter<'_>; 7] = [
            (&me, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&tags, Type::BYTEA_ARRAY),
            (&versions, Type::INT8_ARRAY),
            (&bodies, Type::BYTEA_ARRAY),
            (&lives, Type::INT8_ARRAY),
            (&first, Type::INT8),
        ];
        client.execute_typed(&self.sql.raise, &values).await?;
        Ok((1..=count).map(|place| whole(first + place)).collect())
    }

    async fn said(&self, client: &Client, me: Uuid, acks: &[(Uuid, Vec<u8>)]) -> Result<(), Error> {
        if acks.is_empty() {
            return Ok(());
        }
        let fences: Vec<Uuid> = acks.iter().map(|(fence, _)| *fence).collect();
        let bodies: Vec<&[u8]> = acks.iter().map(|(_, body)| body.as_slice()).collect();
        let values: [Parameter<'_>; 3] = [(&me, Type::UUID), (&fences, Type::UUID_ARRAY), (&bodies, Type::BYTEA_ARRAY)];
        client.execute_typed(&self.sql.say, &values).await.map(drop)
    }
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

fn read<T>(rows: &[Row], one: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    rows.iter().map(one).collect()
}

fn fence(row: &Row) -> Result<FenceRow, Error> {
    let (tag, body): (&[u8], &[u8]) = (row.try_get(2)?, row.try_get(4)?);
    let number = whole(row.try_get(3)?);
    Ok(FenceRow { id: row.try_get(0)?, owner: row.try_get(1)?, tag: tag_of(tag), number, body: body.to_vec() })
}

fn ack(row: &Row) -> Result<Ack, Error> {
    Ok(Ack { fence: row.try_get(0)?, member: row.try_get(1)?, body: row.try_get(2)? })
}

fn member(row: &Row) -> Result<Member, Error> {
    let state: &str = row.try_get(2)?;
    let state = match state {
        "up" => MemberState::Up,
        "ended" => MemberState::Ended,
        _ => MemberState::Cut,
    };
    let times = |at| row.try_get::<_, i64>(at).map(|millis| Duration::from_millis(whole(millis)));
    Ok(Member {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        state,
        ttl: times(3)?,
        seen: whole(row.try_get(4)?),
        joined: whole(row.try_get(5)?),
        age: times(6)?,
        straggle: times(7)?,
    })
}

/// What is not as long as a tag is nobody's.
fn tag_of(bytes: &[u8]) -> Tag {
    Tag(bytes.try_into().unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Members for PostgresMembers {
    fn join(&self, joining: Joining) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let session = self.session().await?;
            let joined = self.joined(&session.client, &joining).await;
            self.kept(session, joined)?;
            *self.me.lock() = Some(joining.id);
            Ok(())
        })
    }

    fn exchange(&self, me: Uuid, told: Told) -> StoreFuture<'_, Option<Heard>> {
        Box::pin(async move {
            let session = self.session().await?;
            let heard = self.exchanged(&session.client, me, &told).await;
            let heard = self.kept(session, heard)?;
            if heard.is_none() {
                let mut current = self.me.lock();
                *current = current.filter(|current| *current != me);
            }
            Ok(heard)
        })
    }

    fn cut(&self, who: Uuid) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let session = self.session().await?;
            let cut = session.client.execute_typed(&self.sql.cut, &[(&who, Type::UUID)]).await;
            self.kept(session, cut).map(|count| count > 0)
        })
    }

    fn leave(&self, me: Uuid, straggle: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let session = self.session().await?;
            let straggle = millis(straggle);
            let left =
                session.client.execute_typed(&self.sql.leave, &[(&me, Type::UUID), (&straggle, Type::INT8)]).await;
            self.kept(session, left).map(drop)
        })
    }

    fn hint(&self) -> Hint {
        Box::pin(Arc::clone(&self.rung.lock()).notified_owned())
    }
}
