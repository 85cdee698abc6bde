//! Transparent mode as it is deployed, and forward mode where it makes tunnels: the rules of deploy/transparent in a network namespace of each test's own, the
//! gate as a user of its own, services in another namespace, and clients that know nothing of any of it.
//!
//! It needs root, and Debian's packages iproute2, nftables, iptables and curl; without them it fails.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]
#![allow(clippy::disallowed_methods, reason = "how long real sockets and processes take is measured by the real clock")]

mod asked;
mod circles;
mod gate;
mod instances;
mod namespace;
mod opened;
mod plain;
mod service;
