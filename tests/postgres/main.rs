//! The way to a PostgreSQL server, against a real one: hosts, TLS, passwords, settings, and a network that fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it is surprised")]

mod commands;
mod connect;
mod network;
mod pooler;
mod server;
mod tls;
mod wire;
