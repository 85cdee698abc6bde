//! The transitions of a connection, each phase by each event: no socket, and a clock that is told.

use std::time::Duration;

use tokio::time::Instant;

use super::ConnectionTimers;
use super::state::{Due, End, Phase, State, Wake};
use crate::config::Limits;

const SECOND: Duration = Duration::from_secs(1);

const fn request(due: Due, stall: Option<Duration>, carried: u64, body_waits: bool) -> Phase {
    Phase::Request { due, stall, carried, body_waits }
}

/// Those that have something of their own have something of each.
const REQUEST: Phase = request(Due::Late, Some(SECOND), 7, true);
const WEBSOCKET: Phase = Phase::WebSocket { due: Due::Late, quiet: true };
const PHASES: [Phase; 8] =
    [Phase::Arriving, Phase::Fresh, Phase::Idle, Phase::Head, REQUEST, Phase::Tunnel, WEBSOCKET, Phase::Lingering];

/// What an event makes of a phase.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Nothing.
    Same,
    /// This one, whose clock begins.
    Anew(Phase),
    /// This one, and its clock goes on.
    GoesOn(Phase),
}

use Then::{Anew, GoesOn, Same};

#[track_caller]
fn check(event: &str, transition: impl Fn(&mut State, Instant), expected: [Then; 8]) {
    let then = Instant::now();
    let now = then + SECOND;
    for (phase, expected) in PHASES.into_iter().zip(expected) {
        let before = State { phase, ..State::new(then) };
        let mut after = before;
        transition(&mut after, now);
        let expected = match expected {
            Same => before,
            Anew(phase) => State { phase, moved: now, ..before },
            GoesOn(phase) => State { phase, ..before },
        };
        assert_eq!(after, expected, "{event} in {phase:?}");
    }
}

#[test]
fn each_phase_is_entered_from_each_with_a_clock_of_its_own_and_nothing_of_the_last_one() {
    for (event, phase) in [
        ("idle", Phase::Idle),
        ("request", Phase::REQUEST),
        ("tunnel", Phase::Tunnel),
        ("websocket", Phase::WEBSOCKET),
        ("linger", Phase::Lingering),
    ] {
        check(event, |state, now| state.enter(phase, now), [Anew(phase); 8]);
    }
    let fresh = Anew(Phase::Fresh);
    check("fresh", State::fresh, [fresh, fresh, fresh, Same, fresh, fresh, fresh, fresh]);
    let head = Phase::Head;
    check("head_began", State::head_began, [Anew(head), GoesOn(head), Anew(head), Same, Same, Same, Same, Same]);
}

#[test]
fn what_is_said_of_a_request_or_a_websocket_means_nothing_in_another_phase() {
    let soon = Instant::now() + SECOND;
    let (by, none) = (Due::By(soon), Due::Nothing);
    // Of a phase that has nothing of its own nothing changes; of a request and a WebSocket what is given.
    let only = |of_request, of_websocket| [Same, Same, Same, Same, of_request, Same, of_websocket, Same];
    let websocket = |due| GoesOn(Phase::WebSocket { due, quiet: true });

    check("carried", |state, _| state.carried(5), only(GoesOn(request(Due::Late, Some(SECOND), 12, true)), Same));
    check(
        "body_waits",
        |state, _| state.body_waits(false),
        only(GoesOn(request(Due::Late, Some(SECOND), 7, false)), Same),
    );
    check("may_stall", |state, _| state.may_stall(None), only(GoesOn(request(Due::Late, None, 7, true)), Same));
    check("due_at", |state, _| state.due_at(soon), only(GoesOn(request(by, Some(SECOND), 7, true)), websocket(by)));
    check("answered", |state, _| state.answered(), only(GoesOn(request(none, Some(SECOND), 7, true)), websocket(none)));
    check("due_once where it is too late", |state, _| state.due_once(soon), only(Same, Same));
}

#[test]
fn what_moves_begins_the_clock_of_each_phase() {
    let mut moved = PHASES.map(Anew);
    moved[4] = Anew(request(Due::Late, Some(SECOND), 0, true));
    check("moved", State::moved, moved);
}

#[test]
fn what_is_true_of_the_connection_is_said_in_each_phase_and_outlives_it() {
    let then = Instant::now();
    for phase in PHASES {
        let mut state = State { phase, ..State::new(then) };
        state.half_closed(then);
        state.half_closed(then + SECOND);
        (state.draining, state.left, state.sees_to_end) = (true, true, true);
        for next in PHASES {
            state.enter(next, then + SECOND);
            let kept = (state.half_closed, state.draining, state.left, state.sees_to_end);
            assert_eq!(kept, (Some(then + SECOND), true, true, true), "{phase:?} to {next:?}");
        }
        assert_eq!(state.tick(then + SECOND, &limits()), Wake::Yes, "one that says nothing more is looked at");
    }
}

#[test]
fn a_caller_that_says_nothing_more_has_its_time_anew_when_something_moves_and_with_each_request() {
    let at = |seconds| Instant::now() + seconds * SECOND;
    let [then, tick, moved, next] = [0, 1, 2, 3].map(at);
    let mut state = State { phase: Phase::REQUEST, ..State::new(then) };
    state.half_closed(then);
    assert_eq!(state.tick(tick, &limits()), Wake::Yes);
    assert_eq!(
        (state.moved, state.half_closed),
        (tick, Some(then)),
        "the service is waited for, and nothing has moved"
    );
    state.moved(moved);
    assert_eq!(state.half_closed, Some(moved));
    state.enter(Phase::REQUEST, next);
    assert_eq!(state.half_closed, Some(next));
}

