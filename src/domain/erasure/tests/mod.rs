//! P4 and P5 as far as they are decisions: what comes next, what an answer means, where an erasure must go.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{Apis, Fingerprint, Instance, InstanceHash, LabelForm, UnixSeconds, UpstreamNumber};

mod instances;
mod journeys;
mod later;
mod people;
mod planning;
mod summaries;
mod waits;

/// The two clocks show different numbers, so that one is never taken for the other.
const NOW: Now = Now { moment: Moment(1_500_000_000), wall: UnixSeconds(1_700_000_000) };
const FREE: OnHold = OnHold { everywhere: false, upstreams: Vec::new() };
const SETTLE: u64 = 86_400;
const ALIAS: LabelForm = LabelForm::alias(1);

fn at(seconds: u64) -> Now {
    Now { moment: moment(seconds), wall: UnixSeconds(NOW.wall.0 + seconds) }
}

fn moment(seconds: u64) -> Moment {
    NOW.moment.after(seconds)
}

fn held_at(upstream: u16) -> OnHold {
    OnHold { everywhere: false, upstreams: vec![UpstreamNumber(upstream)] }
}

fn among(upstreams: &[u16]) -> Scope {
    Scope::Among(upstreams.iter().copied().map(UpstreamNumber).collect())
}

fn next(job: &Job, now: Now) -> Step {
    next_step(job, now.moment, &FREE)
}

fn key(upstream: u16) -> TargetKey {
    let upstream = UpstreamNumber(upstream);
    TargetKey { upstream, instance: WhereId::default(), form: LabelForm::RAW, label_of: upstream, api: None }
}

fn target(upstream: u16) -> Target {
    Target::new(key(upstream), Where::default(), format!("upstream-{upstream}"), SETTLE)
}

fn intent() -> Intent {
    Intent { scope: Scope::All, addressed: None, mark: None }
}

fn evidence(when: Now, status: u16) -> Evidence {
    let (digest, address) = (String::new(), "https://upstream.example".into());
    Evidence { sent: when.wall, answered: when.wall, date: None, status, digest, drained: true, address }
}

fn accepted(when: Now) -> Outcome {
    Outcome::Accepted { evidence: evidence(when, 200), straggling: None }
}

fn straggling(when: Now, until: Moment) -> Outcome {
    Outcome::Accepted { evidence: evidence(when, 200), straggling: Some(until) }
}

fn retry(fault: Fault) -> Outcome {
    Outcome::Retry { fault, after: None, unanswered: None }
}

fn unanswered(until: Moment) -> Outcome {
    Outcome::Retry { fault: Fault::Timeout, after: None, unanswered: Some(until) }
}

fn blocked() -> Outcome {
    Outcome::Blocked { fault: Fault::Status(401), after: None }
}

fn refused() -> Outcome {
    Outcome::Refused(Fault::Status(404))
}

fn not_supported() -> Outcome {
    Outcome::NotSupported(Fault::NotSupported)
}

fn asked_for(intent: Intent) -> Job {
    let new = NewJob {
        id: Uuid::nil(),
        submitted: None,
        deadline: 30 * 86_400,
        reason: None,
        intent,
        mark: None,
        awaiting_approval: false,
    };
    Job::new(new, NOW.wall)
}

fn job() -> Job {
    asked_for(intent())
}

/// A job whose targets at upstreams 1 to `last` are known.
fn planned_to(last: u16) -> Job {
    let mut job = job();
    job.planned(&[intent()], (1..=last).map(target).collect(), 0);
    job
}

fn planned() -> Job {
    planned_to(2)
}

fn attempt(job: &mut Job, upstream: u16, outcome: Outcome, now: Now) {
    job.progress(&[key(upstream)], TargetState::Draining);
    assert!(job.sending(key(upstream), &FREE));
    job.ended(key(upstream), outcome, now, 0);
}

fn decision(verdict: Verdict) -> Decision {
    Decision {
        at: NOW.wall,
        verdict,
        by: "A. Person".into(),
        note: "as agreed".into(),
        upstream: None,
        targets: vec![],
    }
}

fn decision_at(verdict: Verdict, upstream: u16) -> Decision {
    Decision { upstream: Some(UpstreamNumber(upstream)), ..decision(verdict) }
}

/// What the store's list says of it.
fn summary(job: &Job, now: Now) -> Summary {
    Summary::of(&Job { stamp: Stamp { run: 1, at: now.moment }, ..job.clone() })
}

/// The upstreams at which the customer is to be kept out after a restart.
fn fenced(job: &Job) -> Vec<u16> {
    let places = summary(job, NOW).places;
    places.iter().filter(|place| place.fenced).map(|place| place.upstream.0).collect()
}

