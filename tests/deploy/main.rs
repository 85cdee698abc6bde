//! What deploy/ offers works with this version: configs are accepted, units and manifests are sound and fit each other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]

mod container;
mod kubernetes;
mod kustomize;
mod references;
mod roles;
mod schema;
#[path = "../postgres/server.rs"]
mod server;
mod units;

use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
