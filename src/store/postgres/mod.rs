//! The engine for several gates that share one index: a server that speaks PostgreSQL's protocol.
//!
//! One thread owns two connections: one writes rows, whatever waits in one statement, and one is asked everything else. Those
//! who ask are on other runtimes. See docs/decisions/053-postgresql.md.

mod batch;
mod db;
mod erasures;
mod fault;
mod index;
mod job_lists;
mod jobs;
mod link;
mod members;
mod members_sql;
mod meta;
mod migrate;
mod placements;
mod server;
mod session;
mod sharing;
mod start;
mod upstreams;
mod work;

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::db::{Db, Fault};
pub use self::fault::ServerFault;
pub use self::migrate::{MigrateError, Migrated, SCHEMA_VERSION, migrate, schema_version};
pub use self::server::{ConnectError, Facts, Kind, Refusal, Refusals, Server};
pub use self::session::Session;
pub(super) use self::start::open;
use self::work::{Ask, Shared};
use super::seal::Keys;
use super::seen::SeenLately;
use super::{StoreError, StoreFuture, report};
use crate::domain::PairKey;

/// Unreadable rows that are remembered.
const UNREADABLE_MAX: usize = 1000;

/// What a question gives.
type Asked<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// The store in one schema of a server.
struct PostgresStore {
    keys: Arc<Keys>,
    seen: SeenLately,
    shared: Arc<Shared>,
    /// This gate among the members.
    me: Arc<Mutex<Option<Uuid>>>,
    /// Rows that were met and do not open.
    unread: Mutex<BTreeSet<PairKey>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Has something asked of the server. The question is in line when this returns, and goes on if nobody waits for its answer.
    fn ask<'a, T, F>(&self, bytes: usize, question: impl Fn(Db) -> F + Send + Sync + 'static) -> StoreFuture<'a, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run = Box::new(move |link: Arc<link::Link>| {
            let asked = async move { drop(sender.send(link.ask(question).await)) };
            Box::pin(asked) as Pin<Box<dyn Future<Output = ()> + Send>>
        });
        let queued = self.shared.asks.push(Ask { bytes, run });
        Box::pin(async move {
            queued?;
            receiver.await.unwrap_or(Err(StoreError::Broken))
        })
    }

    /// This gate, while it is a member: in its name it writes.
    fn me(&self) -> Option<Uuid> {
        *self.me.lock()
    }

    /// Its key says where data is all the same.
    fn leave_unread(&self, key: PairKey) {
        let mut unread = self.unread.lock();
        if unread.is_empty() {
            report::unreadable("placements");
        }
        if unread.len() < UNREADABLE_MAX {
            unread.insert(key);
        }
    }
}

impl Drop for PostgresStore {
    /// Waits until what is in line has been written, or cannot be.
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            report::warn("a thread of the store panicked", None);
        }
    }
}
