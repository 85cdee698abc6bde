//! Several gates as processes, one PostgreSQL, and services of bare sockets. What one gate has let out, an erasure that comes to
//! another must reach.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]
#![allow(clippy::disallowed_methods, reason = "how long real sockets and processes take is measured by the real clock")]

#[path = "../postgres/server.rs"]
mod server;
#[expect(dead_code, reason = "it is shared with other tests, and each uses a part")]
#[path = "../life/support/mod.rs"]
mod support;

mod campaign;
mod deployment;
mod erasures;
mod gone;
mod service;
