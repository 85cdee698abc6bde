//! The commands: each makes the text of its answer; printing it is up to `main`.

pub mod check;
pub mod profiles;
pub mod run;
