//! Requests, holds and damage that come while an erasure is being carried out (P4, P5).

use std::sync::Arc;
use std::time::Duration;

use forgetgate::config::{Authorize, Engine, Erasure, Upstream};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState, Verdict};
use forgetgate::erasure::{Decided, Submission, TargetWord, View};
use forgetgate::store::{JobWrite, Opened};

use crate::service::{Service, status};
use crate::world::{
    Plan, World, erasure, id, open_store, own_credentials, pair, profile, submission, upstream, with_profile,
};

fn decided(verdict: Verdict) -> Decided {
    Decided { verdict, by: "A. Person".into(), note: "court".into(), upstream: None }
}

#[tokio::test]
async fn p4_a_request_that_joins_after_the_fence_has_ended_covers_what_was_let_in_between() {
    let plan = Plan { erasure: Erasure { barrier_timeout: Duration::from_secs(1), ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let first = world.forward("ann", "one", LabelForm::RAW).await;
    one.will_say(&[503]);
    let asked = world.erase("ann", "one").await;
    world.until_target(asked, "one", TargetState::Retrying).await;
    world.let_in("ann", "one").await;
    let between = world.forward("ann", "one", LabelForm::RAW).await;
    world.pass(1);
    world.until_target(asked, "one", TargetState::Draining).await;

    world.erase("ann", "one").await;
    first.ended();

    one.saw(3).await;
    let view = world.until(asked, |view| view.targets[0].next_attempt.is_some()).await;
    assert_eq!(view.state, JobState::Running, "the second request covers what is still on its way");
    between.ended();
    world.until_state(asked, JobState::Settling).await;
    assert_eq!(one.calls().len(), 4);
}

#[tokio::test]
async fn p4_a_hold_that_is_set_while_a_delete_is_refused_lets_no_second_one_out_with_better_credentials() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let service = Service::start().await;
    let credentials = Some(own_credentials(folder.path()));
    let guarded = Upstream { credentials, ..upstream("one", &service.url) };
    let world = World::new(Plan { folder: Arc::clone(&folder), ..Plan::default() }, vec![guarded]).await;
    let answer = service.will_wait();
    let asked = world.erase("ann", "one").await;
    service.saw(1).await;

    world.eraser.hold(&id("ann"), decided(Verdict::Hold)).await.unwrap();
    std::fs::write(folder.path().join("password"), "another").unwrap();
    answer.send(status(401)).unwrap();

    world.until(asked, |view| view.targets[0].last_error.is_some()).await;
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn p5_an_erasure_that_cannot_be_read_holds_nobody_up_who_waits_behind_it() {
    let service = Service::start().await;
    let slow = profile("slow", "rate = { deletes_per_minute = 1 }");
    let world = World::new(Plan::default(), vec![with_profile(slow, upstream("slow", &service.url))]).await;
    let first = world.erase("ann", "slow").await;
    world.until_state(first, JobState::Settling).await;
    let damaged = world.erase("bob", "slow").await;
    world.until(damaged, |view| view.targets.iter().any(|t| t.instant_after_answer == Some(Later::Rate))).await;
    let last = world.erase("eve", "slow").await;
    world.until(last, |view| view.targets.iter().any(|t| t.instant_after_answer == Some(Later::Rate))).await;

    let mut job = world.store.jobs.job(damaged).await.unwrap().unwrap();
    job.body = b"damaged".to_vec();
    let write = JobWrite { job, erased: Vec::new(), at: world.now(), also: None };
    assert!(world.store.jobs.commit(write).await.unwrap());
    world.pass(61);

    world.until_state(last, JobState::Settling).await;
}

#[tokio::test]
async fn p4_what_was_held_when_it_was_asked_for_says_that_its_instant_lies_after_the_answer() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let hold = world.eraser.hold(&id("ann"), decided(Verdict::Hold)).await.unwrap();
    let asked = world.erase("ann", "one").await;
    world.until_state(asked, JobState::Held).await;
    world.pass(3600);
    world.labelled("ann", "one", LabelForm::RAW).await;

    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();

    let view = world.until_state(asked, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Decision));
}

