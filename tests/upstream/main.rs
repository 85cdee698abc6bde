//! Connections, calls and credentials against real sockets: what the gate believes, how long it waits, and what it
//! says when a service is not as it should be.

mod call;
mod connect;
mod credentials;
mod iam;
mod service;
mod tls;
