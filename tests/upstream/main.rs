//! Connections, calls and credentials against real sockets: what the gate believes, how long it waits, and what it
//! says when a service is not as it should be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]

mod call;
mod connect;
mod credentials;
mod iam;
mod jwks;
mod lines;
mod service;
mod tls;