#[test]
fn an_erasure_goes_from_accepted_to_done_by_itself() {
    let mut job = job();
    assert_eq!((job.state(&FREE), next(&job, NOW)), (JobState::Accepted, Step::Plan));
    assert!(summary(&job, NOW).unplanned, "the customer is kept out everywhere, until the targets are known");

    job.planned(&[intent()], vec![target(1), target(2)], 0);
    assert_eq!((job.state(&FREE), next(&job, NOW)), (JobState::Running, Step::Attempt(vec![key(1), key(2)])));
    assert!(!summary(&job, NOW).unplanned);
    assert_eq!(fenced(&job), [1, 2]);

    attempt(&mut job, 1, accepted(at(1)), at(1));
    assert_eq!(next(&job, at(1)), Step::Attempt(vec![key(2)]));
    assert_eq!(fenced(&job), [2]);

    attempt(&mut job, 2, accepted(at(5)), at(5));
    assert!(job.is_accepted_everywhere());
    assert_eq!((job.state(&FREE), next(&job, at(5))), (JobState::Settling, Step::Wait(moment(1 + SETTLE))));
    assert!(fenced(&job).is_empty());

    assert_eq!(next(&job, at(1 + SETTLE)), Step::Settle);
    job.settle(moment(1 + SETTLE));
    assert_eq!(next(&job, at(1 + SETTLE)), Step::Wait(moment(5 + SETTLE)));
    job.settle(moment(5 + SETTLE));
    assert_eq!(next(&job, at(5 + SETTLE)), Step::Finish);
    job.finish(at(5 + SETTLE).wall);
    assert_eq!((job.state(&FREE), next(&job, at(5 + SETTLE))), (JobState::Done, Step::Rest));
}

#[test]
fn p5_each_answer_leads_to_the_state_that_the_contract_names() {
    let table = [
        (accepted(NOW), TargetState::Accepted, JobState::Settling, Step::Wait(moment(SETTLE))),
        (retry(Fault::Status(503)), TargetState::Retrying, JobState::Running, Step::Wait(moment(1))),
        (blocked(), TargetState::Blocked, JobState::ActionRequired, Step::Wait(moment(1))),
        (refused(), TargetState::Refused, JobState::ActionRequired, Step::Rest),
        (not_supported(), TargetState::NotSupported, JobState::ActionRequired, Step::Rest),
    ];
    for (outcome, target_state, job_state, step) in table {
        let mut job = planned_to(1);
        attempt(&mut job, 1, outcome.clone(), NOW);
        assert_eq!(job.targets[0].state, target_state, "{outcome:?}");
        assert_eq!(job.state(&FREE), job_state, "{outcome:?}");
        assert_eq!(next(&job, NOW), step, "{outcome:?}");
        assert!(fenced(&job).is_empty(), "an attempt that has ended keeps nobody out: {outcome:?}");
    }
}

#[test]
fn p4_a_target_that_waits_for_the_rate_keeps_nobody_out_and_its_state() {
    for outcome in [None, Some(blocked())] {
        let mut job = planned_to(1);
        if let Some(outcome) = outcome {
            attempt(&mut job, 1, outcome, NOW);
        }
        let state = job.targets[0].state;
        job.unfence(&[key(1)], Later::Rate);
        assert_eq!(job.targets[0].state, state, "what waits keeps its cause");
        assert!(fenced(&job).is_empty());
        assert_eq!(next(&job, at(900)), Step::Attempt(vec![key(1)]), "its turn comes");
    }
}

#[test]
fn p5_a_wish_to_wait_that_is_longer_than_the_schedule_is_honoured_up_to_a_day() {
    for (asked, waited) in [(0, 1), (40, 40), (u64::MAX, RETRY_AFTER_MAX)] {
        let (after, fault) = (Some(asked), Fault::Status(429));
        for outcome in [Outcome::Retry { fault, after, unanswered: None }, Outcome::Blocked { fault, after }] {
            let mut job = planned();
            attempt(&mut job, 1, outcome, NOW);
            assert_eq!(job.targets[0].next, Some(moment(waited)));
        }
    }
}

#[test]
fn a_second_erasure_joins_what_was_not_sent_and_reopens_the_rest_that_it_may_reach() {
    let mut job = planned_to(6);
    attempt(&mut job, 2, accepted(NOW), NOW);
    attempt(&mut job, 3, refused(), NOW);
    assert!(job.sending(key(4), &FREE));
    attempt(&mut job, 5, accepted(NOW), NOW);
    attempt(&mut job, 6, retry(Fault::Unreachable), NOW);

    let mark = Mark { run: 1, generation: 7, number: 0 };
    job.join(Intent { scope: among(&[1, 2, 3, 4, 6]), mark: Some(mark), ..intent() }, at(1).wall);

    let covers: Vec<_> = job.targets.iter().map(|target| job.mark_of(target).is_some()).collect();
    assert_eq!(covers, [true, true, true, true, false, true], "what entered before the second request is covered, too");
    assert_eq!(next(&job, at(1)), Step::Plan, "it may have new targets");
    let states: Vec<_> = job.targets.iter().map(|target| target.state).collect();
    let [pending, sent, accepted_state] = [TargetState::Pending, TargetState::Sent, TargetState::Accepted];
    assert_eq!(states, [pending, pending, pending, sent, accepted_state, pending]);
    job.ended(key(4), accepted(at(2)), at(2), 0);
    assert_eq!(job.targets[3].state, TargetState::Pending, "a delete under way does not count for the second");
    assert_eq!(job.targets[3].attempts, 1);
}

