//! What named people decide, and what nobody decides for them.

use super::*;

fn probed() -> Intent {
    let addressed = Addressed {
        upstream: UpstreamNumber(1),
        instance: Instance::default(),
        profile: "p".into(),
        api: None,
        version: None,
        probed: true,
        probe: Some(Probe { form: LabelForm::RAW, evidence: evidence(NOW, 200) }),
    };
    Intent { addressed: Some(addressed), ..intent() }
}

#[test]
fn an_erasure_can_be_cancelled_only_before_the_first_delete() {
    let mut early = planned();
    early.decide(decision(Verdict::Cancel), None).unwrap();
    assert_eq!((early.state(&FREE), next(&early, NOW)), (JobState::Cancelled, Step::Rest));
    assert!(!early.sending(key(1), &FREE));

    let mut late = planned();
    assert!(late.sending(key(1), &FREE));
    assert_eq!(late.decide(decision(Verdict::Cancel), None), Err(Undecidable::AlreadySent));

    let mut with_probe = asked_for(probed());
    assert_eq!(with_probe.decide(decision(Verdict::Cancel), None), Err(Undecidable::AlreadySent));
}

#[test]
fn a_held_erasure_sends_nothing_and_is_never_a_success() {
    let (mut job, everywhere) = (planned(), OnHold { everywhere: true, upstreams: vec![] });
    job.decide(decision(Verdict::Hold), None).unwrap();
    assert_eq!((job.state(&everywhere), next_step(&job, NOW.moment, &everywhere)), (JobState::Held, Step::Rest));
    assert!(!job.sending(key(1), &everywhere), "an attempt under way stops before its delete");
    assert!(!job.is_accepted_everywhere());
    job.decide(decision(Verdict::Unhold), None).unwrap();
    assert_eq!(next(&job, NOW), Step::Attempt(vec![key(1), key(2)]));
    assert!(fenced(&job).is_empty(), "the customer was let in meanwhile");
}

#[test]
fn p4_a_probe_that_was_sent_before_a_hold_does_not_count_after_it() {
    let mut job = asked_for(probed());
    job.decide(decision(Verdict::Hold), None).unwrap();
    let probes = job.intents.iter().filter_map(|intent| intent.addressed.as_ref()?.probe.as_ref());
    assert_eq!(probes.count(), 0);
}

#[test]
fn a_hold_at_one_upstream_stops_only_that_one() {
    let (mut job, held) = (planned(), held_at(1));
    assert_eq!(next_step(&job, NOW.moment, &held), Step::Attempt(vec![key(2)]));
    attempt(&mut job, 2, accepted(NOW), NOW);
    assert_eq!(job.state(&held), JobState::Held);
    assert!(!job.is_accepted_everywhere());
    assert!(!job.sending(key(1), &held));
    assert_eq!(next_step(&job, NOW.moment, &held), Step::Wait(moment(SETTLE)), "the other one settles");
    assert_eq!(next(&job, NOW), Step::Attempt(vec![key(1)]), "it goes on when the hold is over");
}

#[test]
fn p10_an_erasure_above_the_rate_waits_for_a_person() {
    let mut job = Job { awaiting_approval: true, ..job() };
    assert_eq!((job.state(&FREE), next(&job, NOW)), (JobState::AwaitingApproval, Step::Rest));
    let listed = summary(&job, NOW);
    assert!(listed.standing.awaiting_approval && listed.next.is_none());
    let mark = Mark { run: 1, generation: 3, number: 0 };
    job.decide(decision(Verdict::Approve), Some(mark)).unwrap();
    assert_eq!((next(&job, NOW), job.mark), (Step::Plan, Some(mark)));
    assert_eq!(job.decide(decision(Verdict::Approve), None), Err(Undecidable::NotWaiting));
}

#[test]
fn p10_what_waits_for_approval_sends_nothing() {
    let mut job = Job { awaiting_approval: true, ..planned() };
    assert!(!job.sending(key(1), &FREE));
    assert!(!job.deleted);
}

#[test]
fn a_person_can_have_everything_open_tried_at_once() {
    let mut job = planned_to(5);
    attempt(&mut job, 1, refused(), NOW);
    attempt(&mut job, 2, Outcome::Retry { fault: Fault::Timeout, after: Some(500), unanswered: None }, NOW);
    attempt(&mut job, 3, blocked(), NOW);
    attempt(&mut job, 4, accepted(NOW), NOW);
    attempt(&mut job, 5, straggling(NOW, moment(60)), NOW);
    job.decide(decision(Verdict::Retry), None).unwrap();
    assert_eq!(next(&job, NOW), Step::Attempt(vec![key(1), key(2), key(3)]));
}

/// A job whose one target is in the state to which this outcome leads.
fn after(outcome: Outcome) -> Job {
    let mut job = planned_to(1);
    attempt(&mut job, 1, outcome, NOW);
    job
}