#[test]
fn a_stop_ends_what_waits_for_a_request_and_nothing_else() {
    let ends = |phase| State { phase, draining: true, ..State::new(Instant::now()) }.is_ending();
    assert_eq!(PHASES.map(ends), [true, true, true, false, false, false, false, false]);
    assert!(PHASES.into_iter().all(|phase| !State { phase, ..State::new(Instant::now()) }.is_ending()));
}

fn limits() -> Limits {
    let (header_timeout, idle_timeout, body_stall_timeout) = (10 * SECOND, 60 * SECOND, 30 * SECOND);
    Limits { header_timeout, idle_timeout, body_stall_timeout, body_rate_min: 10, ..Limits::default() }
}

/// A phase, its limit, how it ends after that, and whether its task looks with every tick.
#[test]
fn each_phase_ends_after_its_limit_and_not_with_it() {
    let waits = |stall, carried| request(Due::Nothing, stall, carried, true);
    for (phase, draining, limit, end, always) in [
        (Phase::Arriving, false, 60 * SECOND, End::Closing, Wake::No),
        (Phase::Fresh, false, 10 * SECOND, End::Closing, Wake::No),
        (Phase::Idle, false, 60 * SECOND, End::Closing, Wake::No),
        (Phase::Head, false, 10 * SECOND, End::Closing, Wake::No),
        (waits(None, 299), false, 30 * SECOND, End::Stalled, Wake::No),
        (waits(None, 300), false, 30 * SECOND, End::Open, Wake::No),
        (waits(Some(5 * SECOND), 49), false, 5 * SECOND, End::Stalled, Wake::No),
        (waits(Some(5 * SECOND), 50), false, 5 * SECOND, End::Open, Wake::No),
        (Phase::REQUEST, false, 30 * SECOND, End::Open, Wake::No),
        (Phase::Tunnel, false, 60 * SECOND, End::Closing, Wake::Yes),
        (Phase::WEBSOCKET, false, 60 * SECOND, End::Open, Wake::Yes),
        (Phase::Lingering, false, 10 * SECOND, End::Closing, Wake::No),
        (Phase::Lingering, true, SECOND / 2, End::Closing, Wake::No),
    ] {
        let then = Instant::now();
        let before = State { phase, draining, ..State::new(then) };
        let (mut within, mut past) = (before, before);
        assert_eq!((within.tick(then + limit, &limits()), within.end), (always, End::Open), "{phase:?}");
        assert!(!within.is_quiet(), "{phase:?}");
        let wakes = if end == End::Open { always } else { Wake::Yes };
        let after = then + limit + Duration::from_millis(1);
        assert_eq!((past.tick(after, &limits()), past.end), (wakes, end), "{phase:?}");
        assert_eq!(past.is_quiet(), phase == Phase::WEBSOCKET, "{phase:?}");
    }
}

#[test]
fn a_caller_that_is_not_waited_for_has_its_time_anew() {
    let then = Instant::now();
    let mut state = State { phase: Phase::REQUEST, ..State::new(then) };
    assert_eq!(state.tick(then + 60 * SECOND, &limits()), Wake::No);
    state.body_waits(true);
    assert_eq!(state.tick(then + 90 * SECOND, &limits()), Wake::No);
    assert_eq!((state.tick(then + 91 * SECOND, &limits()), state.end), (Wake::Yes, End::Stalled));
}

#[test]
fn what_is_due_is_late_after_its_time_and_stays_so_until_there_is_an_answer() {
    for phase in [Phase::REQUEST, Phase::WEBSOCKET] {
        let then = Instant::now();
        let mut state = State { phase, ..State::new(then) };
        state.due_once(then + SECOND);
        state.due_once(then + 3 * SECOND);
        let always = if phase == Phase::WEBSOCKET { Wake::Yes } else { Wake::No };
        assert_eq!((state.tick(then + SECOND, &limits()), state.is_late()), (always, false));
        assert_eq!(state.tick(then + 2 * SECOND, &limits()), Wake::Yes);
        assert!(state.is_late());
        state.due_once(then + 3 * SECOND);
        assert!(state.is_late());
        state.answered();
        assert!(!state.is_late());
    }
}

#[test]
fn why_a_connection_was_ended_is_not_forgotten_by_what_comes_later() {
    let then = Instant::now();
    let phase = request(Due::Nothing, None, 0, true);
    let mut state = State { phase, ..State::new(then) };
    assert_eq!((state.tick(then + 31 * SECOND, &limits()), state.end), (Wake::Yes, End::Stalled));
    for phase in PHASES {
        state.enter(phase, then + 31 * SECOND);
        assert_eq!((state.tick(then + 99 * SECOND, &limits()), state.end), (Wake::Yes, End::Stalled), "{phase:?}");
    }
}

/// As large as the flags were that it took the place of; a worker has one for each connection.
#[test]
fn a_connections_timers_are_small() {
    assert!(size_of::<ConnectionTimers>() <= 120, "{}", size_of::<ConnectionTimers>());
}