#[tokio::test]
async fn p13_what_waited_for_approval_says_that_its_instant_lies_after_the_answer() {
    let plan = Plan { erasure: Erasure { erasures_per_minute: 0, ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let asked = world.erase("ann", "one").await;
    world.pass(3600);
    world.eraser.decide(asked, decided(Verdict::Approve)).await.unwrap();
    let view = world.until_state(asked, JobState::Settling).await;
    assert_eq!((one.calls().len(), view.targets[0].instant_after_answer), (1, Some(Later::Decision)));
}

#[tokio::test]
async fn p4_a_restart_keeps_the_customer_out_of_every_first_attempt_however_many_there_are() {
    let (service, folder) = (Service::start().await, Arc::new(tempfile::tempdir().unwrap()));
    let names: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    let upstreams = || names.iter().map(|name| upstream(name, &service.url)).collect::<Vec<_>>();
    let store = open_store(folder.path(), Engine::Memory);
    let same = || Opened {
        keys: Arc::clone(&store.keys),
        index: Arc::clone(&store.index),
        jobs: Arc::clone(&store.jobs),
        ending: store.ending.clone(),
        together: None,
    };
    let first = World::new(Plan { store: Some(same()), ..Plan::default() }, upstreams()).await;
    let mut open = Vec::new();
    for name in &names {
        open.push(first.forward("ann", name, LabelForm::RAW).await);
    }
    let asked = first.erase("ann", "u0").await;
    let draining = TargetWord::Of(TargetState::Draining);
    let all = |view: &View| view.targets.len() == 30 && view.targets.iter().all(|target| target.state == draining);
    first.until(asked, all).await;

    let again = World::idle(Plan { store: Some(same()), ..Plan::default() }, upstreams()).await;
    again.eraser.restore().await.unwrap();

    assert!(names.iter().all(|name| again.is_kept_out("ann", name)));
    assert_eq!(again.eraser.awaits().await.unwrap().len(), 30);
}

#[tokio::test]
async fn p12_what_stays_on_its_way_is_waited_for_once_however_often_the_delete_is_repeated() {
    let plan =
        Plan { erasure: Erasure { barrier_timeout: Duration::from_millis(100), ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let open = world.forward("ann", "one", LabelForm::RAW).await;
    let asked = world.erase("ann", "one").await;
    let mut alive = Vec::new();
    for attempts in 1..=8 {
        one.saw(attempts).await;
        world.until(asked, |view| view.targets[0].next_attempt.is_some()).await;
        alive.push(tokio::runtime::Handle::current().metrics().num_alive_tasks());
        world.pass(60);
    }
    assert!(alive[7] < alive[1] + 4, "{alive:?}");
    open.ended();
    world.until_state(asked, JobState::Settling).await;
}

#[tokio::test]
async fn p4_a_request_for_one_upstream_that_joins_reaches_what_that_one_passes_ids_on_to() {
    let (world, one, two) = pair(Plan::default(), |upstream| {
        if &*upstream.name == "one" {
            upstream.passes_to = vec!["two".into()];
        }
    })
    .await;
    let first = world.erase("ann", "one").await;
    world.until_state(first, JobState::Settling).await;
    let before = two.calls().len();
    world.labelled("ann", "one", LabelForm::RAW).await;

    let only = Submission { upstreams: Some(vec!["one".into()]), ..submission("ann") };
    let joined = world.submit(only).await.unwrap().id;
    world.until_state(joined, JobState::Settling).await;

    assert_eq!(one.calls().len(), 2);
    assert!(two.calls().len() > before, "what was passed on since is there");
}

/// Where its erasure will have to go is not known before it is durable and planned.
#[tokio::test]
async fn p5_no_upstream_may_move_while_the_home_is_asked_whether_to_accept_an_erasure() {
    let plan = Plan { erasure: Erasure { authorize: Authorize::Home, ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let answer = one.will_wait();
    let (eraser, site, call) = (world.eraser.clone(), Arc::clone(world.site("one")), world.call("ann", "one"));
    let asking = tokio::spawn(async move { eraser.delete(site, call).await });
    one.saw(1).await;

    assert!(world.eraser.awaits().await.unwrap().contains(&world.site("two").number));

    answer.send(status(401)).unwrap();
    asking.await.unwrap().unwrap();
    assert!(world.eraser.awaits().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn p4_a_probe_marks_nothing_behind_the_fence_of_another_request_than_its_own() {
    let (one, two) = (Service::start().await, Service::start().await);
    let plan = Plan { erasure: Erasure { authorize: Authorize::Home, ..erasure() }, ..Plan::default() };
    let mut world = World::idle(plan, vec![upstream("one", &one.url), upstream("two", &two.url)]).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.erase("ann", "one").await;
    tokio::time::advance(Duration::from_secs(11)).await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    let asked = world.erase("ann", "two").await;

    world.work();
    world.until_state(asked, JobState::Settling).await;
    let left = !world.marked("ann").await[0].2;
    assert!(left || one.calls().len() == 2, "what came after the probe is known, or was deleted after it");
}
