//! The repository of jobs: reads, changes and writes them one at a time, sealed. The customer's ID in a job is destroyed
//! when the job is over.
//!
//! The store is the only truth: nothing of a job is kept in memory between two steps, so a restart changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;

use data_encoding::BASE64;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::body::{self, Body, Note};
use super::gauges::{Counted, Gauges};
use super::locks::{Guard, Locks};
use super::report;
use crate::domain::erasure::{Job, Now, Run, Stamp, Standing, Summary};
use crate::domain::{CustomerId, PairKey, Tag, UnixSeconds};
use crate::store::seal::Keys;
use crate::store::{JobWrite, Jobs, ListedJob, Row, SharedJobs, Sharing, StoreError, StoredJob};

const CORRUPT: StoreError = StoreError::Corrupt { what: "an erasure" };

/// A job as it was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) tag: Tag,
    /// The number of the store's write that made it.
    pub(super) accepted: u64,
    /// Which write of the job was read; 0: none.
    version: u64,
    sealed: Option<String>,
}

/// An unfinished job, by its list entry.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: Uuid,
    pub(super) tag: Tag,
    /// `None` where it does not read: then the job has to be.
    pub(super) summary: Option<Summary>,
}

impl Marks {
    /// These, of all that were read.
    pub(super) fn of(rows: Vec<PairKey>, read: &[Row]) -> Self {
        Self { rows, up_to: read.iter().map(|row| row.written).max().unwrap_or(0) }
    }
}

impl From<ListedJob> for Listed {
    fn from(listed: ListedJob) -> Self {
        let summary = Summary::from_bytes(&listed.summary).filter(|summary| !summary.overfull);
        Self { id: listed.id, tag: listed.tag, summary }
    }
}

/// Who changes a job, where several gates share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The gate that works on it: if that is another one by now, nothing is written.
    Owner,
    /// Whoever was told what a person has decided.
    Anyone,
}

/// What a change leaves behind besides the job.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) rows: Vec<PairKey>,
    /// The highest number of the rows that were read.
    pub(super) up_to: u64,
}

/// The ledger.
pub(super) struct JobRepository {
    pub(super) store: Arc<dyn Jobs>,
    /// Where other gates work on some.
    pub(super) shared: Option<Arc<dyn SharedJobs>>,
    keys: Arc<Keys>,
    run: Run,
    locks: Locks<Uuid>,
    listeners: Mutex<HashMap<Uuid, Weak<Notify>>>,
    pub(super) gauges: Mutex<Gauges>,
    /// Rung whenever an erasure was written.
    pub(super) changed: Notify,
}

