//! `webchat_opt_out`: pages and scripts of an upstream in which Web Chat's configuration is made to opt out.
//!
//! An answer is held back until it is known whether it changes, so that one that does not keeps its bytes, its length and its
//! ETag. What is larger than `inspected_body_bytes_max`, or slower than [`HELD_FOR`], streams on as a page that may change.

mod altering;
mod answer;
mod gunzip;
mod hold;
mod pins;
mod request;
mod tag;

pub(super) use self::altering::Altering;
pub(super) use self::answer::trailers;
pub(super) use self::hold::decided;
pub(super) use self::pins::Pins;
pub(super) use self::request::Asked;

/// For how long an answer is held back: a page that is made in pieces shows its first ones soon.
const HELD_FOR: std::time::Duration = std::time::Duration::from_millis(500);
