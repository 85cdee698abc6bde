//! P5: what the list says of an erasure is enough to take it up again without reading it.

use super::journeys::{World, event};
use super::*;

/// What stores take of a summary.
const SUMMARY_BYTES_MAX: usize = 128;

fn place() -> impl Strategy<Value = Place> {
    (any::<u16>(), any::<[bool; 3]>(), any::<u32>()).prop_map(|(upstream, [fenced, in_line, repeat], later)| {
        let upstream = UpstreamNumber(upstream);
        Place { upstream, fenced, in_line, repeat, asked: UnixSeconds(later.into()) }
    })
}

fn any_summary() -> impl Strategy<Value = Summary> {
    let numbers = (any::<[u64; 4]>(), prop::option::of(any::<u64>()), any::<[bool; 4]>());
    (numbers, prop::collection::vec(place(), 0..=12)).prop_map(|((numbers, next, flags), mut places)| {
        let [run, at, received, due] = numbers;
        let [unplanned, awaiting_approval, action_required, overfull] = flags;
        places.iter_mut().for_each(|place| place.asked.0 = place.asked.0.saturating_add(received));
        Summary {
            unplanned,
            standing: Standing { awaiting_approval, action_required },
            overfull,
            stamp: Stamp { run, at: Moment(at) },
            next: next.map(Moment),
            received: UnixSeconds(received),
            due: UnixSeconds(due),
            places,
        }
    })
}

/// What is to be done now is found by the list: at once, at its moment, or when its turn has come.
fn found(job: &Job, now: Now) {
    let listed = summary(job, now);
    let at_once = listed.next.is_some_and(|at| at <= now.moment);
    match next(job, now) {
        Step::Rest => assert_eq!(listed.next, None),
        Step::Wait(until) => assert_eq!(listed.next, Some(until)),
        Step::Plan => assert!(listed.unplanned && at_once),
        Step::Settle | Step::Finish => assert!(at_once),
        Step::Attempt(keys) => {
            for key in keys {
                let in_line = |place: &Place| place.upstream == key.upstream && place.in_line;
                assert!(at_once || listed.places.iter().any(in_line), "{key:?} would be forgotten: {listed:?}");
            }
        }
    }
    let woken = listed.next.is_some() || listed.places.iter().any(|place| place.in_line || place.fenced);
    assert!(woken || next(job, now) == Step::Rest);
    assert!(at_once || listed.places.iter().all(|place| !place.fenced), "a fence is up and nobody works behind it");
    let bytes = listed.to_bytes();
    assert!(bytes.len() <= SUMMARY_BYTES_MAX);
    assert_eq!(Summary::from_bytes(&bytes), Some(listed));
}

proptest! {
    #[test]
    fn a_summary_reads_as_it_was_written(summary in any_summary()) {
        let bytes = summary.to_bytes();
        prop_assert!(bytes.len() <= SUMMARY_BYTES_MAX);
        prop_assert_eq!(Summary::from_bytes(&bytes), Some(summary));
    }

    #[test]
    fn what_is_no_summary_does_not_read(summary in any_summary(), cut in 1_usize..42, layout in 3_u8..) {
        let mut bytes = summary.to_bytes();
        prop_assert_eq!(Summary::from_bytes(&bytes[..cut]), None);
        bytes[0] = layout;
        prop_assert_eq!(Summary::from_bytes(&bytes), None);
    }

    #[test]
    fn p5_an_erasure_that_has_something_to_do_is_never_without_a_wake(
        events in prop::collection::vec(event(), 0..60), above_the_rate: bool,
    ) {
        let mut world = World::new(above_the_rate);
        for event in events {
            world.happen(event);
            found(&world.job, world.now);
        }
    }
}

#[test]
fn p12_however_many_upstreams_there_are_a_summary_fits_and_says_whether_it_is_whole() {
    for (upstreams, overfull) in [(0, false), (12, false), (13, true), (1000, true)] {
        let mut job = planned_to(upstreams);
        for in_line in [false, true] {
            if in_line {
                let keys: Vec<TargetKey> = (1..=upstreams).map(key).collect();
                job.unfence(&keys, Later::Rate);
            }
            let listed = summary(&job, NOW);
            assert_eq!(listed.overfull, overfull);
            let stored = Summary::from_bytes(&listed.to_bytes()).unwrap();
            let places = (listed.places.len(), stored.places.len());
            assert_eq!(places, (usize::from(upstreams), usize::from(upstreams.min(12))), "in memory, and in the store");
            assert!(!overfull || listed.next == Some(Moment(0)), "it has to be read itself");
            assert!(listed.to_bytes().len() <= SUMMARY_BYTES_MAX);
        }
    }
}

#[test]
fn forms_of_one_upstream_share_a_place() {
    let mut job = job();
    let alias = Target { key: TargetKey { form: ALIAS, ..key(1) }, ..target(1) };
    job.planned(&[intent()], vec![target(1), alias.clone()], 0);
    attempt(&mut job, 1, retry(Fault::Unreachable), NOW);
    job.unfence(&[alias.key], Later::Rate);
    let place = Place { upstream: UpstreamNumber(1), fenced: false, in_line: true, repeat: true, asked: NOW.wall };
    let listed = summary(&job, NOW);
    assert_eq!((listed.places, listed.next), (vec![place], Some(moment(1))), "in line, and to be tried again");
}

#[test]
fn p5_a_time_in_the_list_is_taken_over_like_the_erasure_s_own() {
    let mut job = planned_to(1);
    attempt(&mut job, 1, unanswered(moment(60)), NOW);
    let listed = summary(&job, NOW);
    let run = |name| Run { name, begun: Moment(5000), straggle: 30 };
    assert_eq!(listed.next_in(&run(1)), Some(moment(1)), "the same run");
    assert_eq!(listed.next_in(&run(2)), Some(Moment(5001)));
    assert_eq!(summary(&self::job(), NOW).next_in(&run(2)), Some(Moment(0)), "at once, in any run");
}

#[test]
fn p12_a_delete_that_was_under_way_when_the_run_ended_stands_in_the_line_of_repetitions() {
    let mut job = planned_to(1);
    job.unfence(&[key(1)], Later::Rate);
    let place = |job: &Job| summary(job, NOW).places[0];
    assert_eq!((place(&job).in_line, place(&job).repeat), (true, false));
    assert!(job.sending(key(1), &FREE));
    assert_eq!((place(&job).in_line, place(&job).repeat), (true, true));

    job.stamp = Stamp { run: 1, at: NOW.moment };
    job.take_over(&Run { name: 2, begun: moment(7), straggle: 0 });
    assert!(job.targets[0].is_repeat(), "and the erasure itself says the same");
}
