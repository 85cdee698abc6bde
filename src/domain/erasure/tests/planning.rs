//! Where an erasure must go.

use super::*;

pub(super) fn reach(number: u16) -> Reach {
    Reach {
        number: UpstreamNumber(number),
        name: format!("upstream-{number}"),
        profile: "watson".into(),
        held_labels_before: false,
        passes_to: vec![],
        today: LabelForm::RAW,
        raw_possible: true,
        settle: SETTLE,
        instances: Instances::default(),
        apis: vec![],
        api: None,
        erase_api: vec![],
    }
}

pub(super) fn passing(number: u16, to: u16) -> Reach {
    Reach { passes_to: vec![UpstreamNumber(to)], ..reach(number) }
}

pub(super) fn held(upstream: u16, form: LabelForm) -> Held {
    Held { upstream: UpstreamNumber(upstream), form, apis: Apis::NONE, at: HeldAt::Seen(Instance::default()) }
}

pub(super) fn addressed_to(upstream: u16) -> Intent {
    let addressed = Addressed {
        upstream: UpstreamNumber(upstream),
        instance: Instance::default(),
        profile: "watson".into(),
        api: Some(2),
        version: Some("2020-04-01".into()),
        probed: false,
        probe: None,
    };
    Intent { addressed: Some(addressed), ..intent() }
}

/// The targets as (upstream, form, whose label).
fn keys(intents: &[Intent], reaches: &[Reach], held: &[Held]) -> Vec<(u16, u8, u16)> {
    let key = |target: Target| (target.key.upstream.0, target.key.form.0, target.key.label_of.0);
    plan(intents, reaches, held).into_iter().map(key).collect()
}

#[test]
fn the_addressed_upstream_is_a_target_even_if_nothing_is_known() {
    assert_eq!(keys(&[addressed_to(1)], &[reach(1), reach(2)], &[]), [(1, 0, 1)]);
    assert_eq!(keys(&[intent()], &[reach(1), reach(2)], &[]), []);
}

#[test]
fn every_form_in_the_index_is_a_target_and_an_aliased_id_goes_raw_only_where_it_was_sent_raw() {
    let aliased = |number| Reach { today: ALIAS, ..reach(number) };
    let reaches = [aliased(1), aliased(2)];
    assert_eq!(keys(&[addressed_to(1)], &reaches, &[held(2, LabelForm::RAW)]), [(1, 1, 1), (2, 0, 2)]);
    let both = [held(1, LabelForm::RAW), held(1, ALIAS)];
    assert_eq!(keys(&[addressed_to(1)], &reaches, &both), [(1, 0, 1), (1, 1, 1)]);
}

#[test]
fn an_upstream_that_held_labels_before_gets_both_forms_where_the_raw_one_was_possible() {
    let before = Reach { held_labels_before: true, today: ALIAS, ..reach(1) };
    assert_eq!(keys(&[intent()], std::slice::from_ref(&before), &[]), [(1, 0, 1), (1, 1, 1)]);
    let impossible = Reach { raw_possible: false, ..before };
    assert_eq!(keys(&[intent()], &[impossible], &[]), [(1, 1, 1)]);
}

#[test]
fn ids_are_followed_to_whom_they_were_passed_in_the_form_that_was_sent_there() {
    let chain = [passing(1, 2), passing(2, 3), reach(3)];
    let from_alias = keys(&[intent()], &chain, &[held(1, ALIAS)]);
    assert_eq!(from_alias, [(1, 1, 1), (2, 1, 1), (3, 1, 1)], "the alias of the first, all along");
    assert_eq!(keys(&[intent()], &chain, &[held(1, LabelForm::RAW)]), [(1, 0, 1), (2, 0, 2), (3, 0, 3)]);
    let both_ways = [held(1, ALIAS), held(2, ALIAS)];
    let merged = keys(&[intent()], &chain, &both_ways);
    assert_eq!(merged, [(1, 1, 1), (2, 1, 1), (2, 1, 2), (3, 1, 1), (3, 1, 2)]);

    let ring = [passing(1, 2), passing(2, 1)];
    assert_eq!(keys(&[intent()], &ring, &[held(1, LabelForm::RAW)]), [(1, 0, 1), (2, 0, 2)]);
    assert_eq!(passers(&chain, UpstreamNumber(3)), [UpstreamNumber(1), UpstreamNumber(2)].into());
    assert_eq!(passers(&ring, UpstreamNumber(1)), [UpstreamNumber(2)].into());
}

#[test]
fn p10_authority_proved_in_one_group_reaches_no_other() {
    let reaches = [passing(1, 3), reach(2), reach(3), reach(4)];
    let rows = [1, 2, 3, 4].map(|number| held(number, LabelForm::RAW));
    let home = Intent { scope: among(&[1, 2]), ..addressed_to(1) };
    assert_eq!(keys(&[home], &reaches, &rows), [(1, 0, 1), (2, 0, 2)]);
    let only = Intent { scope: Scope::Only(vec![UpstreamNumber(3)]), ..intent() };
    assert_eq!(keys(&[only], &reaches, &rows), [(3, 0, 3)]);
    assert_eq!(keys(&[intent()], &reaches, &rows).len(), 4);
}

