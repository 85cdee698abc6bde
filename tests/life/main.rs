//! The gate's life: killed, cut off from its disk, flooded, drained; and what it must keep promising through all of it.
//!
//! The real program runs as a child process in front of real services on loopback. How many of the long random rounds are
//! run is said by `FORGETGATE_CAMPAIGN`, in per cent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]
#![allow(clippy::disallowed_methods, reason = "how long real sockets and processes take is measured by the real clock")]

mod activation;
mod canary;
mod crowds;
mod descriptors;
mod durable;
mod floods;
mod hanging;
mod kill;
mod limits;
mod live;
mod log;
mod memory;
mod mixed;
mod postgres;
mod races;
mod reload;
#[path = "../postgres/server.rs"]
mod server;
mod slow;
mod store;
mod stragglers;
mod support;
