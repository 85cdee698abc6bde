//! The jobs in the store: read, changed and written one at a time, sealed, and the customer's ID in them gone when they
//! are over.
//!
//! The store is the only truth: nothing of a job is kept in memory between two steps, so a restart changes nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, OwnedMutexGuard};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::report;
use crate::domain::erasure::Job;
use crate::domain::{CustomerId, PairKey, Tag, UnixSeconds};
use crate::store::seal::Keys;
use crate::store::{JobWrite, Jobs, StoreError, StoredJob};

const CORRUPT: StoreError = StoreError::Corrupt { what: "an erasure" };

/// Unfinished erasures that are read at once.
const UNFINISHED_PAGE: usize = 200;

/// A body as the store keeps it: sealed as a whole, since people's reasons and notes may name the customer (P7).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    /// An erasure, with its ID until it is over; sealed once more, so that it is opened only where it is needed.
    Erasure { job: Box<Job>, sealed: Option<String> },
    /// Another request for the same customer, which attached to that erasure under an ID of its own.
    Attached { to: Uuid },
}

/// A job as it was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) tag: Tag,
    sealed: Option<String>,
}

/// What a change leaves behind besides the job.
#[derive(Debug, Default)]
pub(super) struct Marks(pub(super) Vec<PairKey>);

/// Whoever holds it is the only one who changes this job.
pub(super) type Guard = OwnedMutexGuard<()>;

/// One lock for each name that is in use at the moment.
#[derive(Debug)]
pub(super) struct Locks<K>(Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>);

impl<K: Eq + Hash> Locks<K> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) async fn lock(&self, name: K) -> Guard {
        let lock = {
            let mut all = self.0.lock();
            all.retain(|_, lock| lock.strong_count() > 0);
            let found = all.get(&name).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                let new = Arc::default();
                all.insert(name, Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }
}

/// The ledger.
pub(super) struct Ledger {
    store: Arc<dyn Jobs>,
    keys: Arc<Keys>,
    locks: Locks<Uuid>,
    listeners: Mutex<HashMap<Uuid, Weak<Notify>>>,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn Jobs>, keys: Arc<Keys>) -> Self {
        Self { store, keys, locks: Locks::new(), listeners: Mutex::new(HashMap::new()) }
    }

    /// Keeps others from changing this job.
    pub(super) async fn lock(&self, id: Uuid) -> Guard {
        self.locks.lock(id).await
    }

    /// One erasure, also by the ID of a request that attached to it.
    pub(super) async fn load(&self, id: Uuid) -> Result<Option<Entry>, StoreError> {
        let mut id = id;
        // An attached ID points to an erasure, never to another attached one.
        for _ in 0..2 {
            let Some(stored) = self.store.job(id).await? else { return Ok(None) };
            match self.read(&stored)? {
                Body::Erasure { job, sealed } => return Ok(Some(Entry { job: *job, tag: stored.tag, sealed })),
                Body::Attached { to } => id = to,
            }
        }
        Err(CORRUPT)
    }

