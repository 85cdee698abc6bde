//! What the benches of the store share: a store in a directory, a copy of one, and a runtime.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forgetgate::config::{Engine, Store};
use tokio::runtime::{Builder, Runtime};

pub(crate) fn config(directory: &Path) -> Store {
    Store {
        engine: Engine::Sled,
        path: directory.join("store"),
        key_file: directory.join("store.key"),
        lease: Duration::from_secs(600),
        cache_entries: 0,
        cache_bytes: cache_bytes(),
        snapshot: None,
        postgres: None,
    }
}

/// The default, unless `FORGETGATE_CACHE_BYTES` says otherwise.
fn cache_bytes() -> u64 {
    std::env::var("FORGETGATE_CACHE_BYTES").map_or(8 << 20, |bytes| bytes.parse().expect("a number of bytes"))
}

/// The files of a store that is open are what a kill leaves.
pub(crate) fn copied(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-r", "--sparse=always"]).args([from, to]).status();
    assert!(copied.expect("cp").success(), "the copy of the store");
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
