//! What an erasure covers: by the generation of its fence at this gate, and by the fence's number at all.

use super::Eraser;
use super::job_repository::Entry;
use crate::domain::erasure::{Mark, TargetKey};
use crate::inflight::Generation;
use crate::replicas::{Covered, Fence};

impl Eraser {
    /// What an erasure covers whose fence this is.
    pub(super) fn mark_of(&self, fence: &Fence) -> Mark {
        Mark { run: self.shared.run.name, generation: fence.generation().0, number: fence.number() }
    }

    /// What is covered at these targets, of one upstream.
    pub(super) fn covered(&self, entry: &Entry, keys: &[TargetKey]) -> Covered {
        let job = &entry.job;
        let marks = keys.iter().filter_map(|key| job.mark_of(job.target(*key)?));
        let widest = marks.reduce(|one, other| if other.is_after(one) { other } else { one });
        let Some(mark) = widest else { return Covered::NONE };
        let replicas = &self.shared.replicas;
        let here = match mark.run == self.shared.run.name {
            true => Some(Generation(mark.generation)),
            false if replicas.may_have_others() => replicas.generation_of(entry.tag, mark.number),
            false => Some(Generation::FIRST),
        };
        Covered { here, number: mark.number }
    }

    /// As it is written down. What is not known at this gate any more belongs to no run.
    pub(super) fn mark_over(&self, covered: Covered) -> Mark {
        let Covered { here, number } = covered;
        match here {
            Some(generation) => Mark { run: self.shared.run.name, generation: generation.0, number },
            None => Mark { run: 0, generation: 0, number },
        }
    }
}
