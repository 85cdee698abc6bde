//! The embedded engine: sled 0.34.7 with its durability mended.
//!
//! sled's `flush` makes nothing durable on Linux, so every batch is followed by a sync of its data file through a
//! descriptor of our own (`tables`); its files' names are made durable once (`files`); and one thread owns it (`writer`).

mod files;
mod queue;
mod report;
mod tables;
mod writer;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use self::files::Files;
use self::queue::{Answer, Work};
use self::tables::{TableError, Tables};
use self::writer::{Opener, Shared};
use super::open::OpenError;
use super::row::StoredRow;
use super::seal::Keys;
use super::{
    Figures, Index, JobWrite, Jobs, KnownUpstream, ListedJob, Placement, Row, StoreError, StoreFuture, StoredHold,
    StoredJob,
};
use crate::config;
use crate::domain::{CustomerId, PairKey, Tag, UnixSeconds, UpstreamNumber};

/// What only tests set otherwise; no configuration reaches it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Sync the data file after each flush. Without it a power cut loses what was acknowledged: a test shows that.
    pub sync_data: bool,
    /// How long a batch may take before the store counts as broken.
    pub stall: Duration,
    /// How many works may wait for the writer.
    pub queue_bound: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { sync_data: true, stall: Duration::from_secs(30), queue_bound: 16_384 }
    }
}

/// Is there a completed store at this path?
pub(super) fn exists(config: &config::Store) -> Result<bool, OpenError> {
    Files::new(&config.path).store_exists().map_err(|source| OpenError::Io { path: config.path.clone(), source })
}

/// The store in one directory.
pub(super) struct SledStore {
    keys: Arc<Keys>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").finish_non_exhaustive()
    }
}

impl SledStore {
    /// Opens or makes the store; blocking.
    pub(super) fn open(config: &config::Store, keys: Arc<Keys>, tuning: Tuning) -> Result<Self, OpenError> {
        let path = config.path.clone();
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        if Files::new(&path).in_use().map_err(io_error)? {
            return Err(OpenError::InUse { path });
        }
        let opener =
            Opener { path: path.clone(), cache_bytes: config.cache_bytes, key_check: keys.check_value(), tuning };
        let shared = Arc::new(Shared::new(tuning.queue_bound, Arc::default()));
        let tables = opener.open(&shared.syncs).map_err(|error| match error {
            TableError::WrongKey => OpenError::WrongKey { path: path.clone(), key_file: config.key_file.clone() },
            TableError::Format { found } => OpenError::Format { path: path.clone(), found },
            TableError::Sync(source) | TableError::Sled(sled::Error::Io(source)) => {
                OpenError::Io { path: path.clone(), source }
            }
            other @ (TableError::Sled(_) | TableError::Panic | TableError::Unreadable(_) | TableError::TooLarge(_)) => {
                OpenError::Damaged { path: path.clone(), reason: other.to_string() }
            }
        })?;
        let (writers, watchers) = (Arc::clone(&shared), Arc::clone(&shared));
        let write = thread::Builder::new().name("store-writer".into());
        let write = write.spawn(move || writer::run(&writers, &opener, tables)).map_err(io_error)?;
        let watch = thread::Builder::new().name("store-watch".into());
        let watch = watch.spawn(move || writer::watch(&watchers, tuning.stall)).map_err(io_error)?;
        Ok(Self { keys, shared, threads: vec![write, watch] })
    }

    /// Has the writer do something, and gives its answer once everything before it is durable.
    fn ask<'a, T: Send + 'static>(
        &self,
        bytes: usize,
        question: impl FnOnce(&mut Tables) -> Result<T, TableError> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let (sender, receiver) = oneshot::channel();
        let apply = Box::new(move |tables: &mut Tables| {
            let answer = match question(tables) {
                Ok(answer) => Ok(answer),
                // One row's or one asker's trouble is not the engine's.
                Err(TableError::Unreadable(what)) => Err(StoreError::Corrupt { what }),
                Err(TableError::TooLarge(what)) => Err(StoreError::TooLarge { what }),
                Err(broken) => return Err(broken),
            };
            // An asker who has gone away does not matter: what was written stays written.
            Ok(Box::new(move || drop(sender.send(answer))) as Answer)
        });
        let queued = self.shared.queue.push(Work { bytes, apply });
        Box::pin(async move {
            queued?;
            receiver.await.unwrap_or(Err(StoreError::Broken))
        })
    }
}

impl Drop for SledStore {
    /// Waits until what is in line has been written and the files are closed.
    fn drop(&mut self) {
        self.shared.queue.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                report::warn("a thread of the store panicked", None);
            }
        }
    }
}

impl Index for SledStore {
    fn record(&self, placement: Placement) -> StoreFuture<'_, ()> {
        let key = placement.key;
        match StoredRow::seal(&self.keys, &placement) {
            Ok(row) => self.ask(PairKey::LEN + row.sealed.len(), move |tables| tables.record(key, row)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        let tags = tags.to_vec();
        let found = self.ask(0, move |tables| tables.rows(&tags));
        Box::pin(async move { found.await?.into_iter().map(|(key, row)| row.open(&self.keys, id, key)).collect() })
    }

    fn sweep(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut removed = 0;
            loop {
                let (some, more) = self.ask(0, move |tables| tables.sweep_step(before)).await?;
                removed += some;
                if !more {
                    return Ok(removed);
                }
            }
        })
    }

    fn upstream_number<'a>(&'a self, name: &'a str, identity: &'a str) -> StoreFuture<'a, UpstreamNumber> {
        let (name, identity) = (name.to_owned(), identity.to_owned());
        self.ask(name.len() + identity.len(), move |tables| tables.upstream_number(&name, &identity))
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.ask(0, |tables| Ok(tables.upstreams()))
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        self.ask(0, |tables| tables.figures())
    }

    fn is_writable(&self) -> bool {
        self.shared.queue.is_open()
    }
}

impl Jobs for SledStore {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        self.ask(job.body.len(), move |tables| tables.create(job))
    }

    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        let also = write.also.as_ref().map_or(0, |also| also.body.len());
        let bytes = write.job.body.len() + also + write.erased.len() * 2 * PairKey::LEN;
        self.ask(bytes, move |tables| tables.commit(&write))
    }

    fn job(&self, id: Uuid) -> StoreFuture<'_, Option<StoredJob>> {
        self.ask(0, move |tables| tables.job(id))
    }

    fn jobs(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredJob>> {
        self.ask(0, move |tables| tables.jobs(cursor, limit))
    }

    fn listed(&self, cursor: Option<(Tag, Uuid)>, limit: usize) -> StoreFuture<'_, Vec<ListedJob>> {
        self.ask(0, move |tables| tables.listed(cursor, limit))
    }

    fn unfinished_of<'a>(&'a self, tags: &'a [Tag]) -> StoreFuture<'a, Vec<StoredJob>> {
        let tags = tags.to_vec();
        self.ask(0, move |tables| tables.unfinished_of(&tags))
    }

    fn purge(&self, before: UnixSeconds) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let (mut removed, mut from) = (0, None);
            loop {
                let (some, next) = self.ask(0, move |tables| tables.purge_step(before, from.as_ref())).await?;
                removed += some;
                if next.is_none() {
                    return Ok(removed);
                }
                from = next;
            }
        })
    }

    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        self.ask(hold.body.len(), move |tables| tables.hold(&hold))
    }

    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        self.ask(0, move |tables| tables.unhold(id))
    }

    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.ask(0, move |tables| tables.holds(cursor, limit))
    }
}
