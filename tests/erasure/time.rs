//! No decision that belongs to a clock that only runs is taken by the wall clock, however wrong that is (P4, P5).

use forgetgate::config::Engine;
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, TargetState};

use crate::service::{Service, status};
use crate::world::{BEGIN, Plan, World, open_store, pair, shared, upstream};

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;

fn wrong_clocks() -> [u64; 4] {
    [BEGIN - HOUR, BEGIN + HOUR, BEGIN - YEAR, BEGIN + YEAR]
}

#[tokio::test]
async fn p4_what_a_crash_cut_off_is_reckoned_with_whatever_the_wall_clock_says_at_the_start_and_later() {
    for wrong in wrong_clocks() {
        for then in [None, Some(BEGIN + YEAR), Some(BEGIN - YEAR)] {
            let one = Service::start().await;
            let store = open_store(Plan::default().folder.path(), Engine::Memory);
            let same = || shared(&store);
            let first =
                World::idle(Plan { store: Some(same()), ..Plan::default() }, vec![upstream("one", &one.url)]).await;
            let lost = first.forward("ann", "one", LabelForm::RAW).await;
            drop((first, lost));

            let plan = Plan { store: Some(same()), cut_before: true, now: wrong, ..Plan::default() };
            let second = World::new(plan, vec![upstream("one", &one.url)]).await;
            if let Some(then) = then {
                second.set_wall_clock(then);
            }
            let id = second.erase("ann", "one").await;
            second.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;
            second.pass(30);
            assert_ne!(second.show(id).await.state, JobState::Settling, "{wrong} {then:?}: it may still arrive");
            second.pass(1);
            second.until_state(id, JobState::Settling).await;
            assert_eq!(one.calls().len(), 2, "{wrong} {then:?}");
        }
    }
}

#[tokio::test]
async fn p5_a_retry_is_put_off_by_no_clock_that_was_wrong_when_it_was_noted_or_is_wrong_now() {
    for wrong in wrong_clocks() {
        let (world, one, _two) = pair(Plan::default(), |_| {}).await;
        one.will_say(&[503]);
        world.set_wall_clock(wrong);
        let id = world.erase("ann", "one").await;
        world.until_target(id, "one", TargetState::Retrying).await;
        world.set_wall_clock(BEGIN);
        world.pass(1);
        world.until_state(id, JobState::Settling).await;
    }
}

#[tokio::test]
async fn p5_waits_are_as_long_after_a_restart_under_another_clock_as_they_were_before() {
    for wrong in wrong_clocks() {
        let one = Service::start().await;
        let store = open_store(Plan::default().folder.path(), Engine::Memory);
        let same = || shared(&store);
        let first = World::new(Plan { store: Some(same()), ..Plan::default() }, vec![upstream("one", &one.url)]).await;
        let settling = first.erase("ann", "one").await;
        first.until_state(settling, JobState::Settling).await;
        one.will_say(&[503]);
        let retrying = first.erase("bob", "one").await;
        first.until_target(retrying, "one", TargetState::Retrying).await;
        drop(first);

        let plan = Plan { store: Some(same()), now: wrong, ..Plan::default() };
        let second = World::new(plan, vec![upstream("one", &one.url)]).await;
        second.pass(1);
        second.until_state(retrying, JobState::Settling).await;
        second.pass(HOUR - 2);
        assert_eq!(second.show(settling).await.state, JobState::Settling, "{wrong}: it is not over yet");
        second.pass(1);
        second.until_state(settling, JobState::Done).await;
    }
}

#[tokio::test]
async fn p4_a_straggler_is_waited_for_by_the_clock_that_only_runs() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    drop(world.forward("ann", "one", LabelForm::RAW).await);
    let id = world.erase("ann", "one").await;
    world.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;
    let answer = one.will_wait();
    for wrong in wrong_clocks() {
        world.set_wall_clock(wrong);
        assert_eq!(world.show(id).await.state, JobState::Running);
    }
    assert_eq!(one.calls().len(), 1);
    drop(answer.send(status(200)));
}

/// Retention is counted in time that the gate has run.
#[tokio::test]
async fn p13_no_clock_that_is_years_ahead_at_a_start_removes_finished_erasures_and_their_evidence() {
    let one = Service::start().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let life = async |now: u64| {
        let plan = Plan { store: Some(shared(&store)), now, ..Plan::default() };
        World::new(plan, vec![upstream("one", &one.url)]).await
    };
    let first = life(BEGIN).await;
    let id = first.erase("ann", "one").await;
    first.until_state(id, JobState::Settling).await;
    first.pass(HOUR);
    first.until_state(id, JobState::Done).await;
    assert_eq!(first.eraser.forget_finished().await.unwrap(), 0);
    drop(first);
    for wrong in [BEGIN + 5 * YEAR, BEGIN - YEAR, BEGIN + 9 * YEAR] {
        let ahead = life(wrong).await;
        assert_eq!(ahead.eraser.forget_finished().await.unwrap(), 0, "{wrong}");
        ahead.pass(300 * DAY);
        assert_eq!(ahead.eraser.forget_finished().await.unwrap(), 0, "{wrong}");
        ahead.show(id).await;
    }
    // Two of these runs counted: 600 days. The other's clock was before all that.
    let last = life(BEGIN + 600 * DAY).await;
    last.pass(398 * DAY);
    assert_eq!(last.eraser.forget_finished().await.unwrap(), 0);
    last.pass(3 * DAY);
    let gone = last.eraser.forget_finished().await.unwrap();
    assert!(gone <= 1);
    assert!(last.eraser.show(id).await.is_err());
}
