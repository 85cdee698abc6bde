//! P4: status and receipt say why an instant lies after the answer, exactly where it does.

use super::*;

/// The word at target 1, once a delete there counts.
fn word(job: &mut Job, now: Now) -> Option<Later> {
    attempt(job, 1, accepted(now), now);
    assert_eq!(job.targets[0].instant, Some(now.wall), "it counts");
    job.targets[0].later
}

#[test]
fn p4_an_instant_under_the_unbroken_fence_of_the_acceptance_is_not_said_to_be_later() {
    assert_eq!(word(&mut planned_to(1), NOW), None);
    let mut unsent = planned_to(1);
    assert!(unsent.sending(key(1), &FREE));
    unsent.unsent(key(1));
    assert_eq!(word(&mut unsent, NOW), None);
}

#[test]
fn p4_whatever_lets_the_customer_in_before_the_delete_that_counts_is_named() {
    let table = [
        (retry(Fault::Unreachable), Later::Retry),
        (unanswered(moment(3)), Later::Unanswered),
        (blocked(), Later::Retry),
        (refused(), Later::Retry),
        (not_supported(), Later::Retry),
        (straggling(NOW, moment(3)), Later::Straggler),
    ];
    for (first, expected) in table {
        let mut job = planned_to(1);
        attempt(&mut job, 1, first.clone(), NOW);
        assert_eq!(job.targets[0].later, Some(expected), "{first:?}");
        job.decide(decision(Verdict::Retry), None).unwrap();
        assert_eq!(word(&mut job, at(9)), Some(expected), "{first:?}");
    }
    for why in [Later::Rate, Later::FenceEnded] {
        let mut job = planned_to(1);
        job.unfence(&[key(1)], why);
        assert_eq!(word(&mut job, NOW), Some(why));
    }
}

#[test]
fn p4_the_first_reason_stays() {
    let mut job = planned_to(1);
    job.unfence(&[key(1)], Later::Rate);
    attempt(&mut job, 1, unanswered(moment(3)), NOW);
    assert_eq!(word(&mut job, at(3)), Some(Later::Rate));
}

#[test]
fn p4_what_was_accepted_under_the_fence_keeps_its_instant_whatever_comes_later() {
    let mut job = planned();
    attempt(&mut job, 1, accepted(NOW), NOW);
    job.decide(decision(Verdict::Hold), None).unwrap();
    job.decide(decision(Verdict::Unhold), None).unwrap();
    job.unfence(&[key(1)], Later::FenceEnded);
    assert_eq!((job.targets[0].later, job.targets[0].unfenced), (None, false));
    assert_eq!(job.targets[1].later, Some(Later::Decision));
}

#[test]
fn p4_the_end_of_a_hold_at_one_upstream_says_nothing_about_another() {
    let mut job = planned();
    job.decide(decision_at(Verdict::Unhold, 2), None).unwrap();
    assert_eq!(job.targets[1].later, Some(Later::Decision));
    assert_eq!(word(&mut job, NOW), None);
}

#[test]
fn p4_an_erasure_that_waited_for_a_person_before_it_was_planned_says_so() {
    let approved = {
        let mut job = Job { awaiting_approval: true, ..job() };
        job.decide(decision(Verdict::Approve), None).unwrap();
        job
    };
    let unheld = {
        let mut job = job();
        job.decide(decision(Verdict::Unhold), None).unwrap();
        job
    };
    for mut job in [approved, unheld] {
        job.planned(&[intent()], vec![target(1)], 0);
        assert_eq!(fenced(&job), [1], "the first attempt is fenced all the same");
        assert_eq!(word(&mut job, NOW), Some(Later::Decision));
        job.join(intent(), NOW.wall);
        job.planned(&[intent()], vec![target(1)], 0);
        assert_eq!(word(&mut job, at(5)), None, "the second request has a fence of its own");
    }
}

#[test]
fn p4_a_target_that_was_found_when_the_topology_had_changed_says_so() {
    let mut job = planned_to(1);
    attempt(&mut job, 1, accepted(NOW), NOW);
    assert!(job.plan_anew(1));
    let intents = job.intents.clone();
    job.planned(&intents, vec![target(1), target(2)], 1);
    attempt(&mut job, 2, accepted(at(5)), at(5));
    assert_eq!((job.targets[0].later, job.targets[1].later), (None, Some(Later::FenceEnded)));
}

#[test]
fn p4_a_target_to_which_another_passes_ids_on_by_now_is_asked_again_and_says_so() {
    let mut job = planned_to(1);
    attempt(&mut job, 1, accepted(NOW), NOW);
    job.asked_anew(&[UpstreamNumber(1)], at(3).wall);
    assert_eq!(job.targets[0].state, TargetState::Pending);
    assert_eq!(word(&mut job, at(5)), Some(Later::FenceEnded));
    let mut first = planned_to(1);
    first.asked_anew(&[UpstreamNumber(1)], at(3).wall);
    assert_eq!(word(&mut first, at(5)), None, "the acceptance's fence stands");
}

/// The fence of the first attempt is lifted as soon as its end is durable, and whoever waited there is let in.
#[test]
fn p4_a_second_request_that_joined_a_delete_under_way_says_that_its_instant_is_later_after_a_restart_too() {
    for first in [accepted(NOW), retry(Fault::Unreachable)] {
        let mut job = planned_to(1);
        assert!(job.sending(key(1), &FREE));
        job.join(intent(), NOW.wall);
        job.planned(&[intent()], vec![target(1)], 0);
        job.ended(key(1), first, NOW, 0);
        let place = summary(&job, NOW).places[0];
        assert_eq!((place.fenced, place.in_line), (false, true), "a restart raises no fence that was lifted before");

        job.stamp = Stamp { run: 1, at: NOW.moment };
        job.take_over(&Run { name: 2, begun: moment(7), straggle: 0 });
        assert_eq!(word(&mut job, at(7)), Some(Later::FenceEnded));
    }
}

#[test]
fn p4_a_second_request_has_an_answer_of_its_own() {
    let mut job = planned_to(1);
    attempt(&mut job, 1, retry(Fault::Unreachable), NOW);
    job.join(intent(), NOW.wall);
    job.planned(&[intent()], vec![target(1)], 0);
    assert_eq!(fenced(&job), [1]);
    assert_eq!(word(&mut job, at(5)), None);
}

#[test]
fn p4_where_the_customer_was_let_in_before_the_answer_the_instant_is_when_it_came() {
    let mut job = planned_to(1);
    job.unfence(&[key(1)], Later::FenceEnded);
    let Outcome::Accepted { evidence, straggling } = accepted(NOW) else { panic!("not accepted") };
    let evidence = Evidence { answered: at(7).wall, ..evidence };
    attempt(&mut job, 1, Outcome::Accepted { evidence, straggling }, at(7));
    job.let_in_meanwhile(key(1));
    assert_eq!((job.targets[0].instant, job.targets[0].later), (Some(at(7).wall), Some(Later::FenceEnded)));

    let mut failed = planned_to(1);
    attempt(&mut failed, 1, retry(Fault::Unreachable), NOW);
    failed.let_in_meanwhile(key(1));
    assert_eq!(failed.targets[0].instant, None, "nothing was accepted");
}
