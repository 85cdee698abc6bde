//! Forgetgate: a reverse proxy in front of Watson-like services that labels, opts out, indexes and erases.
//!
//! A caller's connection is accepted by [`listen`] and served by a worker. Each request goes through [`proxy`], which
//! judges it by [`domain`], enters it in the in-flight table ([`inflight`]), records it in the [`store`] and forwards it through
//! [`upstream`]. A delete by label goes to [`erasure`], which fences the customer in the in-flight table and sends deletes to
//! every upstream that holds data. [`app`] builds all of it from a [`config`]; [`admin`] and [`telemetry`] show what
//! happens; [`net`] has the sockets, [`http1`],
//! [`http2`] and [`tls`] the protocols. Dependencies point down only. ARCHITECTURE.md has the map, the walk of a request
//! and the walk of a DELETE.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod erasure;
pub mod http1;
pub mod http2;
pub mod inflight;
pub mod listen;
pub mod net;
pub mod proxy;
pub mod replicas;

pub mod store;
pub mod telemetry;
pub mod tls;
pub mod upstream;
