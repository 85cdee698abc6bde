//! What a job takes over from planning: targets that are new, and what those that are known serve besides.

use super::intent::Intent;
use super::job::Job;
use super::made::Mark;
use super::outcome::Later;
use super::plan::{Held, HeldAt};
use super::target::{Target, TargetKey};
use super::target_state::TargetState;
use crate::domain::{Apis, UnixSeconds, UpstreamNumber};

/// Requests whose scopes are remembered, for planning anew; beyond these the oldest are taken together.
const COVERED_MAX: usize = 32;

impl Job {
    /// The targets of these intents were read: new ones are added, and those known already serve these intents as well. What
    /// was asked for while they were being read is planned next.
    pub fn planned(&mut self, intents: &[Intent], targets: Vec<Target>, topology: u64) {
        self.intents.retain(|intent| !intents.contains(intent));
        for intent in intents {
            let mut intent = intent.clone();
            intent.forget_probe();
            self.covered.retain(|earlier| !earlier.is_superseded_by(&intent));
            self.covered.push(intent);
        }
        Intent::bounded(&mut self.covered, COVERED_MAX);
        self.topology = topology;
        targets.iter().for_each(|target| self.covers_also(target));
        let later = self.later.take();
        self.extended(targets.into_iter().map(|target| Target { later: target.later.or(later), ..target }).collect());
    }

    /// These may hold more since their deletes were accepted, for no request of now: the customer has been let in since the
    /// answer, and the next delete's instant lies after it.
    pub fn asked_anew(&mut self, upstreams: &[UpstreamNumber], at: UnixSeconds) {
        let there = |target: &&Target| upstreams.contains(&target.key.upstream);
        let accepted = self.targets.iter().filter(there).filter(|target| target.is_accepted());
        let accepted: Vec<TargetKey> = accepted.map(|target| target.key).collect();
        self.reaches_also(upstreams, at);
        self.unfence(&accepted, Later::FenceEnded);
    }

    /// A target that an earlier planning has found, after this request had joined, serves this one as well.
    fn covers_also(&mut self, planned: &Target) {
        let at = self.received;
        let mark = self.target(planned.key).and_then(|known| self.mark_of(known));
        let later = planned.mark.is_some() && !Mark::is_as_late(mark, planned.mark);
        if later && let Some(known) = self.target_mut(planned.key) {
            known.rejoin(planned.mark, at);
        }
    }

    /// Upstreams pass IDs on to each other in another way than when it was planned: it is planned anew.
    pub fn plan_anew(&mut self, topology: u64) -> bool {
        let anew = self.intents.is_empty() && self.topology != topology && !self.is_over() && !self.covered.is_empty();
        if anew {
            self.intents = std::mem::take(&mut self.covered);
            self.later = Some(Later::FenceEnded);
        }
        anew
    }

    /// Where it went, as planning reads it. What was passed on from there is still to be followed when the index has
    /// forgotten, since the deletes were accepted, that anything was there.
    #[must_use]
    pub fn went_to(&self) -> Vec<Held> {
        let own = |target: &&Target| target.key.label_of == target.key.upstream && target.state != TargetState::Closed;
        let held = |target: &Target| {
            let TargetKey { upstream, form, api, .. } = target.key;
            Held { upstream, form, apis: Apis::of(api), at: HeldAt::Asked(target.place.clone()) }
        };
        self.targets.iter().filter(own).map(held).collect()
    }

    /// Adds targets that are not known yet. One that a person gave up stays so for the requests of before; where a later one
    /// reaches it, it is taken up again.
    pub fn extended(&mut self, targets: Vec<Target>) {
        for target in targets {
            match self.target_mut(target.key) {
                None => self.targets.push(target),
                // A delete that was not answered may still be carried out, whatever a person has decided since.
                Some(known) if known.state == TargetState::Closed && known.reopened => {
                    *known = Target { unanswered: known.unanswered, ..target };
                }
                Some(_) => {}
            }
        }
    }
}
