//! Erasures, purely: what an erasure is, where it must go, what is to be done next, and what an answer means for it.
//!
//! Time and randomness come in as arguments; sockets, stores and fences are the business of `crate::erasure`, which does
//! what [`next_step`] says and tells the [`Job`] what came of it.

mod decision;
mod instances;
mod intent;
mod job;
mod made;
mod moment;
mod outcome;
mod plan;
mod planned;
mod renaming;
mod retry;
mod step;
mod summary;
mod target;
mod target_state;
#[cfg(test)]
mod tests;

pub use self::decision::{Decision, OnHold, Undecidable, Verdict};
pub use self::instances::{Instances, NamedInstance, Where, WhereId, Which};
pub use self::intent::{Addressed, Intent, Probe, Scope};
pub use self::job::Job;
pub use self::made::{JobState, Mark, NewJob};
pub use self::moment::{Moment, Now, Run, Stamp};
pub use self::outcome::{Evidence, Fault, Later, Outcome};
pub use self::plan::{Held, HeldAt, Reach, passers, plan, plan_at};
pub use self::retry::{DELAY_MAX, RETRY_AFTER_MAX, judge};
pub use self::step::{Step, next_step};
pub use self::summary::{Place, Standing, Summary};
pub use self::target::{Target, TargetKey};
pub use self::target_state::TargetState;
