//! The embedded engine: sled 0.34.7 with its durability mended.
//!
//! sled's `flush` makes nothing durable on Linux, so every batch is followed by a sync of its data file through a
//! descriptor of our own (`tables`); its files' names are made durable once (`files`); and one thread owns it (`writer`).
//! See docs/decisions/040-sled-without-transactions.md.

mod compact;
mod files;
mod journal;
mod restore;
mod rewrite;
mod tables;
mod tip;
mod trouble;
mod tuning;
mod writer;

use std::fmt;
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use uuid::Uuid;

pub use self::compact::Compacted;
pub(super) use self::compact::{compact, finish as finish_compaction};
use self::files::Files;
use self::journal::Done;
pub use self::restore::{RestoreError, Restored};
pub(super) use self::restore::{Restoring, restore};
pub use self::rewrite::Step as RewriteStep;
use self::tables::{TableError, Tables};
pub use self::tuning::{Check, Tuning};
use self::writer::{Answer, Opener, Shared, TableWork};
use super::open::{Ending, OpenError};
use super::row::StoredRow;
use super::seal::Keys;
use super::seen::SeenLately;
use super::{
    ExportStep, Figures, Index, JobWrite, Jobs, KnownUpstream, ListedJob, Placement, Row, SeenInstance, StoreError,
    StoreFuture, StoredHold, StoredJob, instances, report,
};
use crate::config;
use crate::domain::erasure::NamedInstance;
use crate::domain::{CustomerId, Instance, PairKey, Tag, UnixSeconds, UpstreamNumber};
use crate::telemetry::chain;

/// What is at a store's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A completed store, or what is left of one.
    Store,
    /// A creation that did not come to its end.
    Begun,
    /// Nothing; `tip`: but once there was.
    Nothing {
        /// Whether a tip is there.
        tip: bool,
    },
}

/// Looks for a store at this path.
pub(super) fn look(path: &Path) -> io::Result<Found> {
    let files = Files::new(path);
    Ok(if files.store_exists()? {
        Found::Store
    } else if files.is_begun()? {
        Found::Begun
    } else {
        Found::Nothing { tip: files.tip().try_exists()? }
    })
}

/// Notes that a store is being made here: before its key is, so that a key of its own is not taken for an old one's.
pub(super) fn begin(path: &Path) -> io::Result<()> {
    Files::new(path).begin_creation()
}

/// The store in one directory.
pub(super) struct SledStore {
    keys: Arc<Keys>,
    seen: SeenLately,
    shared: Arc<Shared>,
    ending: Ending,
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
        let shared = Arc::new(Shared::new(&tuning, Arc::default()));
        let tables = opener.open(&shared.syncs).map_err(|error| refusal(error, config))?;
        if tuning.check == Check::Whole {
            compact::clear(&path).map_err(io_error)?;
        }
        let ending = Ending::new(tables.ended_well());
        let (writers, watchers) = (Arc::clone(&shared), Arc::clone(&shared));
        let write = thread::Builder::new().name("store-writer".into());
        let at_end = ending.clone();
        let write = write.spawn(move || writer::run(&writers, &opener, tables, &at_end)).map_err(io_error)?;
        let watch = thread::Builder::new().name("store-watch".into());
        let watch = watch.spawn(move || writer::watch(&watchers, tuning.stall)).map_err(io_error)?;
        Ok(Self { keys, seen: SeenLately::default(), shared, ending, threads: vec![write, watch] })
    }

    pub(super) fn ending(&self) -> Ending {
        self.ending.clone()
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
                Err(TableError::Conflict) => Err(StoreError::Conflict),
                Err(broken) => return Err(broken),
            };
            // An asker who has gone away does not matter: what was written stays written.
            Ok(Box::new(move || drop(sender.send(answer))) as Answer)
        });
        let queued = self.shared.queue.push(TableWork { bytes, apply });
        Box::pin(async move {
            queued?;
            receiver.await.unwrap_or(Err(StoreError::Broken))
        })
    }
}

