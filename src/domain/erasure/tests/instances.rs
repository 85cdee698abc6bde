//! An upstream that is several instances: which are asked, with whose credentials, and under which versions.

use super::planning::{addressed_to, held, passing, reach};
use super::*;
use crate::domain::instance::InstanceRule;

const A: Fingerprint = Fingerprint([0xa; 16]);
const B: Fingerprint = Fingerprint([0xb; 16]);
const C: Fingerprint = Fingerprint([0xc; 16]);

fn seen(prefix: &str, caller: Option<Fingerprint>) -> Instance {
    Instance { prefix: prefix.into(), caller }
}

fn row(upstream: u16, prefix: &str, caller: Option<Fingerprint>) -> Held {
    Held { at: HeldAt::Seen(seen(prefix, caller)), ..held(upstream, LabelForm::RAW) }
}

fn named(name: &str, path: Option<&str>, keys: &[Fingerprint]) -> NamedInstance {
    NamedInstance { name: name.into(), path: path.map(Into::into), keys: keys.to_vec() }
}

fn leading_to(instances: Instances) -> Reach {
    Reach { instances, ..reach(1) }
}

/// Where the deletes go, as prefix and whose credentials.
fn places(reach: &Reach, intents: &[Intent], held: &[Held]) -> Vec<String> {
    let place = |target: Target| format!("{}|{}", target.place.prefix, target.place.shown().unwrap_or_default());
    let mut all: Vec<String> = plan(intents, std::slice::from_ref(reach), held).into_iter().map(place).collect();
    all.sort();
    all
}

fn shown(instances: &Instances, seen: &Instance) -> Vec<String> {
    let place = |place: &Where| format!("{}|{}", place.prefix, place.shown().unwrap_or_default());
    instances.resolve(seen).iter().map(place).collect()
}

#[test]
fn p4_every_prefix_that_data_was_sent_to_is_a_target_of_its_own() {
    let rows = [row(1, "/instances/G1", None), row(1, "/instances/G2", None), row(1, "/instances/G%31", None)];
    assert_eq!(places(&reach(1), &[intent()], &rows), ["/instances/G1|", "/instances/G2|"]);
    let keys: Vec<_> = plan(&[intent()], &[reach(1)], &rows).into_iter().map(|target| target.key.instance).collect();
    assert!(!keys.contains(&WhereId::default()) && keys[0] != keys[1]);
}

#[test]
fn p4_keys_are_told_apart_by_name_and_a_rotated_key_is_the_same_instance() {
    let named = vec![named("team-a", None, &[A, C]), named("team-b", None, &[B])];
    let instances = Instances { named, ..Instances::default() };
    let rows = [row(1, "", Some(A)), row(1, "", Some(B)), row(1, "", Some(C))];
    assert_eq!(places(&leading_to(instances.clone()), &[intent()], &rows), ["|team-a", "|team-b"]);
    // What showed no key may be in either.
    assert_eq!(shown(&instances, &seen("", None)), ["|team-a", "|team-b"]);
    let own = Instances { has_own: true, ..instances };
    assert_eq!(shown(&own, &seen("", None)), ["|", "|team-a", "|team-b"]);
}

#[test]
fn p5_one_key_is_the_upstreams_own_and_from_the_second_on_nobody_is_taken_for_another() {
    let one = Instances { seen: vec![seen("", Some(A)), seen("/x", Some(B))], ..Instances::default() };
    assert_eq!(shown(&one, &seen("", Some(A))), ["|"]);
    let two = Instances { seen: vec![seen("", Some(A)), seen("", Some(B))], ..Instances::default() };
    assert_eq!(shown(&two, &seen("", Some(A))), ["|key 0a0a0a0a…"]);
    assert_eq!(shown(&two, &seen("", None)), ["|without a key"]);
    let own = Instances { own: Some(A), has_own: true, ..two.clone() };
    assert_eq!(
        (shown(&own, &seen("", Some(A))), shown(&own, &seen("", Some(B)))),
        (vec!["|".into()], vec!["|key 0b0b0b0b…".into()])
    );
    let said_to_be_one = Instances { rule: InstanceRule::One, ..two.clone() };
    assert_eq!(shown(&said_to_be_one, &seen("", Some(B))), ["|"]);
    assert_eq!(shown(&two, &seen("/instances/G1", None)), ["/instances/G1|"]);
    let forgotten = Instances { more: true, ..Instances::default() };
    assert_eq!(shown(&forgotten, &seen("", Some(A))), ["|key 0a0a0a0a…"]);
    for rule in [InstanceRule::Open, InstanceRule::Closed] {
        let said = Instances { rule, ..Instances::default() };
        assert_eq!(shown(&said, &seen("", Some(A))), ["|key 0a0a0a0a…"], "{rule:?}");
    }
}

