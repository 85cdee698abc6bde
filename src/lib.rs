//! Forgetgate: a gate in front of Watson-like services that labels, opts out, indexes and erases.

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
