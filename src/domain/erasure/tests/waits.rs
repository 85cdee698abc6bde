//! Waits: for stragglers, for deletes that were not answered, across restarts.

use super::*;

/// A 2xx came at `now` for a target with these moments set.
fn answered_again(job: &mut Job, now: Now) -> &Target {
    attempt(job, 1, accepted(now), now);
    &job.targets[0]
}

#[test]
fn p4_a_target_that_did_not_drain_is_not_accepted_until_its_delete_was_repeated() {
    let mut job = planned_to(1);
    attempt(&mut job, 1, straggling(NOW, moment(30)), NOW);
    assert_eq!(job.targets[0].state, TargetState::Sent);
    assert!(!job.is_accepted_everywhere());
    assert_eq!((job.state(&FREE), next(&job, NOW)), (JobState::Running, Step::Wait(moment(30))));

    assert_eq!(next(&job, at(30)), Step::Attempt(vec![key(1)]));
    attempt(&mut job, 1, accepted(at(31)), at(31));
    assert!(job.is_accepted_everywhere());
    assert_eq!(job.targets[0].instant, Some(at(31).wall), "its instant has moved");
    assert_eq!(job.targets[0].later, Some(Later::Straggler));
}

#[test]
fn a_straggler_that_never_ends_does_not_make_the_worker_spin() {
    let mut job = planned();
    attempt(&mut job, 1, straggling(NOW, Moment(0)), NOW);
    assert_eq!(job.targets[0].next, Some(moment(1)));
}

#[test]
fn p4_a_later_acceptance_does_not_count_while_an_unanswered_delete_may_still_be_carried_out() {
    for (seconds, counts) in [(2, false), (59, false), (60, true), (61, true)] {
        let mut job = planned_to(1);
        attempt(&mut job, 1, unanswered(moment(60)), NOW);
        assert_eq!(job.targets[0].state, TargetState::Retrying);
        assert_eq!(next(&job, NOW), Step::Wait(moment(1)), "it is sent again at once all the same");

        let target = answered_again(&mut job, at(seconds)).clone();
        assert_eq!(target.later, Some(Later::Unanswered));
        if counts {
            assert_eq!((target.state, target.last_error), (TargetState::Accepted, None));
            assert_eq!((target.unanswered, target.instant), (None, Some(at(seconds).wall)));
        } else {
            assert_eq!((target.state, target.last_error), (TargetState::Sent, Some(Fault::Unanswered)));
            assert_eq!((target.next, target.instant), (Some(moment(60)), None));
            assert!(answered_again(&mut job, at(60)).is_accepted());
        }
    }
}

#[test]
fn p4_the_last_of_several_unanswered_deletes_is_waited_for() {
    for (first, second) in [(60, 90), (90, 60)] {
        let mut job = planned_to(1);
        attempt(&mut job, 1, unanswered(moment(first)), NOW);
        attempt(&mut job, 1, unanswered(moment(second)), at(5));
        attempt(&mut job, 1, retry(Fault::Status(503)), at(6));
        assert_eq!(answered_again(&mut job, at(89)).next, Some(moment(90)), "a failure in between changes nothing");
    }
}

#[test]
fn p4_an_unanswered_delete_is_remembered_when_the_erasure_is_asked_for_again_or_a_person_retries() {
    for again in [true, false] {
        let mut job = planned_to(1);
        attempt(&mut job, 1, unanswered(moment(60)), NOW);
        if again {
            job.join(intent(), NOW.wall);
            job.planned(&[intent()], vec![target(1)], 0);
        } else {
            job.decide(decision(Verdict::Retry), None).unwrap();
        }
        assert_eq!(next(&job, NOW), Step::Attempt(vec![key(1)]));
        assert!(!answered_again(&mut job, at(1)).is_accepted());
        assert!(answered_again(&mut job, at(60)).is_accepted());
    }
}

#[test]
fn p4_a_straggler_that_ended_is_followed_at_once_but_not_before_an_unanswered_delete_is_over() {
    let mut job = planned_to(2);
    for upstream in [1, 2] {
        attempt(&mut job, upstream, straggling(NOW, moment(60)), NOW);
    }
    job.straggler_ended(UpstreamNumber(1), moment(5));
    assert_eq!((job.targets[0].next, job.targets[1].next), (Some(moment(5)), Some(moment(60))), "only there");
    assert_eq!(next(&job, at(5)), Step::Attempt(vec![key(1)]));

    let mut job = planned_to(1);
    attempt(&mut job, 1, unanswered(moment(40)), NOW);
    attempt(&mut job, 1, straggling(at(2), moment(60)), at(2));
    job.straggler_ended(UpstreamNumber(1), moment(5));
    assert_eq!(job.targets[0].next, Some(moment(40)));
    job.straggler_ended(UpstreamNumber(1), moment(45));
    assert_eq!(job.targets[0].next, Some(moment(45)), "not in the past");
}

