//! Forgetgate: a reverse proxy in front of Watson-like services that labels, opts out, indexes and erases.
//!
//! A caller's connection is accepted by [`listen`] and served by a worker. Each request goes through [`proxy`], which
//! judges it by [`domain`], enters it in the [`barrier`], records it in the [`store`] and forwards it through
//! [`upstream`]. A delete by label goes to [`erasure`], which fences the customer in the barrier and sends deletes to
//! every upstream that holds data. [`app`] builds all of it from a [`config`]; [`admin`] and [`telemetry`] show what
//! happens; [`wire`] has the sockets. Dependencies point down only. ARCHITECTURE.md has the map, the walk of a request
//! and the walk of a DELETE.

pub mod admin;
pub mod app;
pub mod barrier;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod erasure;
pub mod listen;
pub mod proxy;

pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod wire;
