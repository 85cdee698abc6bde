//! Erasures under everything that may happen, in any order.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Something that may happen to an erasure.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// What the worker does with the next step; the answers that the upstreams give.
    Step(Vec<Answer>),
    /// The same, but the gate dies after this much of an attempt, and starts again.
    Crash(Reached, u64),
    /// What is due waits for its turn.
    Line,
    Time(u32),
    Join(bool),
    StragglerEnded(u16),
    Topology(u64),
    Decide(Verdict, Option<u16>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Status(u16),
    Straggling(u8),
    Unanswered(u8),
    Unreachable,
    /// A hold came between.
    Unsent,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Reached {
    Nothing,
    Draining,
    Sent,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => prop::sample::select(vec![200, 202, 204, 301, 400, 401, 403, 404, 408, 429, 500, 503])
            .prop_map(Answer::Status),
        1 => any::<u8>().prop_map(Answer::Straggling),
        1 => any::<u8>().prop_map(Answer::Unanswered),
        1 => Just(Answer::Unreachable),
        1 => Just(Answer::Unsent),
    ]
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let verdicts =
        vec![Verdict::Approve, Verdict::Hold, Verdict::Unhold, Verdict::Cancel, Verdict::Retry, Verdict::Close];
    let reached = prop::sample::select(vec![Reached::Nothing, Reached::Draining, Reached::Sent]);
    prop_oneof![
        6 => prop::collection::vec(answer(), 3).prop_map(Event::Step),
        1 => (reached, 1_000_000_u64..2_000_000_000).prop_map(|(reached, begun)| Event::Crash(reached, begun)),
        1 => Just(Event::Line),
        3 => prop_oneof![0_u32..100, 0_u32..200_000].prop_map(Event::Time),
        1 => any::<bool>().prop_map(Event::Join),
        1 => (1_u16..4).prop_map(Event::StragglerEnded),
        1 => (0_u64..3).prop_map(Event::Topology),
        2 => (prop::sample::select(verdicts), prop::option::of(1_u16..4)).prop_map(|(what, at)| Event::Decide(what, at)),
    ]
}

fn outcome(answer: Answer, now: Now) -> Option<Outcome> {
    Some(match answer {
        Answer::Status(status @ 200..=299) => Outcome::Accepted { evidence: evidence(now, status), straggling: None },
        Answer::Status(status) => judge(status, Some(3)),
        Answer::Straggling(seconds) => straggling(now, now.moment.after(seconds.into())),
        Answer::Unanswered(seconds) => unanswered(now.moment.after(seconds.into())),
        Answer::Unreachable => retry(Fault::Unreachable),
        Answer::Unsent => return None,
    })
}

/// An erasure and what is around it.
pub(super) struct World {
    pub(super) job: Job,
    pub(super) now: Now,
    held: OnHold,
    run: u64,
    topology: u64,
    /// Until when a delete that got no answer may still be carried out, reckoned apart from the job.
    unanswered: BTreeMap<TargetKey, Moment>,
    /// Where a 2xx came for a delete with nothing in its way.
    clean: BTreeSet<TargetKey>,
}

impl World {
    pub(super) fn new(awaiting_approval: bool) -> Self {
        let job = Job { awaiting_approval, ..job() };
        let (unanswered, clean) = (BTreeMap::new(), BTreeSet::new());
        Self { job, now: NOW, held: FREE, run: 1, topology: 0, unanswered, clean }
    }

    fn next(&self) -> Step {
        next_step(&self.job, self.now.moment, &self.held)
    }

    fn step(&mut self, answers: &[Answer]) {
        let moment = self.now.moment;
        match self.next() {
            Step::Plan => {
                let intents = self.job.intents.clone();
                self.job.planned(&intents, vec![target(1), target(2), target(3)], self.topology);
            }
            Step::Attempt(keys) => {
                self.job.progress(&keys, TargetState::Draining);
                keys.into_iter().zip(answers).for_each(|(key, answer)| self.delete(key, *answer));
            }
            Step::Settle => self.job.settle(moment),
            Step::Finish => assert!(self.job.finish(self.now.wall), "nobody has asked once more"),
            Step::Wait(_) | Step::Rest => {}
        }
    }

