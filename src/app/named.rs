//! An instance that had a name may not lose it while its upstream holds data. What was sent with its key would be taken for
//! the upstream's own, and what showed no key would not be asked for there any more: both would be called accepted.
//!
//! The store keeps the names, with fingerprints of their keys, since the file of before is gone.

use crate::domain::erasure::{Instances, NamedInstance};
use crate::domain::instance::InstanceRule;
use crate::domain::{Fingerprint, Instance};

/// Older keys of one name that are remembered.
const KEYS_MAX: usize = 32;

/// All that has a name under this configuration: the upstream's own credentials are an instance's with an empty one.
fn today(now: &Instances) -> Vec<NamedInstance> {
    let own = NamedInstance { name: "".into(), path: None, keys: now.own.into_iter().collect() };
    now.has_own.then_some(own).into_iter().chain(now.named.iter().cloned()).collect()
}

/// The first of these that no instance of today stands for.
pub(super) fn dropped<'a>(before: &'a [NamedInstance], now: &Instances) -> Option<&'a NamedInstance> {
    let today = today(now);
    before.iter().find(|old| !today.iter().any(|new| stands_for(new, old)) && !is_said_to_be_one(old, now))
}

/// Whether everything that would go to the old one is asked for at the new one, or blocked.
fn stands_for(new: &NamedInstance, old: &NamedInstance) -> bool {
    let is_there = |path: &str| Instance { prefix: path.into(), caller: None };
    let same_path =
        || old.path.as_deref().zip(new.path.as_deref()).is_some_and(|(old, new)| is_there(old).is_under(new));
    new.name == old.name || old.keys.iter().any(|key| new.keys.contains(key)) || same_path()
}

/// Whether the operator has said that there are no others. Where nothing has a name, callers' credentials open what
/// they are for.
fn is_said_to_be_one(old: &NamedInstance, now: &Instances) -> bool {
    let by_key = old.path.is_none() && now.rule == InstanceRule::One;
    by_key || (old.name.is_empty() && now.named.is_empty())
}

/// What is to be remembered under this configuration: a key that was changed is still one of its instance's.
pub(super) fn remembered(before: &[NamedInstance], now: &Instances) -> Vec<NamedInstance> {
    let mut all = today(now);
    for new in &mut all {
        let older = before.iter().filter(|old| old.name == new.name).flat_map(|old| &old.keys);
        let older: Vec<Fingerprint> = older.filter(|key| !new.keys.contains(key)).copied().collect();
        new.keys.extend(older);
        new.keys.truncate(KEYS_MAX);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Fingerprint = Fingerprint([0xa; 16]);
    const B: Fingerprint = Fingerprint([0xb; 16]);
    const C: Fingerprint = Fingerprint([0xc; 16]);

    fn named(name: &str, path: Option<&str>, keys: &[Fingerprint]) -> NamedInstance {
        NamedInstance { name: name.into(), path: path.map(Into::into), keys: keys.to_vec() }
    }

    fn of(own: Option<Fingerprint>, named: Vec<NamedInstance>) -> Instances {
        Instances { has_own: own.is_some(), own, named, ..Instances::default() }
    }

    fn lost(before: &Instances, now: &Instances) -> Option<String> {
        let known = remembered(&[], before);
        dropped(&known, now).map(|old| old.name.to_string())
    }

    #[test]
    fn p5_an_instance_is_dropped_when_nothing_stands_for_it_any_more() {
        let two = of(Some(C), vec![named("a", None, &[A]), named("b", None, &[B])]);
        assert_eq!(lost(&two, &two), None);
        assert_eq!(lost(&two, &of(Some(C), vec![named("a", None, &[A])])).as_deref(), Some("b"));
        assert_eq!(lost(&two, &of(Some(C), vec![])).as_deref(), Some("a"));
        assert_eq!(
            lost(&two, &of(None, two.named.clone())).as_deref(),
            Some(""),
            "its own credentials open one as well"
        );
        // Renamed, given another key, found to be the other's or the upstream's own.
        for now in [
            of(Some(C), vec![named("a", None, &[A]), named("other", None, &[B])]),
            of(Some(C), vec![named("a", None, &[A]), named("b", None, &[])]),
            of(Some(C), vec![named("a", None, &[A, B])]),
            of(Some(B), vec![named("a", None, &[A]), named("c", None, &[C])]),
            Instances { rule: InstanceRule::One, ..of(Some(C), vec![]) },
        ] {
            assert_eq!(lost(&two, &now), None, "{now:?}");
        }
        for rule in [InstanceRule::Open, InstanceRule::Closed] {
            assert!(
                lost(&two, &Instances { rule, ..of(Some(C), vec![]) }).is_some(),
                "what showed no key may be there"
            );
        }
        assert_eq!(
            lost(&of(Some(A), vec![]), &of(None, vec![])),
            None,
            "callers' credentials open it, or nothing does"
        );
    }

    #[test]
    fn p5_a_path_is_an_instance_whoever_opens_it_and_is_not_one_of_several_keys() {
        let by_path = of(None, vec![named("g1", Some("/instances/G1"), &[])]);
        assert_eq!(lost(&by_path, &of(None, vec![named("other", Some("/instances/G%31"), &[A])])), None);
        let one = Instances { rule: InstanceRule::One, ..Instances::default() };
        assert_eq!(lost(&by_path, &one).as_deref(), Some("g1"));
    }

    #[test]
    fn p5_a_key_that_was_changed_is_remembered_with_its_instance() {
        let first = remembered(&[], &of(None, vec![named("a", None, &[A])]));
        let second = remembered(&first, &of(None, vec![named("a", None, &[B])]));
        assert_eq!(second, [named("a", None, &[B, A])]);
        assert_eq!(dropped(&second, &of(None, vec![named("renamed", None, &[A])])), None);
        assert_eq!(remembered(&second, &Instances::default()), []);
    }
}
