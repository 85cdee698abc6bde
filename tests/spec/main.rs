//! The promises, one by one: the real gate on a free port, raw bytes from a caller, and a scripted service behind it
//! that keeps the exact bytes of whatever reached it. What is asserted is what went over the wires.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]

mod authority;
mod client;
mod framing;
mod labels;
mod no_way_round;
mod opt_out;
mod upstream;
mod world;