    fn delete(&mut self, key: TargetKey, answer: Answer) {
        if !self.job.sending(key, &self.held) {
            return;
        }
        let now = self.now;
        let Some(outcome) = outcome(answer, now) else { return self.job.unsent(key) };
        match &outcome {
            Outcome::Accepted { straggling: None, .. } => {
                self.clean.insert(key);
            }
            Outcome::Retry { unanswered: Some(until), .. } => {
                let known = self.unanswered.entry(key).or_insert(*until);
                *known = (*known).max(*until);
            }
            _ => {}
        }
        let counts = matches!(outcome, Outcome::Accepted { straggling: None, .. })
            && self.unanswered.get(&key).is_none_or(|until| *until <= now.moment);
        self.job.ended(key, outcome, now, 7);
        let accepted = self.job.target(key).unwrap().is_accepted();
        assert_eq!(accepted, counts, "accepted by a 2xx with nothing in its way, and by nothing else");
    }

    /// The gate dies and starts again; its clock begins elsewhere.
    fn crash(&mut self, reached: Reached, begun: u64) {
        const STRAGGLE: u64 = 30;
        if let (Step::Attempt(keys), Reached::Draining | Reached::Sent) = (self.next(), reached) {
            self.job.progress(&keys, TargetState::Draining);
            if let (Reached::Sent, Some(first)) = (reached, keys.first()) {
                self.job.sending(*first, &self.held);
            }
        }
        self.job.stamp = Stamp { run: self.run, at: self.now.moment };
        let (stored, begun) = (self.now.moment, Moment(begun));
        for until in self.unanswered.values_mut() {
            *until = begun.after(stored.until(*until));
        }
        for target in &self.job.targets {
            if target.state == TargetState::Sent && target.next.is_none() {
                let until = self.unanswered.entry(target.key).or_insert(begun);
                *until = (*until).max(begun.after(STRAGGLE));
            }
        }
        self.run += 1;
        self.job.take_over(&Run { name: self.run, begun, straggle: STRAGGLE });
        self.now.moment = begun;
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Step(answers) => self.step(&answers),
            Event::Crash(reached, begun) => self.crash(reached, begun),
            Event::Line => {
                if let Step::Attempt(keys) = self.next() {
                    self.job.unfence(&keys, Later::Rate);
                }
            }
            Event::Time(seconds) => self.pass(seconds.into()),
            Event::Join(narrow) if !self.job.is_over() => {
                let scope = if narrow { Scope::Only(vec![UpstreamNumber(1)]) } else { Scope::All };
                self.job.join(Intent { scope, ..intent() }, NOW.wall);
            }
            Event::Join(_) => {}
            Event::StragglerEnded(upstream) => self.job.straggler_ended(UpstreamNumber(upstream), self.now.moment),
            Event::Topology(topology) => {
                self.topology = topology;
                if self.job.is_active() {
                    self.job.plan_anew(topology);
                }
            }
            Event::Decide(verdict, upstream) => self.decide(verdict, upstream),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = Now { moment: self.now.moment.after(seconds), wall: UnixSeconds(self.now.wall.0 + seconds) };
    }

    fn decide(&mut self, verdict: Verdict, upstream: Option<u16>) {
        let upstream = upstream.map(UpstreamNumber);
        match (verdict, upstream) {
            (Verdict::Hold, None) => self.held.everywhere = true,
            (Verdict::Hold, Some(at)) => self.held.upstreams.push(at),
            (Verdict::Unhold, None) => self.held.everywhere = false,
            (Verdict::Unhold, Some(at)) => self.held.upstreams.retain(|held| *held != at),
            _ => {}
        }
        let before = self.job.clone();
        if self.job.decide(Decision { upstream, ..decision(verdict) }, None).is_err() {
            assert_eq!(self.job, before, "a decision that is refused changes nothing");
        }
    }

