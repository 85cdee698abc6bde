//! Erasures under everything that may happen, in any order.

use super::*;

/// Something that may happen to an erasure.
#[derive(Clone, Debug)]
enum Event {
    /// What the worker does with the next step; the answers that the upstreams give.
    Step(Vec<Answer>),
    /// The same, but the gate dies after this much of an attempt.
    Crash(Reached),
    Time(u32),
    Join(bool),
    Decide(Verdict, Option<u16>),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Straggling(u8),
    Unreachable,
    Paced(u8),
}

#[derive(Clone, Copy, Debug)]
enum Reached {
    Draining,
    Sent,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        prop::sample::select(vec![200, 202, 204, 301, 400, 401, 403, 404, 408, 429, 500, 503]).prop_map(Answer::Status),
        any::<u8>().prop_map(Answer::Straggling),
        Just(Answer::Unreachable),
        any::<u8>().prop_map(Answer::Paced),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let verdicts = vec![Verdict::Approve, Verdict::Hold, Verdict::Unhold, Verdict::Cancel, Verdict::Retry];
    prop_oneof![
        6 => prop::collection::vec(answer(), 3).prop_map(Event::Step),
        1 => prop_oneof![Just(Reached::Draining), Just(Reached::Sent)].prop_map(Event::Crash),
        3 => (0_u32..200_000).prop_map(Event::Time),
        1 => any::<bool>().prop_map(Event::Join),
        1 => (prop::sample::select(verdicts), prop::option::of(1_u16..4)).prop_map(|(verdict, at)| Event::Decide(verdict, at)),
    ]
}

fn outcome(answer: Answer, now: UnixSeconds) -> Outcome {
    match answer {
        Answer::Status(status @ 200..=299) => {
            Outcome::Accepted { evidence: evidence(now, status), straggling_until: None }
        }
        Answer::Status(status) => judge(status, Some(3)),
        Answer::Straggling(seconds) => Outcome::Accepted {
            evidence: evidence(now, 200),
            straggling_until: Some(UnixSeconds(now.0 + u64::from(seconds))),
        },
        Answer::Unreachable => Outcome::Retry { fault: Fault::Unreachable, after: None },
        Answer::Paced(seconds) => Outcome::Paced { until: UnixSeconds(now.0 + u64::from(seconds)) },
    }
}

fn step(job: &mut Job, now: UnixSeconds, answers: &[Answer]) {
    match next_step(job, now) {
        Step::Plan => {
            let intents = job.intents.clone();
            job.planned(&intents, vec![target(1), target(2), target(3)]);
        }
        Step::Attempt(keys) => {
            job.progress(&keys, TargetState::Draining);
            for (key, answer) in keys.into_iter().zip(answers) {
                if job.sending(key) {
                    job.ended(key, outcome(*answer, now), now, 7);
                }
            }
        }
        Step::Settle => job.settle(now),
        Step::Finish => job.finish(now),
        Step::Wait(_) | Step::Rest => {}
    }
}

fn crash(job: &mut Job, now: UnixSeconds, reached: Reached) {
    if let Step::Attempt(keys) = next_step(job, now) {
        job.progress(&keys, TargetState::Draining);
        if let (Reached::Sent, Some(first)) = (reached, keys.first()) {
            job.sending(*first);
        }
    }
}

fn happen(job: &mut Job, now: &mut UnixSeconds, event: Event) {
    match event {
        Event::Step(answers) => step(job, *now, &answers),
        Event::Crash(reached) => crash(job, *now, reached),
        Event::Time(seconds) => now.0 += u64::from(seconds),
        Event::Join(narrow) if !job.is_over() => {
            let scope = if narrow { Scope::Only(vec![UpstreamNumber(1)]) } else { Scope::All };
            job.join(Intent { scope, ..intent() }, |_, upstream| !narrow || upstream == UpstreamNumber(1));
        }
        Event::Join(_) => {}
        Event::Decide(verdict, upstream) => {
            let before = job.clone();
            if job.decide(decision(verdict), upstream.map(UpstreamNumber)).is_err() {
                assert_eq!(*job, before, "a decision that is refused changes nothing");
            }
        }
    }
}

/// What holds at every moment of every erasure.
fn check(job: &Job, now: UnixSeconds) {
    match next_step(job, now) {
        Step::Attempt(keys) => {
            for key in &keys {
                let target = job.target(*key).unwrap();
                assert!(!target.is_accepted() && target.hold.is_none());
                assert!(target.state != TargetState::Refused && target.state != TargetState::NotSupported);
            }
        }
        Step::Wait(until) => assert!(until > now, "waiting for the past would spin"),
        Step::Rest => {
            let state = job.state();
            let people = [JobState::AwaitingApproval, JobState::Held, JobState::ActionRequired];
            let over = [JobState::Done, JobState::Cancelled];
            assert!(people.contains(&state) || over.contains(&state), "P5: it ends in silence as {state:?}");
        }
        Step::Plan | Step::Settle | Step::Finish => assert!(job.is_active()),
    }
    if job.state() == JobState::Done {
        assert!(job.targets.iter().all(|target| target.state == TargetState::Settled), "P5");
    }
    if job.state() == JobState::Cancelled {
        assert!(!job.deleted);
    }
}

/// Upstreams that take everything, and people who let everything through.
fn all_goes_well(job: &mut Job, now: &mut UnixSeconds) {
    for _ in 0..100 {
        for (verdict, upstream) in [(Verdict::Unhold, None), (Verdict::Approve, None), (Verdict::Retry, None)] {
            job.decide(decision(verdict), upstream).ok();
        }
        for upstream in 1..4 {
            job.decide(decision(Verdict::Unhold), Some(UpstreamNumber(upstream))).ok();
        }
        if let Step::Wait(until) = next_step(job, *now) {
            *now = until;
        }
        step(job, *now, &[Answer::Status(200); 3]);
        check(job, *now);
    }
}

proptest! {
    #[test]
    fn p5_whatever_happens_an_erasure_goes_on_until_all_accepted_or_a_person_decided(
        events in prop::collection::vec(event(), 0..60),
        above_the_rate: bool,
    ) {
        let (mut job, mut now) = (job(), NOW);
        job.awaiting_approval = above_the_rate;
        for event in events {
            happen(&mut job, &mut now, event);
            check(&job, now);
        }
        all_goes_well(&mut job, &mut now);
        prop_assert!(matches!(job.state(), JobState::Done | JobState::Cancelled));
    }

    #[test]
    fn a_step_may_be_done_twice(events in prop::collection::vec(event(), 0..40)) {
        let (mut job, mut now) = (job(), NOW);
        for event in events {
            happen(&mut job, &mut now, event);
            if let Step::Settle | Step::Finish | Step::Plan = next_step(&job, now) {
                step(&mut job, now, &[]);
                let once = job.clone();
                if next_step(&job, now) == Step::Rest {
                    step(&mut job, now, &[]);
                    prop_assert_eq!(&job, &once);
                }
            }
            for target in job.targets.clone().into_iter().filter(Target::is_accepted) {
                let before = job.clone();
                job.ended(target.key, Outcome::Refused(Fault::Status(404)), now, 0);
                job.progress(&[target.key], TargetState::Draining);
                prop_assert_eq!(&job, &before, "what is accepted stays accepted");
            }
        }
    }

    #[test]
    fn a_job_is_the_same_after_it_was_stored(events in prop::collection::vec(event(), 0..40)) {
        let (mut job, mut now) = (job(), NOW);
        for event in events {
            happen(&mut job, &mut now, event);
        }
        let stored = serde_json::to_vec(&job).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Job>(&stored).unwrap(), job);
    }
}
