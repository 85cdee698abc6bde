//! The store's promises: one contract mounted on every engine, and what only a durable engine can show: kill -9,
//! power cuts, full disks, failing syncs, wrong keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it is surprised")]

#[macro_use]
mod engines;

mod campaign;
mod child;
mod contract;
mod contract_jobs;
mod damage;
mod differential;
mod durable;
mod export;
mod faults;
mod half_done;
mod instances;
mod journal;
mod keys;
mod kill;
mod many;
mod postgres;
mod power;
mod read_ahead;
mod recorder;
mod rewrite;
#[path = "../postgres/server.rs"]
mod server;
mod snapshot;
mod tip;
mod unreadable;
#[path = "../postgres/wire.rs"]
mod wire;
mod workload;
mod world;
