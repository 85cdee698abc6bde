//! The store's promises: one contract mounted on every engine, and what only a durable engine can show: kill -9,
//! power cuts, full disks, failing syncs, wrong keys.

mod campaign;
mod child;
mod contract;
mod differential;
mod durable;
mod faults;
mod keys;
mod kill;
mod power;
mod recorder;
mod workload;
mod world;
