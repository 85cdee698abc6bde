//! The admin API over real sockets: the real store, eraser and counters behind it, and a service on loopback that takes
//! deletes. What is promised of it: nobody without the token, nothing of a customer in any sink (P7), everything bounded
//! (P12), and a description that is the router's own table.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::missing_docs_in_private_items, reason = "tests")]

mod bounds;
mod caller;
mod canary;
mod cli;
mod described;
mod guarded;
mod health;
mod life;
mod schema;
mod tls;
mod world;