/// Anybody can show a key that opens nothing.
#[test]
fn p5_a_key_that_was_only_ever_refused_makes_no_other_doubtful_and_is_taken_for_no_other_itself() {
    let refused = vec![seen("", Some(B)), seen("", Some(C))];
    let one = Instances { seen: vec![seen("", Some(A))], refused: refused.clone(), ..Instances::default() };
    assert_eq!(shown(&one, &seen("", Some(A))), ["|"]);
    assert_eq!(shown(&one, &seen("", None)), ["|"]);
    assert_eq!(shown(&one, &seen("", Some(B))), ["|key 0b0b0b0b…"]);
    // Which of them is made up is not known while none has been answered.
    let none = Instances { refused, ..Instances::default() };
    assert_eq!(shown(&none, &seen("", Some(B))), ["|key 0b0b0b0b…"]);
    let before = Reach { held_labels_before: true, ..leading_to(one) };
    assert_eq!(places(&before, &[intent()], &[row(1, "", Some(A))]), ["|"]);
}

#[test]
fn a_path_names_an_instance_whatever_its_key_unless_several_share_it() {
    let by_path = Instances { named: vec![named("g1", Some("/instances/G1"), &[])], ..Instances::default() };
    assert_eq!(shown(&by_path, &seen("/instances/G1", None)), ["/instances/G1|g1"]);
    assert_eq!(shown(&by_path, &seen("/instances/G2", None)), ["/instances/G2|"]);
    let shared = vec![named("a", Some("/icp"), &[A]), named("b", Some("/icp"), &[B])];
    let shared = Instances { named: shared, ..Instances::default() };
    assert_eq!(shown(&shared, &seen("/icp", Some(B))), ["/icp|b"]);
    assert_eq!(shown(&shared, &seen("/icp", Some(C))), ["/icp|key 0c0c0c0c…"]);
    assert_eq!(shown(&shared, &seen("/icp", None)), ["/icp|a", "/icp|b"]);
}

#[test]
fn p11_closed_knows_whom_the_configuration_names_and_nobody_else() {
    let rule = InstanceRule::Closed;
    let by_key = Instances { rule, named: vec![named("a", None, &[A])], own: Some(B), ..Instances::default() };
    assert!(by_key.names(&seen("", Some(A))) && by_key.names(&seen("", Some(B))));
    assert!(!by_key.names(&seen("", Some(C))) && !by_key.names(&seen("", None)));
    let by_path = Instances { rule, named: vec![named("a", Some("/instances/G1"), &[])], ..Instances::default() };
    assert!(by_path.names(&seen("/instances/G1", None)));
    assert!(!by_path.names(&seen("/instances/G2", None)) && !by_path.names(&seen("", None)));
    let by_url = Instances { rule, url_names_one: true, ..Instances::default() };
    assert!(by_url.names(&seen("", None)));
}

#[test]
fn p4_every_version_that_was_used_is_deleted_by_and_where_none_was_seen_the_operators_or_the_callers() {
    let apis = |versions: &[u8]| versions.iter().fold(Apis::NONE, |all, api| all.with(Apis::of(Some(*api))));
    let reach = |number| Reach { apis: vec![1, 2], api: Some(2), ..passing(number, number + 1) };
    let used = |upstream, versions| Held { apis: apis(versions), ..held(upstream, LabelForm::RAW) };
    let said = |intents: &[Intent], reaches: &[Reach], rows: &[Held]| {
        let targets = plan(intents, reaches, rows).into_iter();
        targets.map(|target| (target.key.upstream.0, target.key.api)).collect::<Vec<_>>()
    };
    let both = [used(1, &[1]), used(1, &[2])];
    assert_eq!(said(&[intent()], &[reach(1)], &both), [(1, Some(1)), (1, Some(2))]);
    assert_eq!(said(&[intent()], &[reach(1)], &[used(1, &[1, 2])]), [(1, Some(1)), (1, Some(2))]);
    // One that has no delete is deleted by the profile's own.
    assert_eq!(said(&[intent()], &[reach(1)], &[used(1, &[9])]), [(1, Some(2))]);
    // What was passed on was sent under versions that nobody saw.
    assert_eq!(said(&[intent()], &[reach(1), reach(2)], &[used(1, &[1])]), [(1, Some(1)), (2, Some(2))]);
    let fixed = Reach { erase_api: vec![1], ..reach(2) };
    assert_eq!(said(&[intent()], &[reach(1), fixed], &[used(1, &[2])]), [(1, Some(2)), (2, Some(1))]);
    let mut called = addressed_to(1);
    called.addressed.as_mut().unwrap().api = Some(1);
    assert_eq!(said(&[called.clone()], &[reach(1), reach(2)], &[]), [(1, Some(1)), (2, Some(1))]);
    assert_eq!(said(&[called], &[reach(1)], &[used(1, &[2])]), [(1, Some(1)), (1, Some(2))]);
}

