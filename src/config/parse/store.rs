//! `[store]`

use std::time::Duration;

use super::super::file::{Table, Value};
use super::super::{Engine, Snapshot, Store};
use super::bounded::{count, duration, duration_of, size};
use super::external_files::Outside;

const DAY: Duration = Duration::from_secs(86_400);

/// From about this many pairs on another engine is the advice: sled holds some 200 MB a million touched rows resident.
const SLED_PAIRS_ADVISED_MAX: usize = 10_000_000;

pub(super) fn store(root: &Table<'_>, outside: &Outside<'_>) -> Store {
    let mut store = Store::default();
    (store.path, store.key_file) = (outside.join("var/forgetgate"), outside.join("var/forgetgate.key"));
    let Some(table) = root.get("store").and_then(|value| value.table("[store]")) else {
        return store;
    };
    let words = [("sled", Engine::Sled), ("memory", Engine::Memory)];
    let engine = table.get("engine");
    store.engine = engine.and_then(|value| value.choice(&words, &["postgres"])).unwrap_or(store.engine);
    store.path = table.get("path").and_then(|value| outside.path(&value)).unwrap_or(store.path);
    store.key_file = key_file(&table, outside).unwrap_or(store.key_file);
    let millisecond = Duration::from_millis(1);
    store.lease = duration(&table, "lease", store.lease, &(millisecond..=DAY));
    store.cache_entries = count(&table, "cache_entries", store.cache_entries, &(1..=1_000_000_000));
    store.cache_bytes = size(&table, "cache_bytes", store.cache_bytes, &(1 << 20..=1 << 40));
    table.not_yet("url", "leave it out: engine = \"sled\" with path = \"var/forgetgate\"");
    store.snapshot = table.get("snapshot").and_then(|value| snapshot(&value, &store, outside));
    table.close();
    advise(&table, &store);
    store
}

/// `"24h"`, or a table that says more.
fn snapshot(value: &Value<'_>, store: &Store, outside: &Outside<'_>) -> Option<Snapshot> {
    if store.engine == Engine::Memory {
        value.fault("needs files, and engine = \"memory\" has none", "leave it out");
        return None;
    }
    let bounds = Duration::from_secs(60)..=30 * DAY;
    let mut folder = store.path.file_name().unwrap_or_default().to_owned();
    folder.push(".snapshots");
    let default = Snapshot { every: DAY, keep: 3, folder: store.path.with_file_name(folder) };
    if value.is_text() {
        return Some(Snapshot { every: duration_of(value, &bounds)?, ..default });
    }
    let table = value.table("\"24h\", or { every = \"24h\", keep = 3, path = \"snapshots\" }")?;
    let every = duration(&table, "every", default.every, &bounds);
    let keep = count(&table, "keep", default.keep, &(1..=1000));
    let folder = table.get("path").and_then(|value| outside.path(&value)).unwrap_or(default.folder);
    table.close();
    Some(Snapshot { every, keep, folder })
}

/// The store's key is made by the gate, so it lives in a file and nowhere else.
fn key_file(table: &Table<'_>, outside: &Outside<'_>) -> Option<std::path::PathBuf> {
    let form = "{ file = \"var/forgetgate.key\" }, which is made at first start";
    let value = table.get("key")?;
    if value.is_text() {
        value.fault("is written out; a secret never stands in this file", form);
        return None;
    }
    let key = value.table(form)?;
    if let Some(env) = key.get("env") {
        env.fault("the store's key is made by the gate, which cannot set a variable", form);
        key.get("file");
        key.close();
        return None;
    }
    let file = key.need("file", form);
    key.close();
    file.and_then(|file| outside.path(&file))
}

fn advise(table: &Table<'_>, store: &Store) {
    if store.engine == Engine::Memory {
        let what = "\"memory\" keeps nothing over a restart: labelled data is forgotten, accepted erasures too";
        table.report.warning(&table.place_of("engine"), what, "for tests only; \"sled\" otherwise");
    }
    if store.engine == Engine::Sled && store.cache_entries > SLED_PAIRS_ADVISED_MAX {
        let what = "so many known pairs are more than sled is good for";
        table.report.warning(
            &table.place_of("cache_entries"),
            what,
            "from 10 million pairs on, PostgreSQL is the advice",
        );
    }
}
