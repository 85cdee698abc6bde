//! Several gates as processes, one PostgreSQL, and services of bare sockets. What one gate has let out, an erasure that comes to
//! another must reach.

#[path = "../postgres/server.rs"]
mod server;
#[expect(dead_code, reason = "it is shared with other tests, and each uses a part")]
#[path = "../life/support/mod.rs"]
mod support;

mod campaign;
mod deployment;
mod erasures;
mod service;
