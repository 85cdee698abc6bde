//! [`Index`] by a server.

use std::future::ready;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::PostgresStore;
use super::batch::RowWork;
use super::placements::Found;
use crate::domain::erasure::NamedInstance;
use crate::domain::{CustomerId, Instance, PairKey, Tag, UnixSeconds, UpstreamNumber};
use crate::store::row::StoredRow;
use crate::store::{Figures, Index, KnownUpstream, Placement, Row, SeenInstance, StoreError, StoreFuture, instances};

/// The longest name and identity of an upstream together, and the longest instance with a name.
const NAMES_MAX: usize = 4000;

impl Index for PostgresStore {
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()> {
        let key = placement.key;
        let due = self.seen.due(&self.keys, &placement);
        let (row, noted) = match (StoredRow::seal(&self.keys, &placement), instances::noted(&self.keys, due.as_ref())) {
            (Ok(row), Ok(noted)) => (row, noted),
            (Err(error), _) | (_, Err(error)) => return Box::pin(ready(Err(error))),
        };
        let (done, written) = oneshot::channel();
        let noted = noted.map(|noted| (key.upstream, noted));
        let queued = self.shared.rows.push(RowWork::Row { key, row: Box::new(row), noted, done });
        Box::pin(async move {
            queued?;
            written.await.unwrap_or(Err(StoreError::Broken))?;
            due.iter().for_each(|entry| self.seen.written(entry));
            Ok(())
        })
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        let (done, before) = oneshot::channel();
        let queued = self.shared.rows.push(RowWork::Before(done));
        Box::pin(async move {
            queued?;
            before.await.unwrap_or(Err(StoreError::Broken))?;
            let mut rows = Vec::new();
            for tag in tags {
                let mut cursor = None;
                loop {
                    let (found, is_full) = self.ask(0, at(*tag, cursor)).await?;
                    cursor = found.last().map(|(key, ..)| *key);
                    rows.extend(found.into_iter().map(|(key, row, number)| row.open(&self.keys, id, key, number)));
                    if !is_full {
                        break;
                    }
                }
            }
            rows.iter().filter(|row| !row.readable).for_each(|row| self.leave_unread(row.key));
            Ok(rows)
        })
    }

    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut removed = 0;
            loop {
                let (some, more) = self.ask(0, move |db| async move { db.sweep(before).await }).await?;
                removed += some;
                if !more {
                    return Ok(removed);
                }
            }
        })
    }

    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber> {
        if name.len() + identity.len() > NAMES_MAX {
            return Box::pin(ready(Err(StoreError::TooLarge { what: "an upstream's name and address" })));
        }
        let (name, identity) = (name.to_owned(), identity.to_owned());
        self.ask(name.len() + identity.len(), move |db| {
            let (name, identity) = (name.clone(), identity.clone());
            async move { db.upstream_number(&name, &identity).await }
        })
    }

    fn name_instances(&self, upstream: UpstreamNumber, named: Vec<NamedInstance>) -> StoreFuture<'_, ()> {
        let size = |named| serde_json::to_vec(named).map_or(usize::MAX, |bytes| bytes.len());
        if named.iter().any(|named: &NamedInstance| size(named) > NAMES_MAX) {
            return Box::pin(ready(Err(StoreError::TooLarge { what: "an instance's name, path and keys" })));
        }
        self.ask(0, move |db| {
            let named = named.clone();
            async move { db.name_instances(upstream, &named).await }
        })
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.ask(0, |db| async move { db.upstreams().await })
    }

    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>> {
        let found = self.ask(0, |db| async move { db.instances().await });
        Box::pin(
            async move { Ok(found.await?.into_iter().map(|entry| instances::opened(&self.keys, entry)).collect()) },
        )
    }

    fn answered(&self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds) -> StoreFuture<'static, ()> {
        if instance.is_default() {
            return Box::pin(ready(Ok(())));
        }
        match instances::answered(&self.keys, upstream, instance) {
            Ok((key, sealed)) => self.ask(sealed.len(), move |db| {
                let sealed = sealed.clone();
                async move { db.answered(&key, &sealed, seen).await }
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        let figures = self.ask(0, |db| async move { db.figures().await });
        Box::pin(async move {
            let (syncs, unreadable) = (self.shared.syncs.load(Ordering::Relaxed), self.unread.lock().len() as u64);
            Ok(Figures { syncs, unreadable, ..figures.await? })
        })
    }

    fn is_writable(&self) -> bool {
        self.shared.rows.is_open() && self.shared.asks.is_open()
    }

    /// A server that is away is no reason to start anew: a new start needs it as well.
    fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

/// A page of a customer's rows.
fn at(
    tag: Tag,
    cursor: Option<PairKey>,
) -> impl Fn(super::db::Db) -> super::Asked<(Vec<Found>, bool)> + Send + Sync + 'static {
    move |db| Box::pin(async move { db.rows_of(tag, cursor).await })
}
