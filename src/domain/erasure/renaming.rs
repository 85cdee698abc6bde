//! Targets of keys that had no name when they were planned, and have one by now.

use super::instances::{Where, Which};
use super::job::Job;
use super::moment::Moment;
use super::outcome::Fault;
use super::plan::Reach;
use super::target::{Target, TargetKey};
use crate::domain::Instance;

impl Job {
    /// Looks up again whose those keys are. A target that has been sent to stays what it was if another has its new name.
    /// What is under way under the old name, and ends under none, may be carried out until `until`.
    pub fn renamed(&mut self, reaches: &[Reach], until: Moment) {
        for mut target in std::mem::take(&mut self.targets) {
            let places = places_now(&target, reaches).unwrap_or_default();
            match <[Where; 1]>::try_from(places) {
                Ok([place]) => {
                    let key = TargetKey { instance: place.id(), ..target.key };
                    let twin = self.targets.iter().any(|other| other.key == key);
                    if !twin {
                        if target.is_under_way() {
                            target.unanswered = target.unanswered.max(Some(until));
                        }
                        (target.key, target.place) = (key, place);
                        if target.last_error == Some(Fault::InstanceUnnamed) {
                            target.retry();
                        }
                    }
                    if !twin || target.attempts > 0 {
                        self.targets.push(target);
                    }
                }
                Err(places) if places.is_empty() || target.attempts > 0 => self.targets.push(target),
                // One of several, which are planned each for itself.
                Err(_) => {}
            }
        }
    }
}

/// `None`: as before.
fn places_now(target: &Target, reaches: &[Reach]) -> Option<Vec<Where>> {
    let Which::Unnamed(caller) = target.place.which else { return None };
    let reach = reaches.iter().find(|reach| reach.number == target.key.upstream)?;
    let places = reach.instances.resolve(&Instance { prefix: target.place.prefix.clone(), caller });
    Some(places).filter(|places| !places.contains(&target.place))
}