#[test]
fn p10_a_delete_covers_the_instance_whose_credentials_it_proved_and_no_other() {
    let instances = Instances { seen: vec![seen("", Some(A)), seen("", Some(B))], ..Instances::default() };
    let reach = leading_to(instances);
    let mut home = addressed_to(1);
    let addressed = home.addressed.as_mut().unwrap();
    addressed.instance = seen("", Some(A));
    (addressed.probed, addressed.probe) = (true, Some(Probe { form: LabelForm::RAW, evidence: evidence(NOW, 200) }));
    let (key, place) = reach.probed(home.addressed.as_ref().unwrap()).unwrap();
    assert_eq!(place.shown().as_deref(), Some("key 0a0a0a0a…"));
    let rows = [row(1, "", Some(A)), row(1, "", Some(B))];
    let targets = plan(&[home], std::slice::from_ref(&reach), &rows);
    assert_eq!(targets.iter().filter(|target| target.key == key).count(), 1);
    assert_eq!(targets.len(), 2);

    // Of a bearer's token nobody knows which of the named ones it opened.
    let named = vec![named("a", None, &[A]), named("b", None, &[B])];
    let mut bearer = addressed_to(1).addressed.unwrap();
    (bearer.probed, bearer.probe) = (true, Some(Probe { form: LabelForm::RAW, evidence: evidence(NOW, 200) }));
    assert!(leading_to(Instances { named, ..Instances::default() }).probed(&bearer).is_none());
}

#[test]
fn p5_what_may_be_at_any_instance_is_asked_for_at_all_that_have_a_name() {
    let named = vec![named("a", None, &[A]), named("g1", Some("/instances/G1"), &[])];
    let before = Reach { held_labels_before: true, ..leading_to(Instances { named, ..Instances::default() }) };
    assert_eq!(places(&before, &[intent()], &[]), ["/instances/G1|g1", "|a"]);
    let own = Instances { has_own: true, ..before.instances };
    let chosen = Intent { scope: Scope::Only(vec![UpstreamNumber(1)]), ..intent() };
    let reach = Reach { held_labels_before: false, ..leading_to(own) };
    assert_eq!(places(&reach, &[chosen], &[]), ["/instances/G1|g1", "|", "|a"]);
}

#[test]
fn p5_what_may_be_at_any_instance_is_asked_for_at_each_that_a_path_has_shown_and_at_none_that_is_made_up() {
    let paths = ["/instances/G1", "/instances/G2"].map(|path| seen(path, None)).to_vec();
    let named = vec![named("g2", Some("/instances/G2"), &[])];
    let refused = vec![seen("/instances/G3", None)];
    let instances = Instances { has_own: true, named, seen: paths, refused, ..Instances::default() };
    let before = |instances: &Instances| Reach { held_labels_before: true, ..leading_to(instances.clone()) };
    let everywhere = ["/instances/G1|", "/instances/G2|g2", "|"];
    assert_eq!(places(&before(&instances), &[intent()], &[]), everywhere);
    let one = Instances { rule: InstanceRule::One, ..instances.clone() };
    assert_eq!(places(&before(&one), &[intent()], &[]), everywhere, "keys are one, and paths are not");
    let mut spelt = instances.clone();
    spelt.seen.push(seen("/instances/G%31", None));
    assert_eq!(places(&before(&spelt), &[intent()], &[]).len(), everywhere.len(), "one instance, spelt twice");
    // Chosen by a person, and passed on.
    let chosen = Intent { scope: Scope::Only(vec![UpstreamNumber(1)]), ..intent() };
    assert_eq!(places(&leading_to(instances.clone()), &[chosen], &[]), everywhere);
    let reaches = [passing(1, 2), Reach { instances: instances.clone(), ..reach(2) }];
    assert_eq!(plan(&[intent()], &reaches, &[row(1, "", None)]).len(), 1 + everywhere.len());
    let by_url = Instances { url_names_one: true, named: Vec::new(), ..instances.clone() };
    assert_eq!(places(&before(&by_url), &[intent()], &[]), ["|"]);
    // Of a path with several keys nobody knows which they are; and of those that are not remembered nothing.
    let keys = vec![seen("/icp", Some(A)), seen("/icp", Some(B))];
    let keys = Instances { named: Vec::new(), seen: keys, ..instances.clone() };
    assert_eq!(places(&before(&keys), &[intent()], &[]), ["/icp|without a key", "|"]);
    let more = Instances { more: true, rule: InstanceRule::One, ..instances };
    assert!(places(&before(&more), &[intent()], &[]).contains(&"|without a key".to_owned()));
}

