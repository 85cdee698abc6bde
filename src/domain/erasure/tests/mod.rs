//! P4 and P5 as far as they are decisions: what comes next, what an answer means, where an erasure must go.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{LabelForm, UnixSeconds, UpstreamNumber};

mod journeys;
mod planning;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SETTLE: u64 = 86_400;
const ALIAS: LabelForm = LabelForm::alias(1);

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds(NOW.0 + seconds)
}

fn key(upstream: u16) -> TargetKey {
    let upstream = UpstreamNumber(upstream);
    TargetKey { upstream, form: LabelForm::RAW, label_of: upstream }
}

fn target(upstream: u16) -> Target {
    Target::new(key(upstream), format!("upstream-{upstream}"), SETTLE)
}

fn intent() -> Intent {
    Intent { scope: Scope::All, addressed: None, life: NOW }
}

fn evidence(when: UnixSeconds, status: u16) -> Evidence {
    Evidence { sent: when, answered: when, date: None, status, digest: String::new(), drained: true }
}

fn accepted(when: UnixSeconds) -> Outcome {
    Outcome::Accepted { evidence: evidence(when, 200), straggling_until: None }
}

fn job() -> Job {
    Job::new(Uuid::nil(), NOW, None, 30 * 86_400, intent())
}

/// A job whose targets at upstreams 1 and 2 are known.
fn planned() -> Job {
    let mut job = job();
    job.planned(&[intent()], vec![target(1), target(2)]);
    job
}

fn attempt(job: &mut Job, upstream: u16, outcome: Outcome, now: UnixSeconds) {
    job.progress(&[key(upstream)], TargetState::Draining);
    assert!(job.sending(key(upstream)));
    job.ended(key(upstream), outcome, now, 0);
}

fn decision(verdict: Verdict) -> Decision {
    Decision { at: NOW, verdict, by: "A. Person".into(), note: "as agreed".into() }
}

#[test]
fn an_erasure_goes_from_accepted_to_done_by_itself() {
    let mut job = job();
    assert_eq!((job.state(), next_step(&job, NOW)), (JobState::Accepted, Step::Plan));
    assert_eq!(job.fenced(), Some(vec![]), "everywhere, until the targets are known");

    job.planned(&[intent()], vec![target(1), target(2)]);
    assert_eq!((job.state(), next_step(&job, NOW)), (JobState::Running, Step::Attempt(vec![key(1), key(2)])));
    assert_eq!(job.fenced(), Some(vec![UpstreamNumber(1), UpstreamNumber(2)]));

    attempt(&mut job, 1, accepted(at(1)), at(1));
    assert_eq!(next_step(&job, at(1)), Step::Attempt(vec![key(2)]));
    assert_eq!(job.fenced(), Some(vec![UpstreamNumber(2)]));

    attempt(&mut job, 2, accepted(at(5)), at(5));
    assert!(job.is_accepted_everywhere());
    assert_eq!((job.state(), next_step(&job, at(5))), (JobState::Settling, Step::Wait(at(1 + SETTLE))));
    assert_eq!(job.fenced(), None);

    assert_eq!(next_step(&job, at(1 + SETTLE)), Step::Settle);
    job.settle(at(1 + SETTLE));
    assert_eq!(next_step(&job, at(1 + SETTLE)), Step::Wait(at(5 + SETTLE)));
    job.settle(at(5 + SETTLE));
    assert_eq!(next_step(&job, at(5 + SETTLE)), Step::Finish);
    job.finish(at(5 + SETTLE));
    assert_eq!((job.state(), next_step(&job, at(5 + SETTLE))), (JobState::Done, Step::Rest));
}