/// Why what was found does not open.
fn refusal(error: TableError, config: &config::Store) -> OpenError {
    let path = config.path.clone();
    match error {
        TableError::WrongKey => OpenError::WrongKey { path, key_file: config.key_file.clone() },
        TableError::Format { found } => OpenError::Format { path, found },
        TableError::Behind { found, expected } => OpenError::Behind { path, found, expected },
        TableError::NoTip(reason) => OpenError::NoTip { tip: Files::new(&path).tip(), path, reason },
        TableError::Sync(source) | TableError::Sled(sled::Error::Io(source)) => OpenError::Io { path, source },
        other @ (TableError::Sled(_)
        | TableError::Panic
        | TableError::Unreadable(_)
        | TableError::NoTrailer
        | TableError::Incomplete { .. }
        | TableError::Conflict
        | TableError::TooLarge(_)) => OpenError::Damaged { path, reason: chain(&other) },
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
        let due = self.seen.due(&self.keys, &placement);
        let (row, noted) = match (StoredRow::seal(&self.keys, &placement), instances::noted(&self.keys, due.as_ref())) {
            (Ok(row), Ok(noted)) => (row, noted),
            (Err(error), _) | (_, Err(error)) => return Box::pin(ready(Err(error))),
        };
        let written = self.ask(PairKey::LEN_MAX + row.sealed.len(), move |tables| {
            // Before the row: a crash in between leaves no row of an instance that nobody knows.
            if let Some((key, sealed, seen)) = &noted {
                tables.note_instance(*key, sealed, *seen, false)?;
            }
            tables.record(key, row)
        });
        Box::pin(async move {
            written.await?;
            due.iter().for_each(|entry| self.seen.written(entry));
            Ok(())
        })
    }

    fn rows<'a>(&'a self, tags: &'a [Tag], id: &'a CustomerId) -> StoreFuture<'a, Vec<Row>> {
        let tags = tags.to_vec();
        let found = self.ask(0, move |tables| tables.rows(&tags));
        Box::pin(async move {
            let found = found.await?.into_iter();
            let opened = |(key, row, number): (_, Option<StoredRow>, _)| {
                row.unwrap_or(StoredRow::unknown(UnixSeconds(0))).open(&self.keys, id, key, number)
            };
            let rows: Vec<Row> = found.map(opened).collect();
            let unread: Vec<_> = rows.iter().filter(|row| !row.readable).map(|row| row.key.to_bytes()).collect();
            if !unread.is_empty() {
                let count = move |tables: &mut Tables| {
                    unread.iter().for_each(|key| tables.leave_unread("placements", key));
                    Ok(())
                };
                self.ask(0, count).await?;
            }
            Ok(rows)
        })
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

    fn name_instances(&self, upstream: UpstreamNumber, named: Vec<NamedInstance>) -> StoreFuture<'_, ()> {
        self.ask(0, move |tables| tables.name_instances(upstream, named))
    }

    fn upstreams(&self) -> StoreFuture<'_, Vec<KnownUpstream>> {
        self.ask(0, |tables| Ok(tables.upstreams()))
    }

    fn instances(&self) -> StoreFuture<'_, Vec<SeenInstance>> {
        let found = self.ask(0, Tables::instances);
        Box::pin(
            async move { Ok(found.await?.into_iter().map(|entry| instances::opened(&self.keys, entry)).collect()) },
        )
    }

    fn answered(&self, upstream: UpstreamNumber, instance: &Instance, seen: UnixSeconds) -> StoreFuture<'static, ()> {
        if instance.is_default() {
            return Box::pin(ready(Ok(())));
        }
        match instances::answered(&self.keys, upstream, instance) {
            Ok((key, sealed)) => self.ask(sealed.len(), move |tables| tables.note_instance(key, &sealed, seen, true)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn figures(&self) -> StoreFuture<'_, Figures> {
        self.ask(0, |tables| tables.figures())
    }

    fn export(&self, step: ExportStep) -> StoreFuture<'_, (Vec<u8>, Option<ExportStep>)> {
        let key_check = self.keys.check_value();
        self.ask(0, move |tables| tables.export(step, key_check))
    }

    fn is_writable(&self) -> bool {
        self.shared.queue.is_open()
    }

    fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }
}

impl Jobs for SledStore {
    fn create(&self, job: StoredJob) -> StoreFuture<'_, bool> {
        let bytes = job.body.len();
        let create = move |tables: &mut Tables| {
            let made = tables.create(job.clone())?;
            if made {
                let at = job.received;
                tables.note_done(|| Done::Step(JobWrite { job, erased: Vec::new(), at, also: None }));
            }
            Ok(made)
        };
        self.ask(bytes, create)
    }

    fn commit(&self, write: JobWrite) -> StoreFuture<'_, bool> {
        let also = write.also.as_ref().map_or(0, |also| also.body.len());
        let bytes = write.job.body.len() + also + write.erased.len() * 2 * PairKey::LEN_MAX;
        let commit = move |tables: &mut Tables| {
            let done = tables.commit(&write)?;
            if done {
                tables.note_done(|| Done::Step(write));
            }
            Ok(done)
        };
        self.ask(bytes, commit)
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

    fn keep_time(&self, at: Option<UnixSeconds>) -> StoreFuture<'_, Option<UnixSeconds>> {
        self.ask(0, move |tables| tables.keep_time(at))
    }

    fn hold(&self, hold: StoredHold) -> StoreFuture<'_, ()> {
        let bytes = hold.body.len();
        let write = move |tables: &mut Tables| {
            tables.hold(&hold)?;
            tables.note_done(|| Done::Hold(hold));
            Ok(())
        };
        self.ask(bytes, write)
    }

    fn unhold(&self, id: Uuid) -> StoreFuture<'_, bool> {
        let remove = move |tables: &mut Tables| {
            let was = tables.unhold(id)?;
            tables.note_done(|| Done::Unhold(id));
            Ok(was)
        };
        self.ask(0, remove)
    }

    fn holds(&self, cursor: Option<Uuid>, limit: usize) -> StoreFuture<'_, Vec<StoredHold>> {
        self.ask(0, move |tables| tables.holds(cursor, limit))
    }
}