/// What the upstream's own credentials delete would be called all there is.
#[test]
fn p5_what_may_be_in_the_instance_of_any_of_several_keys_is_not_taken_for_the_upstreams_own() {
    let keys = vec![seen("", Some(A)), seen("", Some(B))];
    let instances = Instances { has_own: true, own: Some(C), seen: keys, ..Instances::default() };
    let before = |instances: &Instances| Reach { held_labels_before: true, ..leading_to(instances.clone()) };
    assert_eq!(places(&before(&instances), &[intent()], &[]), ["|without a key"]);
    let one = Instances { rule: InstanceRule::One, ..instances.clone() };
    let by_url = Instances { url_names_one: true, ..instances.clone() };
    let single = Instances { seen: vec![seen("", Some(A))], ..instances };
    for said in [one, by_url, single] {
        assert_eq!(places(&before(&said), &[intent()], &[]), ["|"]);
    }
}

#[test]
fn p5_a_row_that_fits_no_instance_is_a_target_that_says_so() {
    let lost = Held { at: HeldAt::Lost(InstanceHash([7; 8])), ..held(1, LabelForm::RAW) };
    assert_eq!(places(&reach(1), &[intent()], &[lost, row(1, "", None)]), ["|", "|unknown"]);
}

#[test]
fn p5_a_key_that_is_named_later_unblocks_its_target_under_its_name() {
    let unnamed = Instances { rule: InstanceRule::Open, ..Instances::default() };
    let mut job = planned();
    job.targets = plan(&[intent()], &[leading_to(unnamed.clone())], &[row(1, "", Some(A))]);
    let key = job.targets[0].key;
    job.sending(key, &FREE);
    job.ended(key, Outcome::Blocked { fault: Fault::InstanceUnnamed, after: None }, NOW, 0);
    job.renamed(&[leading_to(unnamed.clone())], Moment(99));
    assert_eq!((job.targets[0].key, job.targets[0].state), (key, TargetState::Blocked), "nothing has changed");

    let now = leading_to(Instances { named: vec![named("team-a", None, &[A])], ..unnamed });
    job.renamed(std::slice::from_ref(&now), Moment(99));
    assert_eq!(job.targets[0].state, TargetState::Pending);
    assert_eq!(job.targets[0].place.shown().as_deref(), Some("team-a"));
    job.extended(plan(&[intent()], &[now], &[row(1, "", Some(A))]));
    assert_eq!(job.targets.len(), 1);
}

proptest! {
    #[test]
    fn p5_no_key_is_ever_taken_for_the_upstreams_own_where_two_were_seen_and_nothing_was_said(
        keys in proptest::collection::btree_set(1_u8..9, 2..6), own in proptest::option::of(1_u8..9),
    ) {
        let print = |byte: u8| Fingerprint([byte; 16]);
        let all = keys.iter().map(|byte| seen("", Some(print(*byte)))).collect();
        let own = own.map(print);
        let instances = Instances { seen: all, own, has_own: own.is_some(), ..Instances::default() };
        for key in keys.into_iter().map(print) {
            let goes_on = instances.resolve(&seen("", Some(key))) == [Where::default()];
            prop_assert_eq!(goes_on, own == Some(key));
        }
    }
}

/// Its end comes under a name that is gone.
#[test]
fn p4_a_delete_that_is_under_way_while_its_key_is_named_may_still_be_carried_out() {
    let unnamed = Instances { rule: InstanceRule::Open, ..Instances::default() };
    let (mut job, until) = (planned(), NOW.moment.after(60));
    job.targets = plan(&[intent()], &[leading_to(unnamed.clone())], &[row(1, "", Some(A))]);
    let old = job.targets[0].key;
    job.sending(old, &FREE);
    job.renamed(&[leading_to(Instances { named: vec![named("team-a", None, &[A])], ..unnamed })], until);

    job.ended(old, accepted(NOW), NOW, 0);
    let new = job.targets[0].key;
    job.sending(new, &FREE);
    job.ended(new, accepted(NOW), NOW, 0);

    assert_eq!((job.targets[0].state, job.targets[0].next), (TargetState::Sent, Some(until)));
}
