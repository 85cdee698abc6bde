//! How many unfinished erasures stand how. Each write of one counts it anew.

use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::erasure::Standing;

/// Which unfinished jobs stand how: true at any moment, and exact since each write is counted by its job.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    unfinished: HashSet<Uuid>,
    awaiting: HashSet<Uuid>,
    action: HashSet<Uuid>,
}

impl Gauges {
    pub(super) fn set(&mut self, id: Uuid, unfinished: bool, standing: Standing) {
        let put = |set: &mut HashSet<Uuid>, is: bool| {
            if is {
                set.insert(id);
            } else if !set.is_empty() {
                set.remove(&id);
            }
        };
        put(&mut self.awaiting, unfinished && standing.awaiting_approval);
        put(&mut self.action, unfinished && standing.action_required);
        put(&mut self.unfinished, unfinished);
    }

    pub(super) fn counted(&self) -> Counted {
        let (unfinished, awaiting) = (self.unfinished.len(), self.awaiting.len());
        Counted { unfinished, awaiting, action: self.action.len() }
    }
}

/// How many stand how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) unfinished: usize,
    pub(super) awaiting: usize,
    pub(super) action: usize,
}
