//! Erasures, purely: what an erasure is, where it must go, what is to be done next, and what an answer means for it.
//!
//! Time and randomness come in as arguments; sockets, stores and fences are the business of `crate::erasure`, which does
//! what [`next_step`] says and tells the [`Job`] what came of it.

mod decision;
mod intent;
mod job;
mod plan;
mod retry;
mod step;
mod target;
#[cfg(test)]
mod tests;

pub use self::decision::{Decision, Undecidable, Verdict};
pub use self::intent::{Addressed, Intent, Probe, Scope};
pub use self::job::{Job, JobState};
pub use self::plan::{Held, Reach, passers, plan, plan_at, reaches};
pub use self::retry::{DELAY_MAX, RETRY_AFTER_MAX, judge};
pub use self::step::{Step, next_step};
pub use self::target::{Evidence, Fault, Outcome, Target, TargetKey, TargetState};
