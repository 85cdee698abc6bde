//! A store in a directory of its own, and facts to put into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forgetgate::config::{Engine, Postgres as PostgresConfig, Secret, Store, UpstreamTls};
use forgetgate::domain::{CustomerId, Instance, InstanceHash, LabelForm, PairKey, UnixSeconds, UpstreamNumber};
use forgetgate::store::seal::Keys;
use forgetgate::store::{Check, JobWrite, Opened, Placement, Row, StoredJob, Tuning, open, open_with};
use uuid::Uuid;

use crate::server::Postgres;

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A configured store, open or not.
pub(crate) struct World {
    pub(crate) config: Store,
    /// Removed when dropped.
    _directory: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) fn new(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Self::at(directory.path(), engine);
        Self { _directory: Some(directory), ..world }
    }

    pub(crate) fn sled() -> Self {
        Self::new(Engine::Sled)
    }

    pub(crate) fn at(directory: &Path, engine: Engine) -> Self {
        let postgres = (engine == Engine::Postgres).then(|| schema_of(Postgres::shared(), directory));
        let config = Store {
            engine,
            path: directory.join("store"),
            key_file: directory.join("store.key"),
            lease: Duration::from_secs(600),
            cache_entries: 1000,
            cache_bytes: 64 << 20,
            snapshot: None,
            postgres,
        };
        Self { config, _directory: None }
    }

    pub(crate) fn open(&self) -> Opened {
        open(&self.config).unwrap()
    }

    /// Opens what was changed in its files: its entries do not add up any more.
    pub(crate) fn open_changed(&self) -> Opened {
        open_with(&self.config, Tuning { check: Check::Nothing, ..Tuning::default() }).unwrap()
    }
}

/// A schema of a directory's own on this server, which is made at first opening.
pub(crate) fn schema_of(server: &Postgres, directory: &Path) -> PostgresConfig {
    let url = directory.join("url");
    fs::write(&url, server.url()).unwrap();
    let schema = format!("s{}", Uuid::now_v7().simple());
    let (ttl, tls) = (Duration::from_secs(5), UpstreamTls::default());
    PostgresConfig { url: Secret::file(url), schema, ttl, notify_url: None, tls }
}

/// Runs a future to its end.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn id(text: &str) -> CustomerId {
    CustomerId::new(text).unwrap()
}

pub(crate) fn fact(keys: &Keys, customer: &str, upstream: u16, resource: &str) -> Placement {
    let id = id(customer);
    let tag = keys.tag(&id);
    let (upstream, resource_hash) = (UpstreamNumber(upstream), keys.resource_hash(tag, resource));
    Placement {
        key: PairKey { tag, upstream, form: LabelForm::RAW, resource: resource_hash, instance: InstanceHash::DEFAULT },
        id,
        resource: resource.into(),
        instance: Instance::default(),
        wire: None,
        api: None,
        seen: NOW,
    }
}

pub(crate) fn later(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

pub(crate) async fn rows_of(store: &Opened, customer: &str) -> Vec<Row> {
    let id = id(customer);
    store.index.rows(&store.keys.tags_all_epochs(&id), &id).await.unwrap()
}

pub(crate) fn job(keys: &Keys, number: u128, customer: &str, body: &[u8]) -> StoredJob {
    StoredJob {
        id: Uuid::from_u128(number),
        tag: keys.tag(&id(customer)),
        finished: false,
        received: NOW,
        of: None,
        accepted: 0,
        version: 0,
        summary: format!("{number:040}").into_bytes(),
        body: body.to_vec(),
    }
}

/// What was read without what the store alone knows of it: the numbers of the writes that made jobs.
pub(crate) trait Unnumbered {
    fn unnumbered(self) -> Self;
}

impl Unnumbered for StoredJob {
    fn unnumbered(self) -> Self {
        Self { accepted: 0, version: 0, ..self }
    }
}

impl Unnumbered for Option<StoredJob> {
    fn unnumbered(self) -> Self {
        self.map(Unnumbered::unnumbered)
    }
}

impl Unnumbered for Vec<StoredJob> {
    fn unnumbered(self) -> Self {
        self.into_iter().map(Unnumbered::unnumbered).collect()
    }
}

/// Another name of a job.
pub(crate) fn name_of(job: &StoredJob, number: u128) -> StoredJob {
    let (id, of) = (Uuid::from_u128(number), Some(job.id));
    StoredJob { id, finished: true, of, summary: Vec::new(), body: b"another name".to_vec(), ..job.clone() }
}

pub(crate) fn step(job: StoredJob, erased: &[PairKey], at: UnixSeconds) -> JobWrite {
    JobWrite { job, erased: erased.to_vec(), at, also: None }
}

/// Changes the files of a closed store.
pub(crate) fn in_its_files(world: &World, change: impl FnOnce(&dyn Fn(&str) -> Table)) {
    let db = sled::open(&world.config.path).unwrap();
    change(&|table| Table(db.open_tree(table).unwrap()));
    drop(db);
    // Its threads hold its lock for a moment longer.
    let data = fs::File::open(world.config.path.join("db")).unwrap();
    while data.try_lock().is_err() {
        std::thread::yield_now();
    }
}

/// A table of a closed store. Behind each value stand 16 bytes that say when it was written.
pub(crate) struct Table(pub(crate) sled::Tree);

impl Table {
    pub(crate) fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.insert(key, [value.as_ref(), &[0; 16]].concat()).unwrap();
    }

    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let value = self.0.get(key).unwrap()?;
        Some(value[..value.len() - 16].to_vec())
    }

    pub(crate) fn remove(&self, key: impl AsRef<[u8]>) {
        self.0.remove(key).unwrap();
    }
}

/// Every file under a directory.
pub(crate) fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_under(&path)) } else { found.push(path) }
    }
    found
}
