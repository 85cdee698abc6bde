//! Erasures, with the real barrier, the real store and real HTTP services on loopback that answer as they are told.
//! P4 and P5 above all: what is sent when, what is recorded, and who is kept out for how long.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]

mod at_once;
mod deletes;
mod doubts;
mod failing;
mod holds;
mod instances;
mod intake;
mod made_up;
mod office;
mod overlaps;
mod passing;
mod point_in_time;
mod probes;
mod rates;
mod restarts;
mod service;
mod settings;
mod time;
mod world;