#[test]
fn p4_what_one_target_was_asked_for_since_speaks_for_no_other() {
    let mark = |generation| Mark { run: 1, generation, number: 0 };
    let asked = |scope, generation| Intent { scope, mark: Some(mark(generation)), ..intent() };
    let first = asked(among(&[1]), 5);
    let mut job = asked_for(first.clone());
    job.planned(&[first], vec![Target { mark: Some(mark(5)), ..target(1) }], 0);
    assert!(job.sending(key(1), &FREE));

    job.join(asked(among(&[2]), 9), at(1).wall);

    let marks = |job: &Job| job.targets.iter().map(|target| job.mark_of(target)).collect::<Vec<_>>();
    assert_eq!(marks(&job), [Some(mark(5))], "what entered since is new there");
    job.joined_since(key(1), mark(5));
    job.ended(key(1), accepted(at(2)), at(2), 0);
    assert_eq!(job.targets[0].state, TargetState::Accepted, "nobody has asked for it again");

    job.join(asked(among(&[1]), 11), at(3).wall);
    assert_eq!((marks(&job), job.targets[0].state), (vec![Some(mark(11))], TargetState::Pending));
}

#[test]
fn p4_a_request_that_joins_while_the_targets_are_being_read_is_served_by_what_that_finds() {
    let mark = |generation| Some(Mark { run: 1, generation, number: 0 });
    let at_both = |generation| Intent { mark: mark(generation), ..intent() };
    let planned_with = |generation| vec![Target { mark: mark(generation), ..target(1) }];
    let (first, second) = (at_both(5), at_both(9));
    for (sent, state) in [(false, TargetState::Pending), (true, TargetState::Sent)] {
        let mut job = asked_for(first.clone());
        job.join(second.clone(), at(1).wall);
        job.planned(std::slice::from_ref(&first), planned_with(5), 0);
        if sent {
            assert!(job.sending(key(1), &FREE));
        }
        job.planned(std::slice::from_ref(&second), planned_with(9), 0);
        assert_eq!((job.mark_of(&job.targets[0]), job.targets[0].state), (mark(9), state));
        assert_eq!(job.targets[0].reopened, sent, "a delete under way does not count for the second");

        job.planned(std::slice::from_ref(&first), planned_with(5), 0);
        assert_eq!(job.mark_of(&job.targets[0]), mark(9), "what covers more stays");
    }
}

#[test]
fn p5_only_what_was_sent_in_vain_is_a_repetition_and_who_asks_again_goes_to_the_end_of_the_line() {
    let mut job = planned_to(3);
    attempt(&mut job, 1, accepted(NOW), NOW);
    attempt(&mut job, 2, retry(Fault::Unreachable), NOW);
    job.join(intent(), at(60).wall);

    let place = |target: &Target| (target.is_repeat(), job.asked_at(target));
    let places: Vec<_> = job.targets.iter().map(place).collect();
    assert_eq!(places, [(false, at(60).wall), (true, NOW.wall), (false, NOW.wall)]);
    let listed: Vec<_> = summary(&job, at(60)).places.iter().map(|place| (place.repeat, place.asked)).collect();
    assert_eq!(listed, places, "also after a restart");
}

#[test]
fn what_was_asked_for_while_the_targets_were_read_is_planned_next() {
    let mut job = job();
    let read = job.intents.clone();
    job.join(Intent { scope: among(&[1]), ..intent() }, NOW.wall);
    job.planned(&read, vec![target(1)], 0);
    assert_eq!(next(&job, NOW), Step::Plan);
}

#[test]
fn a_word_is_the_same_in_logs_and_answers() {
    use TargetState as S;
    let states = [
        S::Pending,
        S::Fenced,
        S::Draining,
        S::Sent,
        S::Accepted,
        S::Settled,
        S::Retrying,
        S::Blocked,
        S::Refused,
        S::NotSupported,
        S::Closed,
    ];
    for state in states {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for verdict in [Verdict::Approve, Verdict::Hold, Verdict::Unhold, Verdict::Cancel, Verdict::Retry, Verdict::Close] {
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
    }
}

#[test]
fn the_deadline_runs_from_when_the_person_asked() {
    let new = NewJob {
        id: Uuid::nil(),
        submitted: Some(UnixSeconds(NOW.wall.0 - 100)),
        deadline: 100,
        reason: None,
        intent: intent(),
        mark: None,
        awaiting_approval: false,
    };
    let job = Job::new(new, NOW.wall);
    assert_eq!(job.due, NOW.wall);
    assert!(!job.is_late(NOW.wall));
    assert!(job.is_late(at(1).wall));
}