    /// The customer whose erasure this is; `None` once it is over.
    pub(super) fn customer(&self, entry: &Entry) -> Result<Option<CustomerId>, StoreError> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "an erasure's customer" };
        let Some(sealed) = &entry.sealed else { return Ok(None) };
        let bytes = STANDARD.decode(sealed).map_err(|_| CORRUPT)?;
        let plain = self.keys.open_job(entry.job.id, &bytes).map_err(|_| CORRUPT)?;
        let text = std::str::from_utf8(&plain).map_err(|_| CORRUPT)?;
        CustomerId::new(text).map(Some).ok_or(CORRUPT)
    }

    /// Writes a new erasure. `false`: its ID is taken.
    pub(super) async fn create(&self, job: Job, tag: Tag, customer: &CustomerId) -> Result<bool, StoreError> {
        let sealed = self.keys.seal_job(job.id, customer.expose().as_bytes()).map_err(|_| StoreError::Broken)?;
        self.store.create(self.stored(Entry { job, tag, sealed: Some(STANDARD.encode(sealed)) })?).await
    }

    /// Notes that the request `id` attached to the erasure `to`. `false`: its ID is taken.
    pub(super) async fn attach(&self, id: Uuid, to: Uuid, tag: Tag, at: UnixSeconds) -> Result<bool, StoreError> {
        let body = self.written(id, &Body::Attached { to })?;
        self.store
            .create(StoredJob { id, tag, finished: true, received: at, of: Some(to), summary: Vec::new(), body })
            .await
    }

    /// Changes a job, and marks rows in the same durable write. `None` if there is no such job.
    pub(super) async fn change<T>(
        &self,
        id: Uuid,
        at: UnixSeconds,
        change: impl FnOnce(&mut Job) -> (T, Marks),
    ) -> Result<Option<T>, StoreError> {
        let guard = self.lock(id).await;
        self.change_locked(&guard, id, at, change).await
    }

    /// The same for a job that the caller has locked.
    pub(super) async fn change_locked<T>(
        &self,
        _guard: &Guard,
        id: Uuid,
        at: UnixSeconds,
        change: impl FnOnce(&mut Job) -> (T, Marks),
    ) -> Result<Option<T>, StoreError> {
        let Some(mut entry) = self.load(id).await? else { return Ok(None) };
        let before = entry.job.clone();
        let (value, marks) = change(&mut entry.job);
        if entry.job != before || !marks.0.is_empty() {
            self.write(entry, marks, at).await?;
        }
        Ok(Some(value))
    }

    async fn write(&self, entry: Entry, marks: Marks, at: UnixSeconds) -> Result<(), StoreError> {
        let (id, job) = (entry.job.id, self.stored(entry)?);
        self.store.commit(JobWrite { job, erased: marks.0, at, also: None }).await?;
        if let Some(listener) = self.listeners.lock().get(&id).and_then(Weak::upgrade) {
            listener.notify_waiters();
        }
        Ok(())
    }

    /// Shows each erasure that is not over, however many there are: no more than a page of them is in memory at once.
    pub(super) async fn each_unfinished(&self, mut show: impl FnMut(Entry)) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let listed = self.store.listed(cursor, UNFINISHED_PAGE).await?;
            cursor = listed.last().map(|job| (job.tag, job.id));
            let more = listed.len() == UNFINISHED_PAGE;
            for job in listed {
                match self.load(job.id).await {
                    Ok(entry) => entry.filter(|entry| !entry.job.is_over()).into_iter().for_each(&mut show),
                    // One that cannot be read must not hide the others.
                    Err(error @ StoreError::Corrupt { .. }) => report::step_failed(job.id, &error),
                    Err(error) => return Err(error),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Those of one customer.
    pub(super) async fn unfinished_of(&self, tags: &[Tag]) -> Result<Vec<Entry>, StoreError> {
        Ok(self.entries(self.store.unfinished_of(tags).await?))
    }

    /// Erasures in the order of their IDs after `cursor`, from at most `limit` entries, and the last entry's ID if there
    /// may be more.
    pub(super) async fn page(
        &self,
        cursor: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<Uuid>), StoreError> {
        let stored = self.store.jobs(cursor, limit).await?;
        let next = stored.last().map(|job| job.id).filter(|_| stored.len() == limit);
        Ok((self.entries(stored), next))
    }

    /// Waits until every upstream has accepted. Never ends if that does not happen: the caller bounds it.
    pub(super) async fn accepted_everywhere(&self, id: Uuid) -> Result<(), StoreError> {
        let bell = self.listen(id);
        loop {
            let rung = bell.notified();
            if self.load(id).await?.is_some_and(|entry| entry.job.is_accepted_everywhere()) {
                return Ok(());
            }
            rung.await;
        }
    }

    fn listen(&self, id: Uuid) -> Arc<Notify> {
        let mut all = self.listeners.lock();
        all.retain(|_, bell| bell.strong_count() > 0);
        let found = all.get(&id).and_then(Weak::upgrade);
        found.unwrap_or_else(|| {
            let new = Arc::default();
            all.insert(id, Arc::downgrade(&new));
            new
        })
    }
    fn stored(&self, entry: Entry) -> Result<StoredJob, StoreError> {
        let Entry { job, tag, sealed } = entry;
        let (id, finished, received) = (job.id, job.is_over(), job.received);
        let sealed = sealed.filter(|_| !finished);
        let body = self.written(id, &Body::Erasure { job: Box::new(job), sealed })?;
        Ok(StoredJob { id, tag, finished, received, of: None, summary: Vec::new(), body })
    }

    fn written(&self, id: Uuid, body: &Body) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(body).map(Zeroizing::new).map_err(|_| CORRUPT)?;
        self.keys.seal_job(id, &plain).map_err(|_| StoreError::Broken)
    }

    fn read(&self, stored: &StoredJob) -> Result<Body, StoreError> {
        let plain = self.keys.open_job(stored.id, &stored.body).map_err(|_| CORRUPT)?;
        serde_json::from_slice(&plain).map_err(|_| CORRUPT)
    }

    /// One that cannot be read must not hide the others; it is said each time it is met.
    fn entries(&self, stored: Vec<StoredJob>) -> Vec<Entry> {
        let entry = |stored: StoredJob| match self.read(&stored) {
            Ok(Body::Erasure { job, sealed }) => Some(Entry { job: *job, tag: stored.tag, sealed }),
            Ok(Body::Attached { .. }) => None,
            Err(error) => {
                report::step_failed(stored.id, &error);
                None
            }
        };
        stored.into_iter().filter_map(entry).collect()
    }
}