#[test]
fn p5_each_answer_leads_to_the_state_that_the_contract_names() {
    let retry = Outcome::Retry { fault: Fault::Status(503), after: None };
    let table = [
        (accepted(NOW), TargetState::Accepted, JobState::Settling, Step::Wait(at(SETTLE))),
        (retry, TargetState::Retrying, JobState::Running, Step::Wait(at(1))),
        (Outcome::Blocked(Fault::Status(401)), TargetState::Blocked, JobState::ActionRequired, Step::Wait(at(1))),
        (Outcome::Refused(Fault::Status(404)), TargetState::Refused, JobState::ActionRequired, Step::Rest),
        (Outcome::NotSupported(Fault::NotSupported), TargetState::NotSupported, JobState::ActionRequired, Step::Rest),
        (Outcome::Paced { until: at(9) }, TargetState::Retrying, JobState::Running, Step::Wait(at(9))),
    ];
    for (outcome, target_state, job_state, step) in table {
        let mut job = job();
        job.planned(&[intent()], vec![target(1)]);
        attempt(&mut job, 1, outcome.clone(), NOW);
        assert_eq!(job.targets[0].state, target_state, "{outcome:?}");
        assert_eq!(job.state(), job_state, "{outcome:?}");
        assert_eq!(next_step(&job, NOW), step, "{outcome:?}");
        assert_eq!(job.fenced(), None, "an attempt that has ended keeps nobody out: {outcome:?}");
    }
}

#[test]
fn p5_a_retry_after_longer_than_the_schedule_is_honoured_up_to_a_day() {
    for (asked, waited) in [(0, 1), (40, 40), (u64::MAX, RETRY_AFTER_MAX)] {
        let mut job = planned();
        attempt(&mut job, 1, Outcome::Retry { fault: Fault::Status(429), after: Some(asked) }, NOW);
        assert_eq!(job.targets[0].next, Some(at(waited)));
    }
}

#[test]
fn p4_a_target_that_did_not_drain_is_not_accepted_until_its_delete_was_repeated() {
    let mut job = job();
    job.planned(&[intent()], vec![target(1)]);
    attempt(&mut job, 1, Outcome::Accepted { evidence: evidence(NOW, 200), straggling_until: Some(at(30)) }, NOW);
    assert_eq!(job.targets[0].state, TargetState::Sent);
    assert!(!job.is_accepted_everywhere());
    assert_eq!((job.state(), next_step(&job, NOW)), (JobState::Running, Step::Wait(at(30))));

    assert_eq!(next_step(&job, at(30)), Step::Attempt(vec![key(1)]));
    attempt(&mut job, 1, accepted(at(31)), at(31));
    assert!(job.is_accepted_everywhere());
    assert_eq!(job.targets[0].instant, Some(at(31)), "its instant has moved");
}

#[test]
fn a_straggler_that_never_ends_does_not_make_the_worker_spin() {
    let mut job = planned();
    attempt(
        &mut job,
        1,
        Outcome::Accepted { evidence: evidence(NOW, 200), straggling_until: Some(UnixSeconds(0)) },
        NOW,
    );
    assert_eq!(job.targets[0].next, Some(at(1)));
}

#[test]
fn a_second_erasure_joins_what_was_not_sent_and_reopens_the_rest_that_it_may_reach() {
    let mut job = job();
    job.planned(&[intent()], (1..=6).map(target).collect());
    attempt(&mut job, 2, accepted(NOW), NOW);
    attempt(&mut job, 3, Outcome::Refused(Fault::Status(404)), NOW);
    job.sending(key(4));
    attempt(&mut job, 5, accepted(NOW), NOW);
    attempt(&mut job, 6, Outcome::Retry { fault: Fault::Unreachable, after: None }, NOW);

    job.join(Intent { scope: Scope::Group("a".into()), ..intent() }, |_, upstream| upstream != UpstreamNumber(5));

    assert_eq!(next_step(&job, at(1)), Step::Plan, "it may have new targets");
    let states: Vec<_> = job.targets.iter().map(|target| target.state).collect();
    let [pending, sent, accepted_state] = [TargetState::Pending, TargetState::Sent, TargetState::Accepted];
    assert_eq!(states, [pending, pending, pending, sent, accepted_state, pending]);
    job.ended(key(4), accepted(at(2)), at(2), 0);
    assert_eq!(job.targets[3].state, TargetState::Pending, "a delete under way does not count for the second");
    assert_eq!(job.targets[3].attempts, 1);
}

#[test]
fn what_was_asked_for_while_the_targets_were_read_is_planned_next() {
    let mut job = job();
    let read = job.intents.clone();
    job.join(Intent { scope: Scope::Group("b".into()), ..intent() }, |_, _| true);
    job.planned(&read, vec![target(1)]);
    assert_eq!(next_step(&job, NOW), Step::Plan);
}

