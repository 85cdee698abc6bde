//! The store's promises: one contract mounted on every engine, and what only a durable engine can show: kill -9,
//! power cuts, full disks, failing syncs, wrong keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it is surprised")]

mod campaign;
mod child;
mod contract;
mod damage;
mod differential;
mod durable;
mod faults;
mod keys;
mod kill;
mod power;
mod recorder;
mod tip;
mod unreadable;
mod workload;
mod world;