#[test]
fn a_delete_uses_the_callers_version_parameter_where_the_profile_is_the_same() {
    let foreign = Reach { profile: "other".into(), ..reach(3) };
    let rows = [held(2, LabelForm::RAW), held(3, ALIAS)];
    let targets = plan(&[addressed_to(1)], &[reach(1), reach(2), foreign], &rows);
    let said: Vec<_> = targets.iter().map(|t| (t.key.upstream.0, t.version.as_deref())).collect();
    assert_eq!(said, [(1, Some("2020-04-01")), (2, Some("2020-04-01")), (3, None)]);
}

#[test]
fn what_was_sent_in_another_form_since_is_found_by_a_later_attempt() {
    let rows = [held(1, ALIAS), held(2, ALIAS)];
    let more = plan_at(&[UpstreamNumber(1)], &[reach(1), reach(2)], &rows);
    assert_eq!(more.iter().map(|target| target.key.upstream.0).collect::<Vec<_>>(), [1]);
}

/// Plans what is asked for, as the index and the upstreams are now.
fn plan_now(job: &mut Job, reaches: &[Reach], rows: &[Held], topology: u64) -> Vec<u16> {
    let intents = job.intents.clone();
    let known: Vec<Held> = rows.iter().cloned().chain(job.went_to()).collect();
    job.planned(&intents, plan(&intents, reaches, &known), topology);
    job.targets.iter().map(|target| target.key.upstream.0).collect()
}

#[test]
fn p5_when_upstreams_pass_ids_on_in_another_way_a_running_erasure_is_planned_again_with_the_same_scopes() {
    let row = [held(1, LabelForm::RAW)];
    let changed = [passing(1, 2), reach(2)];
    let table = [(Scope::All, vec![1, 2]), (Scope::Only(vec![UpstreamNumber(1)]), vec![1, 2]), (among(&[1]), vec![1])];
    for (scope, expected) in table {
        // The index knows the row still, or has forgotten it since the delete was accepted.
        for rows in [&row[..], &[]] {
            let mut job = asked_for(Intent { scope: scope.clone(), ..intent() });
            assert_eq!(plan_now(&mut job, &[reach(1), reach(2)], &row, 1), [1]);
            attempt(&mut job, 1, accepted(NOW), NOW);
            assert!(!job.plan_anew(1), "nothing has changed");

            assert!(job.plan_anew(2));
            assert_eq!(job.intents, [Intent { scope: scope.clone(), ..intent() }]);
            assert_eq!(next(&job, NOW), Step::Plan);
            assert_eq!(plan_now(&mut job, &changed, rows, 2), expected, "{scope:?}");
            assert!(job.targets[0].is_accepted(), "what was accepted stays");
            assert!(!job.plan_anew(2), "once");
        }
    }
}

#[test]
fn an_erasure_that_is_over_or_waits_to_be_planned_is_not_planned_anew() {
    assert!(!job().plan_anew(1));
    let mut over = planned();
    over.done = Some(NOW.wall);
    assert!(!over.plan_anew(1));
}

/// What was seen to be at its end may have been asked for once more since.
#[test]
fn p5_an_erasure_that_somebody_has_joined_is_not_over() {
    let mut job = job();
    plan_now(&mut job, &[], &[], 1);
    assert_eq!(next(&job, NOW), Step::Finish);
    let mut joined = job.clone();
    joined.join(addressed_to(1), NOW.wall);
    assert!(!joined.finish(NOW.wall));
    assert_eq!(next(&joined, NOW), Step::Plan);
    assert!(job.finish(NOW.wall));
}

#[test]
fn p4_planning_anew_forgets_probes_and_keeps_who_was_addressed() {
    let mut addressed = addressed_to(1);
    let probe = Probe { form: LabelForm::RAW, evidence: evidence(NOW, 200) };
    addressed.addressed.as_mut().unwrap().probe = Some(probe);
    let mut job = asked_for(addressed);
    plan_now(&mut job, &[reach(1)], &[], 1);
    assert!(job.plan_anew(2));
    assert_eq!(job.intents, [addressed_to(1)]);
}

#[test]
fn p12_a_bounded_number_of_requests_is_remembered_for_planning_anew_and_the_reach_of_none_is_lost() {
    let mut job = job();
    for number in 0..100 {
        let intent = Intent { scope: among(&[number]), ..intent() };
        job.join(intent.clone(), NOW.wall);
        job.planned(&[intent], vec![], 0);
    }
    assert_eq!(job.covered.len(), 32);
    assert_eq!(job.covered.last().unwrap().scope, among(&[99]));
    let reached = |number| job.covered.iter().any(|intent| intent.scope.reaches(UpstreamNumber(number)));
    assert!((0..100).all(reached), "what an old request reaches is still planned anew");
    assert!(!reached(100));
}
