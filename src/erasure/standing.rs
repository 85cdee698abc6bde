//! How all erasures stand, in figures: for metrics, and for the alarm about late ones.

use std::collections::HashMap;

use super::Eraser;
use crate::domain::UnixSeconds;
use crate::domain::erasure::{Job, JobState};

/// Unfinished erasures as they were when they were last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many are in each state.
    pub by_state: HashMap<JobState, u64>,
    /// How many are past their deadline.
    pub late: u64,
}

impl Eraser {
    /// How the unfinished ones stand; about a minute old at most.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.shared.standing.lock().clone()
    }

    pub(super) fn stand<'a>(&self, jobs: impl Iterator<Item = &'a Job>, now: UnixSeconds) {
        let mut standing = Standing::default();
        for job in jobs {
            *standing.by_state.entry(job.state()).or_default() += 1;
            standing.late += u64::from(job.is_late(now));
        }
        let mut last = self.shared.standing.lock();
        if standing.late > last.late {
            tracing::error!(late = standing.late, "erasures are past their deadline");
        }
        *last = standing;
    }
}
