//! P4: fence, drain, delete, lift; each upstream for itself.

use std::time::Duration;

use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState};
use forgetgate::erasure::View;

use crate::service::{Reply, Service, status};
use crate::world::{ALIAS, BEGIN, LEASE, Plan, World, pair, profile, upstream, with_profile};

/// Lets everything that can happen without anyone's doing happen.
async fn turns() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn p4_a_delete_is_sent_only_after_what_was_on_its_way_has_ended_and_nothing_new_gets_in_before_it_is_accepted() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let on_its_way = world.forward("ann", "one", LabelForm::RAW).await;
    let answer = one.will_wait();

    let id = world.erase("ann", "one").await;
    two.saw(1).await;
    world.until_target(id, "one", TargetState::Draining).await;
    assert_eq!(one.calls().len(), 0, "it has not drained there");
    assert!(world.is_kept_out("ann", "one"));
    assert!(!world.is_kept_out("bob", "one"), "other customers notice nothing");

    on_its_way.ended();
    one.saw(1).await;
    assert!(world.is_kept_out("ann", "one"), "the delete is not accepted yet");
    answer.send(status(200)).unwrap();

    let view = world.until_state(id, JobState::Settling).await;
    assert!(!world.is_kept_out("ann", "one") && !world.is_kept_out("ann", "two"));
    assert!(view.targets.iter().all(|target| target.evidence.as_ref().unwrap().drained));
    assert_eq!(view.targets[0].instant.unwrap().0, BEGIN);
    assert_eq!((one.calls().len(), two.calls().len()), (1, 1));
}

#[tokio::test]
async fn p4_a_fence_lifts_at_each_upstream_for_itself() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let answer = one.will_wait();
    let id = world.erase("ann", "one").await;

    world.until_target(id, "two", TargetState::Accepted).await;
    assert!(world.is_kept_out("ann", "one"));
    assert!(!world.is_kept_out("ann", "two"));
    assert_eq!(two.calls().len(), 1);

    answer.send(status(200)).unwrap();
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn p4_rows_are_marked_when_the_delete_is_accepted_and_traffic_afterwards_makes_new_facts() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    one.will_say(&[503]);

    let id = world.erase("ann", "one").await;
    world.until_target(id, "one", TargetState::Retrying).await;
    world.until_target(id, "two", TargetState::Accepted).await;
    assert_eq!(
        world.marked("ann").await,
        [(world.site("one").number.0, 0, false), (world.site("two").number.0, 0, true)]
    );

    world.pass(1);
    world.until_state(id, JobState::Settling).await;
    assert!(world.marked("ann").await.iter().all(|row| row.2));
    world.labelled("ann", "one", LabelForm::RAW).await;
    assert!(!world.marked("ann").await[0].2, "a customer who came back");
}

#[tokio::test]
async fn p4_a_row_is_not_marked_while_an_exchange_under_it_is_open() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let open = world.forward("ann", "one", LabelForm::RAW).await;

    let id = world.erase("ann", "one").await;
    world.until_target(id, "one", TargetState::Draining).await;
    crate::failing::turns().await;
    // Half of `barrier_timeout`: the drain is over, and the delete has the other half, by the real clock.
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(5001)).await;
    tokio::time::resume();
    let view = world.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;

    assert_eq!(one.calls().len(), 1, "the delete is sent all the same");
    assert_eq!(view.state, JobState::Running, "but it does not count");
    assert!(!view.targets[0].evidence.as_ref().unwrap().drained);
    assert_eq!(view.targets[0].instant, None);
    assert!(!world.marked("ann").await[0].2);
    assert!(!world.is_kept_out("ann", "one"), "and nobody is kept out for it");

    world.pass(5);
    open.ended();
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2, "what was seen to end is followed by the second delete at once");
    assert_eq!(view.targets[0].instant.unwrap().0, BEGIN + 5, "its instant has moved");
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Straggler), "and that is said");
    assert!(world.marked("ann").await[0].2);
}

