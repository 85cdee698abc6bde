//! A caller's own delete that its home did not answer may be carried out later: no erasure that was accepted since is called
//! accepted there before that time is over (P4).

use std::sync::Arc;

use forgetgate::config::{Authorize, Engine, Erasure};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState};
use forgetgate::erasure::{Submission, View};

use crate::service::{Reply, status};
use crate::world::{Plan, World, erasure, open_store, pair, shared, submission, upstream};

fn home() -> Erasure {
    Erasure { authorize: Authorize::Home, ..erasure() }
}

fn at_one(customer: &str) -> Submission {
    Submission { upstreams: Some(vec!["one".into()]), ..submission(customer) }
}

fn is_to_be_repeated(view: &View) -> bool {
    view.state == JobState::Settling || view.targets.first().is_some_and(|target| target.next_attempt.is_some())
}

#[tokio::test]
async fn p4_a_callers_own_delete_without_an_answer_is_reckoned_with_by_the_erasure_that_is_accepted_next() {
    let (world, one, _two) = pair(Plan { erasure: home(), ..Plan::default() }, |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    one.will([Reply::Close]);
    world.delete("ann", "one").await.unwrap_err();
    assert!(world.eraser.is_straggling());

    let id = world.submit(submission("ann")).await.unwrap().id;

    let view = world.until(id, is_to_be_repeated).await;
    assert_eq!(view.state, JobState::Running, "the caller's own may still be carried out");
    let error = "an earlier delete was not answered and may still be carried out; the delete is sent again after that";
    assert_eq!(view.targets[0].last_error.as_deref(), Some(error));
    let other = world.submit(at_one("bob")).await.unwrap().id;
    assert_eq!(world.until(other, is_to_be_repeated).await.state, JobState::Settling, "nobody else's is repeated");
    world.pass(31);
    assert!(!world.eraser.is_straggling());
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Unanswered));
    assert_eq!(one.calls().len(), 4);
}

/// Also where the next one is accepted by its home, so that its own question counts as the delete.
#[tokio::test]
async fn p4_a_callers_own_delete_that_is_accepted_does_not_count_while_an_earlier_one_may_still_be_carried_out() {
    let (world, one, _two) = pair(Plan { erasure: home(), ..Plan::default() }, |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    one.will([Reply::Close]);
    world.delete("ann", "one").await.unwrap_err();

    let id = world.erase("ann", "one").await;

    let view = world.until(id, is_to_be_repeated).await;
    assert_eq!((view.state, one.calls().len()), (JobState::Running, 2));
    world.pass(31);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 3);
}

#[tokio::test]
async fn p4_an_attempt_waits_for_a_callers_own_delete_that_is_under_way_and_is_not_repeated_where_it_was_answered() {
    let (world, one, _two) = pair(Plan { erasure: home(), ..Plan::default() }, |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let answer = one.will_wait();
    let (eraser, site, call) = (world.eraser.clone(), Arc::clone(world.site("one")), world.call("ann", "one"));
    let asking = tokio::spawn(async move { eraser.delete(site, call).await });
    one.saw(1).await;
    let id = world.submit(submission("ann")).await.unwrap().id;
    world.until_target(id, "one", TargetState::Draining).await;
    let other = world.submit(at_one("bob")).await.unwrap().id;
    world.until_state(other, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2, "hers is not sent before the caller's own has ended");

    answer.send(status(403)).unwrap();

    assert_eq!(asking.await.unwrap().unwrap().status(), 403);
    let view = world.until(id, is_to_be_repeated).await;
    assert_eq!((view.state, view.targets[0].instant_after_answer), (JobState::Settling, None));
    assert_eq!(one.calls().len(), 3);
}

/// Nobody knows what the run before had asked of homes, also of customers of whom there is no row.
#[tokio::test]
async fn p4_after_a_crash_a_callers_own_delete_of_before_may_still_be_carried_out_where_no_row_is() {
    let (one, two) = (crate::service::Service::start().await, crate::service::Service::start().await);
    let upstreams = || vec![upstream("one", &one.url), upstream("two", &two.url)];
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let plan = Plan { store: Some(shared(&store)), erasure: home(), cut_before: true, ..Plan::default() };
    let world = World::new(plan, upstreams()).await;

    let id = world.submit(at_one("ann")).await.unwrap().id;

    assert_eq!(world.until(id, is_to_be_repeated).await.state, JobState::Running);
    world.pass(31);
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2);
}
