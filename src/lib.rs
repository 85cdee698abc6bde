//! Forgetgate: a gate in front of Watson-like services that labels, opts out, indexes and erases.

pub mod barrier;
pub mod config;
pub mod demo;
pub mod domain;
pub mod store;
pub mod upstream;