#[test]
fn p13_only_what_waits_for_a_person_can_be_closed_and_what_is_closed_is_never_accepted() {
    for outcome in [blocked(), refused(), not_supported()] {
        let mut job = after(outcome);
        job.decide(decision_at(Verdict::Close, 1), None).unwrap();
        let target = &job.targets[0];
        assert_eq!((target.state, target.is_accepted(), target.needs_person), (TargetState::Closed, false, false));
        assert_eq!(target.closed.as_ref(), Some(&decision_at(Verdict::Close, 1)), "who and why stay known");
        assert!(!job.is_accepted_everywhere());
        job.ended(key(1), accepted(at(1)), at(1), 0);
        assert!(!job.sending(key(1), &FREE) && !job.targets[0].is_accepted(), "nothing is sent there any more");
    }
    let under_way = {
        let mut job = planned_to(1);
        assert!(job.sending(key(1), &FREE));
        job
    };
    let others = [
        planned_to(1),
        under_way,
        after(accepted(NOW)),
        after(straggling(NOW, moment(9))),
        after(retry(Fault::Unreachable)),
    ];
    for mut job in others {
        let before = job.clone();
        assert_eq!(job.decide(decision_at(Verdict::Close, 1), None), Err(Undecidable::NotClosable));
        assert_eq!(job.decide(decision_at(Verdict::Close, 9), None), Err(Undecidable::NoSuchTarget));
        assert_eq!(job, before);
    }
}

#[test]
fn p5_an_erasure_with_a_closed_target_is_done_when_the_rest_has_settled() {
    let mut job = planned();
    attempt(&mut job, 1, accepted(NOW), NOW);
    attempt(&mut job, 2, refused(), NOW);
    assert_eq!(job.state(&FREE), JobState::ActionRequired);
    job.decide(decision_at(Verdict::Close, 2), None).unwrap();
    assert_eq!((job.state(&FREE), next(&job, NOW)), (JobState::Settling, Step::Wait(moment(SETTLE))));
    job.settle(moment(SETTLE));
    assert_eq!(next(&job, at(SETTLE)), Step::Finish);
    assert!(!job.is_accepted_everywhere());
}

#[test]
fn a_closed_target_is_left_alone_by_a_second_request_unless_data_is_found_there_again() {
    let mut job = planned();
    attempt(&mut job, 1, refused(), NOW);
    job.decide(decision(Verdict::Close), None).unwrap();
    job.join(intent(), NOW.wall);
    assert_eq!(job.targets[0].state, TargetState::Closed);

    let mut without = job.clone();
    without.planned(&[intent()], vec![target(2)], 0);
    assert_eq!(next(&without, NOW), Step::Attempt(vec![key(2)]));

    job.planned(&[intent()], vec![target(1)], 0);
    assert_eq!(next(&job, NOW), Step::Attempt(vec![key(1), key(2)]));
    assert_eq!((&job.targets[0].closed, job.targets[0].attempts), (&None, 0));
}

#[test]
fn p5_what_a_person_has_given_up_stays_so_for_the_request_that_was_decided_about() {
    let mut job = planned();
    attempt(&mut job, 1, refused(), NOW);
    job.decide(decision(Verdict::Close), None).unwrap();

    job.extended(vec![target(1)]);
    assert_eq!(job.targets[0].state, TargetState::Closed, "an attempt at another form there finds its rows");
    assert!(job.plan_anew(1));
    let intents = job.intents.clone();
    job.planned(&intents, vec![target(1), target(2)], 1);
    assert_eq!(job.targets[0].state, TargetState::Closed, "it was planned anew");

    job.join(intent(), NOW.wall);
    job.planned(&[intent()], vec![target(1)], 1);
    assert_eq!(job.targets[0].state, TargetState::Pending, "somebody has asked again");
}

#[test]
fn a_target_needs_a_person_until_an_answer_says_otherwise() {
    for failure in [blocked(), refused(), not_supported()] {
        for (answer, still) in [(retry(Fault::Status(503)), false), (accepted(at(2)), false), (blocked(), true)] {
            let mut job = after(failure.clone());
            let needed = |job: &Job| job.state(&FREE) == JobState::ActionRequired && job.targets[0].needs_person;
            assert!(needed(&job));
            job.decide(decision(Verdict::Retry), None).unwrap();
            assert!(needed(&job), "it is to be tried again");
            job.unfence(&[key(1)], Later::Rate);
            assert!(needed(&job), "it waits for its turn");
            job.progress(&[key(1)], TargetState::Draining);
            assert!(job.sending(key(1), &FREE) && needed(&job), "it is being tried");
            job.unsent(key(1));
            assert!(needed(&job), "it was not sent after all");
            assert!(job.sending(key(1), &FREE));
            job.ended(key(1), answer, at(2), 0);
            assert_eq!(needed(&job), still);
        }
    }
}

#[test]
fn p5_the_list_says_who_waits_for_a_person() {
    assert!(summary(&after(refused()), NOW).standing.action_required);
    assert!(!summary(&after(retry(Fault::Timeout)), NOW).standing.action_required);
}
