//! A store in a directory of its own, and facts to put into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forgetgate::config::{Engine, Store};
use forgetgate::domain::{CustomerId, LabelForm, PairKey, UnixSeconds, UpstreamNumber};
use forgetgate::store::seal::Keys;
use forgetgate::store::{JobWrite, Opened, Placement, Row, StoredJob, open};
use uuid::Uuid;

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
        let config = Store {
            engine,
            path: directory.join("store"),
            key_file: directory.join("store.key"),
            lease: Duration::from_secs(600),
            cache_entries: 1000,
            cache_bytes: 64 << 20,
        };
        Self { config, _directory: None }
    }

    pub(crate) fn open(&self) -> Opened {
        open(&self.config).unwrap()
    }
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
        key: PairKey { tag, upstream, form: LabelForm::RAW, resource: resource_hash },
        id,
        resource: resource.into(),
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
        summary: format!("{number:040}").into_bytes(),
        body: body.to_vec(),
    }
}

pub(crate) fn step(job: StoredJob, erased: &[PairKey], at: UnixSeconds) -> JobWrite {
    JobWrite { job, erased: erased.to_vec(), at, also: None }
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