impl JobRepository {
    pub(super) fn new(store: Arc<dyn Jobs>, shared: Option<Arc<dyn SharedJobs>>, keys: Arc<Keys>, run: Run) -> Self {
        let (locks, listeners, gauges) = (Locks::new(), Mutex::default(), Mutex::default());
        Self { store, shared, keys, run, locks, listeners, gauges, changed: Notify::new() }
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
                Body::Erasure { job, sealed } => return Ok(Some(self.entry(*job, &stored, sealed))),
                Body::Attached { to, .. } => id = to,
            }
        }
        Err(CORRUPT)
    }

    fn entry(&self, mut job: Job, stored: &StoredJob, sealed: Option<String>) -> Entry {
        job.take_over(&self.run);
        Entry { job, tag: stored.tag, accepted: stored.accepted, version: stored.version, sealed }
    }

    /// The customer whose erasure this is; `None` once it is over.
    pub(super) fn customer(&self, entry: &Entry) -> Result<Option<CustomerId>, StoreError> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "an erasure's customer" };
        let Some(sealed) = &entry.sealed else { return Ok(None) };
        let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| CORRUPT)?;
        let plain = self.keys.open_job(entry.job.id, &bytes).map_err(|_| CORRUPT)?;
        let text = std::str::from_utf8(&plain).map_err(|_| CORRUPT)?;
        CustomerId::stored(text).map(Some).ok_or(CORRUPT)
    }

    /// Writes a new erasure, in place of a withdrawn one if it is `anew`. `false`: its ID is taken.
    pub(super) async fn create(
        &self,
        job: Job,
        tag: Tag,
        customer: &CustomerId,
        now: Now,
        anew: bool,
    ) -> Result<bool, StoreError> {
        let sealed = self.keys.seal_job(job.id, customer.expose().as_bytes()).map_err(|_| StoreError::Broken)?;
        let entry = Entry { job, tag, accepted: 0, version: 0, sealed: Some(BASE64.encode(&sealed)) };
        if anew {
            return self.write(entry, Marks::default(), now, None, By::Owner).await;
        }
        let (id, stored, standing) = self.stored(entry, now)?;
        let made = self.store.create(stored).await?;
        if made {
            self.gauges.lock().set(id, true, standing);
            self.changed.notify_waiters();
        }
        Ok(made)
    }

    /// Changes a job, and marks rows in the same durable write. `None` if there is no such job.
    pub(super) async fn change<T>(
        &self,
        id: Uuid,
        now: Now,
        change: impl FnOnce(&mut Job) -> (T, Marks),
    ) -> Result<Option<T>, StoreError> {
        let guard = self.lock(id).await;
        self.change_locked(&guard, id, now, By::Owner, change).await
    }

    /// The same for what a person has decided: whichever gate works on it.
    pub(super) async fn change_anyones<T>(
        &self,
        id: Uuid,
        now: Now,
        change: impl FnOnce(&mut Job) -> (T, Marks),
    ) -> Result<Option<T>, StoreError> {
        let guard = self.lock(id).await;
        self.change_locked(&guard, id, now, By::Anyone, change).await
    }

    /// The same for a job that the caller has locked.
    pub(super) async fn change_locked<T>(
        &self,
        _guard: &Guard,
        id: Uuid,
        now: Now,
        by: By,
        change: impl FnOnce(&mut Job) -> (T, Marks),
    ) -> Result<Option<T>, StoreError> {
        let Some(mut entry) = self.load(id).await? else { return Ok(None) };
        let before = entry.job.clone();
        let (value, marks) = change(&mut entry.job);
        if entry.job != before || !marks.rows.is_empty() {
            self.write(entry, marks, now, None, by).await?;
        }
        Ok(Some(value))
    }

    /// Another request for the same customer joins a job that the caller has locked, under a name of its own if it has one, all
    /// in one durable write. `false`: that name is taken; then nothing has changed.
    pub(super) async fn join(
        &self,
        _guard: &Guard,
        mut entry: Entry,
        own: Option<(Uuid, Note)>,
        now: Now,
        change: impl FnOnce(&mut Job),
    ) -> Result<bool, StoreError> {
        let (to, tag) = (entry.job.id, entry.tag);
        change(&mut entry.job);
        let received = UnixSeconds(now.moment.0);
        let named = |(id, note)| {
            let (of, summary) = (Some(to), Vec::new());
            let body = self.written(id, &Body::Attached { to, note })?;
            Ok(StoredJob { id, tag, finished: true, received, of, accepted: 0, version: 0, summary, body })
        };
        let also = own.map(named).transpose()?;
        self.write(entry, Marks::default(), now, also, By::Owner).await
    }

    async fn write(
        &self,
        entry: Entry,
        marks: Marks,
        now: Now,
        also: Option<StoredJob>,
        by: By,
    ) -> Result<bool, StoreError> {
        let (id, job, standing) = self.stored(entry, now)?;
        let finished = job.finished;
        let how = Sharing { anyones: by == By::Anyone, up_to: marks.up_to };
        let write = JobWrite { job, erased: marks.rows, at: UnixSeconds(now.moment.0), also };
        let written = self.store.commit_shared(write, how).await?;
        if written {
            self.gauges.lock().set(id, !finished, standing);
            self.changed.notify_waiters();
            if let Some(listener) = self.listeners.lock().get(&id).and_then(Weak::upgrade) {
                listener.notify_waiters();
            }
        }
        Ok(written)
    }

    /// A page of the list of unfinished jobs, after a place in it. The store begins to read when this is called.
    pub(super) fn listed(
        &self,
        cursor: Option<(Tag, Uuid)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send + use<'_> {
        let page = self.store.listed(cursor, limit);
        async move { Ok(page.await?.into_iter().map(Listed::from).collect()) }
    }

    /// What the list would say of a job if it could be read.
    pub(super) async fn summary(&self, id: Uuid) -> Result<Option<Summary>, StoreError> {
        Ok(self.load(id).await?.map(|entry| Summary::of(&entry.job)))
    }

    /// After a start: how a listed job stands.
    pub(super) fn counts(&self, id: Uuid, standing: Standing) {
        self.gauges.lock().set(id, true, standing);
    }

    pub(super) fn counted(&self) -> Counted {
        self.gauges.lock().counted()
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

    /// Notes a time, and gives the latest that is known.
    pub(super) async fn keep_time(&self, at: Option<UnixSeconds>) -> Result<Option<UnixSeconds>, StoreError> {
        self.store.keep_time(at).await
    }

    /// Removes what has been over since before this moment.
    pub(super) async fn purge(&self, before: UnixSeconds) -> Result<u64, StoreError> {
        self.store.purge(before).await
    }

    /// Waits until every upstream has accepted. Never ends if that does not happen: the caller bounds it.
    pub(super) async fn accepted_everywhere(&self, id: Uuid) -> Result<(), StoreError> {
        let Some(id) = self.load(id).await?.map(|entry| entry.job.id) else { return std::future::pending().await };
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

    fn stored(&self, entry: Entry, now: Now) -> Result<(Uuid, StoredJob, Standing), StoreError> {
        let Entry { mut job, tag, accepted, version, sealed } = entry;
        job.stamp = Stamp { run: self.run.name, at: now.moment };
        let (id, finished, received) = (job.id, job.is_over(), job.received);
        let sealed = sealed.filter(|_| !finished);
        let summary = Summary::of(&job);
        let body = self.written(id, &Body::Erasure { job: Box::new(job), sealed })?;
        let bytes = if finished { Vec::new() } else { summary.to_bytes() };
        let stored = StoredJob { id, tag, finished, received, of: None, accepted, version, summary: bytes, body };
        Ok((id, stored, summary.standing))
    }

    fn written(&self, id: Uuid, body: &Body) -> Result<Vec<u8>, StoreError> {
        let plain = body::write(body).map(Zeroizing::new).ok_or(CORRUPT)?;
        self.keys.seal_job(id, &plain).map_err(|_| StoreError::Broken)
    }

    fn read(&self, stored: &StoredJob) -> Result<Body, StoreError> {
        let plain = self.keys.open_job(stored.id, &stored.body).map_err(|_| CORRUPT)?;
        body::read(&plain)
    }

    /// One that cannot be read must not hide the others; it is said each time it is met.
    fn entries(&self, stored: Vec<StoredJob>) -> Vec<Entry> {
        let entry = |stored: StoredJob| match self.read(&stored) {
            Ok(Body::Erasure { job, sealed }) => Some(self.entry(*job, &stored, sealed)),
            Ok(Body::Attached { .. }) => None,
            Err(error) => {
                report::step_failed(stored.id, &error);
                None
            }
        };
        stored.into_iter().filter_map(entry).collect()
    }
}