    /// What holds at every moment of every erasure.
    fn check(&self) {
        let (job, now) = (&self.job, self.now);
        match self.next() {
            Step::Attempt(keys) => {
                for key in &keys {
                    let target = job.target(*key).unwrap();
                    assert!(!target.is_accepted() && !target.is_over() && !self.held.is_at(key.upstream));
                    assert!(target.state != TargetState::Refused && target.state != TargetState::NotSupported);
                }
            }
            Step::Wait(until) => assert!(until > now.moment, "waiting for the past would spin"),
            Step::Rest => {
                let state = job.state(&self.held);
                let people = [JobState::AwaitingApproval, JobState::Held, JobState::ActionRequired];
                let over = [JobState::Done, JobState::Cancelled];
                assert!(people.contains(&state) || over.contains(&state), "P5: it ends in silence as {state:?}");
            }
            Step::Plan | Step::Settle | Step::Finish => assert!(job.is_active()),
        }
        for target in job.targets.iter().filter(|target| target.is_accepted()) {
            assert!(self.clean.contains(&target.key), "P13: accepted without a 2xx");
            assert!(target.instant.is_some() && target.accepted_at.is_some() && target.evidence.is_some());
        }
        if job.state(&self.held) == JobState::Done {
            assert!(job.targets.iter().all(Target::is_over), "P5");
        }
        if job.state(&self.held) == JobState::Cancelled {
            assert!(!job.deleted);
        }
    }

    /// Upstreams that take everything, and people who let everything through.
    fn all_goes_well(&mut self) {
        self.held = FREE;
        for _ in 0..100 {
            for verdict in [Verdict::Unhold, Verdict::Approve, Verdict::Retry] {
                self.decide(verdict, None);
            }
            if let Step::Wait(until) = self.next() {
                self.pass(self.now.moment.until(until));
            }
            self.step(&[Answer::Status(200); 3]);
            self.check();
        }
    }
}

proptest! {
    #[test]
    fn p5_whatever_happens_an_erasure_goes_on_until_all_accepted_or_a_person_decided(
        events in prop::collection::vec(event(), 0..60),
        above_the_rate: bool,
    ) {
        let mut world = World::new(above_the_rate);
        for event in events {
            world.happen(event);
            world.check();
        }
        world.all_goes_well();
        prop_assert!(matches!(world.job.state(&FREE), JobState::Done | JobState::Cancelled));
    }

    #[test]
    fn a_step_may_be_done_twice(events in prop::collection::vec(event(), 0..40)) {
        let mut world = World::new(false);
        for event in events {
            world.happen(event);
            if let Step::Settle | Step::Finish | Step::Plan = world.next() {
                world.step(&[]);
                let once = world.job.clone();
                if world.next() == Step::Rest {
                    world.step(&[]);
                    prop_assert_eq!(&world.job, &once);
                }
            }
            let (now, mut job) = (world.now, world.job.clone());
            for target in world.job.targets.iter().filter(|target| target.is_accepted()) {
                job.ended(target.key, refused(), now, 0);
                job.progress(&[target.key], TargetState::Draining);
                job.unfence(&[target.key], Later::Rate);
                prop_assert!(!job.sending(target.key, &FREE));
                job.unsent(target.key);
            }
            prop_assert_eq!(&job, &world.job, "what is accepted stays accepted");
        }
    }

    #[test]
    fn a_job_is_the_same_after_it_was_stored(events in prop::collection::vec(event(), 0..40)) {
        let mut world = World::new(false);
        for event in events {
            world.happen(event);
        }
        let stored = serde_json::to_vec(&world.job).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Job>(&stored).unwrap(), world.job);
    }
}
