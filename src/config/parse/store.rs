//! `[store]`

use std::time::Duration;

use super::super::file::{Table, Value};
use super::super::{Engine, Postgres, PostgresUrl, Secret, Snapshot, Store};
use super::bounded::{count, duration, duration_of, size};
use super::external_files::{Outside, Unreadable};

const DAY: Duration = Duration::from_secs(86_400);

/// From about this many pairs on another engine is the advice: sled holds some 200 MB a million touched rows resident.
const SLED_PAIRS_ADVISED_MAX: usize = 10_000_000;

/// Keys that only `postgres` reads, and keys that it does not read.
const OF_POSTGRES: [&str; 5] = ["url", "schema", "ttl", "notify_url", "tls"];
const OF_FILES: [&str; 3] = ["path", "cache_bytes", "snapshot"];

const URL_FORM: &str = "url = { env = \"DATABASE_URL\" }, or { file = \"…\" }";

/// The longest name of a schema that the server takes as it is.
const SCHEMA_BYTES_MAX: usize = 63;

pub(super) fn store(root: &Table<'_>, outside: &Outside<'_>) -> Store {
    let mut store = Store::default();
    (store.path, store.key_file) = (outside.join("var/forgetgate"), outside.join("var/forgetgate.key"));
    let Some(table) = root.get("store").and_then(|value| value.table("[store]")) else {
        return store;
    };
    let words = [Engine::Sled, Engine::Memory, Engine::Postgres].map(|engine| (engine.as_str(), engine));
    let engine = table.get("engine");
    store.engine = engine.and_then(|value| value.choice(&words, &[])).unwrap_or(store.engine);
    store.key_file = key_file(&table, outside).unwrap_or(store.key_file);
    let millisecond = Duration::from_millis(1);
    store.lease = duration(&table, "lease", store.lease, &(millisecond..=DAY));
    store.cache_entries = count(&table, "cache_entries", store.cache_entries, &(1..=1_000_000_000));
    if store.engine == Engine::Postgres {
        foreign(&table, &OF_FILES, "belongs to engine = \"sled\"; the server keeps everything");
        store.postgres = postgres(&table, outside);
    } else {
        foreign(&table, &OF_POSTGRES, "belongs to engine = \"postgres\"");
        store.path = table.get("path").and_then(|value| outside.path(&value)).unwrap_or(store.path);
        store.cache_bytes = size(&table, "cache_bytes", store.cache_bytes, &(1 << 20..=1 << 40));
        store.snapshot = table.get("snapshot").and_then(|value| snapshot(&value, &store, outside));
    }
    table.close();
    advise(&table, &store);
    store
}

/// Refuses keys that the engine does not read.
fn foreign(table: &Table<'_>, keys: &[&'static str], what: &str) {
    for key in keys {
        if let Some(value) = table.get(key) {
            value.fault(what, "leave it out, or name the other engine");
        }
    }
}

fn postgres(table: &Table<'_>, outside: &Outside<'_>) -> Option<Postgres> {
    let url = table.need("url", URL_FORM).and_then(|value| url(&value, outside));
    let notify_url = table.get("notify_url").and_then(|value| {
        let what = "is not used yet: one gate to a schema needs no notifications";
        value.report.warning(&value.place, what, "leave it out");
        self::url(&value, outside)
    });
    let schema = table.get("schema").and_then(|value| schema(&value)).unwrap_or_else(|| "forgetgate".to_owned());
    let second = Duration::from_secs(1);
    let ttl = duration(table, "ttl", 5 * second, &(second..=60 * second));
    let tls = super::tls::upstream(table, outside);
    Some(Postgres { url: url?, schema, ttl, notify_url, tls })
}

/// A URL is a secret, since it holds a password. What is wrong with it is said as soon as it can be read.
fn url(value: &Value<'_>, outside: &Outside<'_>) -> Option<Secret> {
    let secret = outside.secret(value, Unreadable::IsFault)?;
    // What cannot be read was reported.
    let text = outside.opens().then(|| secret.read().ok()).flatten();
    match text.map(|text| PostgresUrl::parse(&text)) {
        Some(Err(fault)) => value.fault(format!("leads to a text that {fault}"), "a URL of the server"),
        Some(Ok(url)) if url.is_in_the_clear() => value.report.warning(
            &value.place,
            "leads to a server on another machine, without TLS: whoever is on the way can read along and change what is erased",
            "leave sslmode out, or write sslmode=verify-full",
        ),
        _ => {}
    }
    Some(secret)
}

/// It stands in statements as it is, so it is one that needs no quotes.
fn schema(value: &Value<'_>) -> Option<String> {
    let form =
        "a name of lower-case letters, digits and `_`, 63 characters at most, that does not begin with a digit or pg_";
    let name = value.text(form)?;
    let legal = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && !name.starts_with("pg_");
    if !legal || !begins || name.len() > SCHEMA_BYTES_MAX {
        value.fault("is no name of a schema", form);
        return None;
    }
    Some(name.to_owned())
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