#[test]
fn an_erasure_can_be_cancelled_only_before_the_first_delete() {
    let mut early = planned();
    early.decide(decision(Verdict::Cancel), None).unwrap();
    assert_eq!((early.state(), next_step(&early, NOW)), (JobState::Cancelled, Step::Rest));

    let mut late = planned();
    assert!(late.sending(key(1)));
    assert_eq!(late.decide(decision(Verdict::Cancel), None), Err(Undecidable::AlreadySent));

    let addressed = Addressed {
        upstream: UpstreamNumber(1),
        profile: "p".into(),
        api: None,
        version: None,
        probed: true,
        probe: None,
    };
    let mut probed = Job::new(Uuid::nil(), NOW, None, 1, Intent { addressed: Some(addressed), ..intent() });
    assert_eq!(probed.decide(decision(Verdict::Cancel), None), Err(Undecidable::AlreadySent));
}

#[test]
fn a_held_erasure_sends_nothing_lets_the_customer_in_and_is_never_a_success() {
    let mut job = planned();
    job.decide(decision(Verdict::Hold), None).unwrap();
    assert_eq!((job.state(), next_step(&job, NOW), job.fenced()), (JobState::Held, Step::Rest, None));
    assert!(!job.sending(key(1)), "an attempt under way stops before its delete");
    job.decide(decision(Verdict::Unhold), None).unwrap();
    assert_eq!(next_step(&job, NOW), Step::Attempt(vec![key(1), key(2)]));
    assert_eq!(job.decide(decision(Verdict::Unhold), None), Err(Undecidable::NotHeld));
}

#[test]
fn a_hold_on_one_target_stops_only_that_one() {
    let mut job = planned();
    job.decide(decision(Verdict::Hold), Some(UpstreamNumber(1))).unwrap();
    assert_eq!(next_step(&job, NOW), Step::Attempt(vec![key(2)]));
    attempt(&mut job, 2, accepted(NOW), NOW);
    assert_eq!(job.state(), JobState::Held);
    assert!(!job.is_accepted_everywhere());
    assert!(!job.sending(key(1)));
    assert_eq!(job.decide(decision(Verdict::Hold), Some(UpstreamNumber(9))), Err(Undecidable::NoSuchTarget));
    job.decide(decision(Verdict::Unhold), Some(UpstreamNumber(1))).unwrap();
    assert_eq!(next_step(&job, NOW), Step::Attempt(vec![key(1)]));
}

#[test]
fn p10_an_erasure_above_the_rate_waits_for_a_person_and_fences_nobody() {
    let mut job = job();
    job.awaiting_approval = true;
    assert_eq!((job.state(), next_step(&job, NOW), job.fenced()), (JobState::AwaitingApproval, Step::Rest, None));
    job.decide(decision(Verdict::Approve), None).unwrap();
    assert_eq!(next_step(&job, NOW), Step::Plan);
    assert_eq!(job.decide(decision(Verdict::Approve), None), Err(Undecidable::NotWaiting));
}

#[test]
fn a_person_can_have_everything_open_tried_at_once() {
    let mut job = job();
    job.planned(&[intent()], (1..=4).map(target).collect());
    attempt(&mut job, 1, Outcome::Refused(Fault::Status(404)), NOW);
    attempt(&mut job, 2, Outcome::Retry { fault: Fault::Timeout, after: Some(500) }, NOW);
    attempt(&mut job, 3, Outcome::Blocked(Fault::Status(403)), NOW);
    attempt(&mut job, 4, accepted(NOW), NOW);
    job.decide(decision(Verdict::Retry), None).unwrap();
    assert_eq!(next_step(&job, NOW), Step::Attempt(vec![key(1), key(2), key(3)]));
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
    ];
    for state in states {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    for verdict in [Verdict::Approve, Verdict::Hold, Verdict::Unhold, Verdict::Cancel, Verdict::Retry] {
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
    }
}

#[test]
fn the_deadline_runs_from_when_the_person_asked() {
    let job = Job::new(Uuid::nil(), NOW, Some(UnixSeconds(NOW.0 - 100)), 100, intent());
    assert_eq!(job.due, NOW);
    assert!(!job.is_late(NOW));
    assert!(job.is_late(at(1)));
}