#[tokio::test]
async fn p4_what_was_cut_may_still_arrive_so_the_delete_is_repeated_fenced_after_that() {
    let plan = Plan { straggle: Duration::from_millis(300), ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    drop(world.forward("ann", "one", LabelForm::RAW).await);

    let id = world.erase("ann", "one").await;
    let view = world.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;
    assert_eq!(one.calls().len(), 1);
    assert_eq!(view.targets[0].state, forgetgate::erasure::TargetWord::Of(TargetState::Sent));

    let answer = one.will_wait();
    let late = tokio::time::Instant::now() + Duration::from_millis(400);
    tokio::time::timeout_at(late, std::future::pending::<()>()).await.unwrap_err();
    world.pass(2);
    one.saw(2).await;
    assert!(world.is_kept_out("ann", "one"));
    answer.send(status(200)).unwrap();
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn p4_what_passes_ids_on_drains_first_and_opens_last() {
    let (world, one, two) = pair(Plan::default(), |upstream| {
        if &*upstream.name == "one" {
            upstream.passes_to = vec!["two".into()];
        }
    })
    .await;
    let on_its_way = world.forward("ann", "one", ALIAS).await;
    let answer = two.will_wait();

    let id = world.erase("ann", "one").await;
    world.until_target(id, "two", TargetState::Draining).await;
    assert_eq!((one.calls().len(), two.calls().len()), (0, 0), "the first may still pass something on");

    on_its_way.ended();
    two.saw(1).await;
    world.until(id, |view| view.targets.iter().all(|t| t.upstream != "one" || t.instant.is_some())).await;
    turns().await;
    assert!(world.is_kept_out("ann", "one"), "it could pass new data on to where the delete is under way");
    answer.send(status(200)).unwrap();

    two.saw(2).await;
    world.until_state(id, JobState::Settling).await;
    let mut calls = two.calls();
    calls.sort();
    let alias = world.alias("ann", "one");
    let expected =
        ["ann", &alias].map(|text| format!("DELETE /base/v1/user_data?customer_id={text}&version=2020-01-01"));
    assert_eq!(calls, expected, "what was passed on is the alias of the first");
}

#[tokio::test]
async fn p4_a_straggler_at_the_first_is_one_at_those_to_whom_it_passes_ids_on() {
    let (world, _one, two) = pair(Plan::default(), |upstream| {
        if &*upstream.name == "one" {
            upstream.passes_to = vec!["two".into()];
        }
    })
    .await;
    drop(world.forward("ann", "one", LabelForm::RAW).await);
    let id = world.erase("ann", "one").await;
    let view = world.until(id, |view| view.targets.len() == 2 && view.targets.iter().all(|t| t.attempts == 1)).await;
    two.saw(1).await;
    assert_ne!(view.state, JobState::Settling);
    let open = |view: &View| view.targets.iter().all(|target| target.next_attempt.is_some());
    world.until(id, open).await;
}

#[tokio::test]
async fn p4_an_attempt_that_fails_keeps_nobody_out() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    for code in [503, 429, 401, 404] {
        one.will_say(&[code]);
        let customer = format!("customer{code}");
        let id = world.erase(&customer, "one").await;
        world.until(id, |view| view.targets.iter().any(|target| target.last_error.is_some())).await;
        let lifted = async {
            while world.is_kept_out(&customer, "one") {
                tokio::task::yield_now().await;
            }
        };
        crate::service::soon(lifted).await;
    }
}

#[tokio::test]
async fn a_second_erasure_while_one_runs_attaches_to_it_and_deletes_what_came_in_between() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let answer = two.will_wait();
    let first = world.erase("ann", "one").await;
    world.until_target(first, "one", TargetState::Accepted).await;
    two.saw(1).await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    let second = world.erase("ann", "one").await;
    assert_ne!(first, second, "P10: the answer does not tell that somebody had asked before");
    assert_eq!(world.show(second).await.id, first);
    answer.send(status(200)).unwrap();

    one.saw(2).await;
    two.saw(2).await;
    world.until_state(first, JobState::Settling).await;
    assert!(world.marked("ann").await.iter().all(|row| row.2));
}

#[tokio::test]
async fn marked_rows_go_twice_the_lease_later_unless_the_customer_came_back() {
    let (world, _one, _two) = pair(Plan::default(), |_| {}).await;
    for customer in ["ann", "bob"] {
        world.labelled(customer, "one", LabelForm::RAW).await;
        let id = world.erase(customer, "one").await;
        world.until_state(id, JobState::Settling).await;
    }
    world.labelled("bob", "one", LabelForm::RAW).await;

    world.pass(2 * LEASE.as_secs());
    assert_eq!(world.eraser.sweep().await.unwrap(), 0);
    world.pass(1);
    assert_eq!(world.eraser.sweep().await.unwrap(), 1);
    assert_eq!((world.rows("ann").await.len(), world.rows("bob").await.len()), (0, 1));
}

#[tokio::test]
async fn p12_an_upstreams_rate_is_kept_and_who_waits_for_it_is_not_kept_out() {
    let service = Service::start().await;
    let slow = profile("slow", "rate = { deletes_per_minute = 2 }");
    let world = World::new(Plan::default(), vec![with_profile(slow, upstream("slow", &service.url))]).await;
    let mut erasures = Vec::new();
    for customer in ["ann", "bob", "cid"] {
        erasures.push(world.erase(customer, "slow").await);
    }
    world.until_state(erasures[0], JobState::Settling).await;
    world.until_state(erasures[1], JobState::Settling).await;
    let waits = |view: &View| view.targets.iter().any(|target| target.instant_after_answer == Some(Later::Rate));
    let view = world.until(erasures[2], waits).await;
    assert_eq!((service.calls().len(), view.targets[0].attempts), (2, 0));
    world.let_in("cid", "slow").await;

    world.pass(60);
    let view = world.until_state(erasures[2], JobState::Settling).await;
    assert_eq!(view.targets[0].instant.unwrap().0, BEGIN + 60);
}

#[tokio::test]
async fn a_service_that_closes_without_an_answer_is_tried_again() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    one.will([Reply::Close]);
    let id = world.erase("ann", "one").await;
    let view = world.until_target(id, "one", TargetState::Retrying).await;
    assert_eq!(view.targets[0].last_error.as_deref(), Some("the upstream could not be reached"));
    world.pass(1);
    // It may have taken the first one, and may still carry it out: after the second was accepted and all are let in.
    world.until(id, |view| view.targets.iter().any(|t| t.attempts == 2 && t.next_attempt.is_some())).await;
    world.pass(31);
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Unanswered));
    assert_eq!(one.calls().len(), 3);
}