#[test]
fn p4_a_straggler_that_ended_changes_nothing_where_none_is_waited_for() {
    let mut sent = planned_to(1);
    assert!(sent.sending(key(1), &FREE));
    let mut waiting = planned_to(1);
    attempt(&mut waiting, 1, unanswered(moment(60)), NOW);
    attempt(&mut waiting, 1, accepted(at(2)), at(2));
    let mut failed = planned_to(1);
    attempt(&mut failed, 1, retry(Fault::Unreachable), NOW);
    let mut done = planned_to(1);
    attempt(&mut done, 1, accepted(NOW), NOW);
    for job in [sent, waiting, failed, done] {
        let mut after = job.clone();
        after.straggler_ended(UpstreamNumber(1), moment(5));
        assert_eq!(after, job);
    }
}

#[test]
fn p4_a_delete_that_a_crash_interrupted_counts_as_unanswered_from_the_restart() {
    let mut job = planned();
    job.stamp = Stamp { run: 1, at: NOW.moment };
    assert!(job.sending(key(1), &FREE));
    let run = Run { name: 2, begun: Moment(5000), straggle: 30 };
    job.take_over(&run);
    assert_eq!(job.targets[0].unanswered, Some(Moment(5030)));
    assert_eq!(job.targets[1].unanswered, None, "nothing was sent there");
    assert_eq!((job.targets[0].state, job.targets[0].attempts), (TargetState::Pending, 1), "none is under way");

    let restarted = |seconds| Now { moment: Moment(5000 + seconds), wall: at(seconds).wall };
    assert_eq!(next(&job, restarted(0)), Step::Attempt(vec![key(1), key(2)]), "it is sent again at once");
    let target = answered_again(&mut job, restarted(29)).clone();
    assert_eq!((target.state, target.next), (TargetState::Sent, Some(Moment(5030))));
    assert_eq!((target.last_error, target.later), (Some(Fault::Unanswered), Some(Later::Unanswered)));
    assert!(answered_again(&mut job, restarted(30)).is_accepted());
}

#[test]
fn p4_a_delete_that_is_not_under_way_any_more_does_not_stand_for_one_after_a_second_request() {
    for crashed in [true, false] {
        let mut job = planned_to(1);
        job.stamp = Stamp { run: 1, at: NOW.moment };
        assert!(job.sending(key(1), &FREE));
        job.join(intent(), NOW.wall);
        assert!(job.targets[0].reopened, "it is under way, as far as is known");
        if crashed {
            job.take_over(&Run { name: 2, begun: NOW.moment, straggle: 30 });
        } else {
            job.unsent(key(1));
        }
        job.planned(&[intent()], vec![target(1)], 0);
        assert_eq!((job.targets[0].state, job.targets[0].reopened), (TargetState::Pending, false));
        assert!(answered_again(&mut job, at(30)).is_accepted(), "the next one serves both");
    }
}

#[test]
fn a_job_is_taken_over_once() {
    let mut job = planned();
    job.stamp = Stamp { run: 1, at: NOW.moment };
    attempt(&mut job, 1, retry(Fault::Unreachable), NOW);
    let run = Run { name: 2, begun: Moment(5000), straggle: 30 };
    job.take_over(&run);
    assert_eq!((job.targets[0].next, job.stamp), (Some(Moment(5001)), Stamp { run: 2, at: Moment(5000) }));
    let once = job.clone();
    job.take_over(&run);
    assert_eq!(job, once);
}

proptest! {
    #[test]
    fn p5_after_a_restart_every_wait_is_as_long_as_it_was_whatever_the_wall_clock_says(
        begun in 1_000_000_u64..u64::MAX / 2, wait in 0_u64..100_000, stragglers in 1_u64..100_000, ago in 0_u64..50_000,
    ) {
        let mut job = planned_to(3);
        attempt(&mut job, 1, accepted(NOW), NOW);
        let stored = at(ago);
        job.stamp = Stamp { run: 1, at: stored.moment };
        attempt(&mut job, 2, Outcome::Retry { fault: Fault::Timeout, after: Some(wait), unanswered: None }, stored);
        attempt(&mut job, 3, unanswered(stored.moment.after(stragglers)), stored);
        attempt(&mut job, 3, straggling(stored, stored.moment.after(1 + stragglers)), stored);
        let waits = |job: &Job, now: Moment| {
            let one = |target: &Target| [target.settles_at(), target.next, target.unanswered].map(|at| at.map(|at| now.until(at)));
            job.targets.iter().map(one).collect::<Vec<_>>()
        };
        let before = waits(&job, stored.moment);
        let begun = Moment(begun);
        job.take_over(&Run { name: 2, begun, straggle: 60 });
        prop_assert_eq!(waits(&job, begun), before);
    }
}
