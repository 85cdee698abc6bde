//! P5: an erasure survives a crash at any moment, and what was fenced is fenced again before anyone gets in.

use std::sync::Arc;

use forgetgate::config::{Engine, Erasure, Upstream};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState};
use forgetgate::erasure::View;
use forgetgate::store::JobWrite;

use crate::service::{Service, soon, status};
use crate::world::{BEGIN, Plan, World, erasure, open_store, opened_body, shared, submission, upstream};

fn upstreams(one: &Service, two: &Service) -> Vec<Upstream> {
    vec![upstream("one", &one.url), upstream("two", &two.url)]
}

async fn services() -> (Service, Service) {
    (Service::start().await, Service::start().await)
}

#[tokio::test]
async fn p5_what_was_accepted_before_a_crash_is_fenced_before_the_listeners_open_and_then_done() {
    let (one, two) = services().await;
    let plan = Plan::default();
    let store = open_store(plan.folder.path(), Engine::Sled);
    let first = World::idle(Plan { store: Some(shared(&store)), ..plan }, upstreams(&one, &two)).await;
    first.labelled("ann", "two", LabelForm::RAW).await;
    let id = first.submit(submission("ann")).await.unwrap().id;
    let folder = Arc::clone(&first.folder);
    drop((first, store));

    let reopened = open_store(folder.path(), Engine::Sled);
    let mut second =
        World::idle(Plan { store: Some(reopened), folder, ..Plan::default() }, upstreams(&one, &two)).await;
    assert!(!second.is_kept_out("ann", "two"));
    second.eraser.restore().await.unwrap();
    assert!(second.is_kept_out("ann", "two") && second.is_kept_out("ann", "one"));
    second.work();

    second.until_state(id, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (0, 1));
    assert!(second.marked("ann").await[0].2);
}

#[tokio::test]
async fn p5_a_delete_that_was_under_way_at_a_crash_is_sent_again_fenced_there_and_nowhere_else() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let first = World::new(Plan { store: Some(shared(&store)), ..Plan::default() }, upstreams(&one, &two)).await;
    first.labelled("ann", "two", LabelForm::RAW).await;
    let _never = one.will_wait();
    let id = first.erase("ann", "one").await;
    one.saw(1).await;
    first.until_target(id, "two", TargetState::Accepted).await;
    drop(first);

    let mut second = World::idle(Plan { store: Some(store), ..Plan::default() }, upstreams(&one, &two)).await;
    second.eraser.restore().await.unwrap();
    assert!(second.is_kept_out("ann", "one"));
    assert!(!second.is_kept_out("ann", "two"), "that attempt had ended");
    let answer = one.will_wait();
    second.work();
    one.saw(2).await;
    answer.send(status(200)).unwrap();
    let repeated = |view: &View| view.targets.iter().any(|target| target.next_attempt.is_some());
    let view = second.until(id, repeated).await;
    let error = "an earlier delete was not answered and may still be carried out; the delete is sent again after that";
    assert_eq!(view.targets[0].last_error.as_deref(), Some(error));
    second.pass(31);
    let view = second.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Unanswered));
    assert_eq!((one.calls().len(), two.calls().len()), (3, 1));
}

#[tokio::test]
async fn p4_what_a_crash_cut_off_may_still_arrive_so_the_delete_is_repeated_after_that() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let first = World::idle(Plan { store: Some(shared(&store)), ..Plan::default() }, upstreams(&one, &two)).await;
    let lost = first.forward("ann", "one", LabelForm::RAW).await;
    let now = first.now().0;
    drop((first, lost));

    let plan = Plan { store: Some(store), cut_before: true, now: now + 1, ..Plan::default() };
    let second = World::new(plan, upstreams(&one, &two)).await;
    let id = second.erase("ann", "one").await;
    let view = second.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;
    assert_eq!(view.state, JobState::Running);
    assert_eq!(view.targets[0].next_attempt.unwrap().0, now + 1 + 31, "response_timeout after the start");
    second.pass(31);
    second.until_state(id, JobState::Settling).await;
    second.labelled("bob", "one", LabelForm::RAW).await;
    let new = second.erase("bob", "one").await;
    second.until_state(new, JobState::Settling).await;
    assert_eq!(one.calls().len(), 3, "after that nothing can arrive any more");
}

#[tokio::test]
async fn p10_a_callers_credentials_do_not_survive_a_restart() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let mut erasure = erasure();
    erasure.authorize = forgetgate::config::Authorize::Home;
    let plan = Plan { store: Some(shared(&store)), erasure: erasure.clone(), ..Plan::default() };
    let first = World::new(plan, upstreams(&one, &two)).await;
    let on_its_way = first.forward("ann", "one", LabelForm::RAW).await;
    one.will_say(&[200, 503]);
    let id = first.erase("ann", "one").await;
    on_its_way.ended();
    first.until_target(id, "one", TargetState::Retrying).await;
    let body = store.jobs.job(id).await.unwrap().unwrap().body;
    assert!(!String::from_utf8_lossy(&body).contains("Y2FsbGVy"));
    let later = first.now().0 + 900;
    drop(first);

    one.will_say(&[401]);
    let second =
        World::new(Plan { store: Some(store), erasure, now: later, ..Plan::default() }, upstreams(&one, &two)).await;
    second.pass(1);
    second.until_target(id, "one", TargetState::Blocked).await;
    assert_eq!(one.seen().last().unwrap().authorization(), None);
}

#[tokio::test]
async fn an_erasure_that_cannot_be_read_keeps_nobody_out_for_ever_and_holds_up_no_other() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let first = World::idle(Plan { store: Some(shared(&store)), ..Plan::default() }, upstreams(&one, &two)).await;
    let id = first.submit(submission("ann")).await.unwrap().id;
    drop(first);
    let mut job = store.jobs.job(id).await.unwrap().unwrap();
    let plain = opened_body(&store.keys, &job);
    let damaged = plain.replace("\"sealed\":\"", "\"sealed\":\"AAAA");
    assert_ne!(damaged, plain);
    job.body = store.keys.seal_job(id, damaged.as_bytes()).unwrap();
    let at = job.received;
    store.jobs.commit(JobWrite { job, erased: Vec::new(), at, also: None }).await.unwrap();

    let second = World::new(Plan { store: Some(store), ..Plan::default() }, upstreams(&one, &two)).await;
    second.let_in("ann", "one").await;
    let other = second.erase("bob", "one").await;
    second.until_state(other, JobState::Settling).await;
}

/// More than are read at once.
const MANY: usize = 450;

#[tokio::test]
async fn p5_however_many_are_settling_each_is_found_after_a_restart_and_counted() {
    let plan = || Plan { erasure: Erasure { erasures_per_minute: 1000, ..erasure() }, ..Plan::default() };
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let world = World::new(Plan { store: Some(shared(&store)), ..plan() }, upstreams(&one, &two)).await;
    let mut ids = Vec::new();
    for number in 0..MANY {
        ids.push(world.erase(&format!("customer{number}"), "one").await);
    }
    for id in &ids {
        world.until_state(*id, JobState::Settling).await;
    }
    drop(world);

    let again = Plan { store: Some(store), now: BEGIN + 10, ..plan() };
    let world = World::new(again, upstreams(&one, &two)).await;
    let counted = format!("forgetgate_erasures_unfinished {MANY}");
    let looked = async {
        while !world.registry.render(&[]).lines().any(|line| line == counted) {
            tokio::task::yield_now().await;
        }
    };
    soon(looked).await;
    world.pass(3600);
    for id in ids {
        world.until_state(id, JobState::Done).await;
    }
    assert_eq!(one.calls().len(), MANY);
}

#[tokio::test(start_paused = true)]
async fn p4_a_probe_of_an_earlier_run_marks_nothing_since_its_fence_may_have_ended_there() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let home = || Erasure { authorize: forgetgate::config::Authorize::Home, ..erasure() };
    let plan = Plan { store: Some(shared(&store)), erasure: home(), ..Plan::default() };
    let first = World::idle(plan, upstreams(&one, &two)).await;
    first.labelled("ann", "one", LabelForm::RAW).await;
    let id = first.erase("ann", "one").await;
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    first.labelled("ann", "one", LabelForm::RAW).await;
    drop(first);

    let second =
        World::new(Plan { store: Some(store), erasure: home(), ..Plan::default() }, upstreams(&one, &two)).await;

    second.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1, "the probe is the delete");
    assert_eq!(second.marked("ann").await, [(1, 0, false)], "what came after it is there");
}

/// Its fence had ended before the crash, and nothing had said so: the customer has come back since.
#[tokio::test(start_paused = true)]
async fn p13_an_erasure_whose_fence_had_ended_before_a_crash_says_that_its_instant_lies_after_the_answer() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let first = World::idle(Plan { store: Some(shared(&store)), ..Plan::default() }, upstreams(&one, &two)).await;
    first.labelled("ann", "one", LabelForm::RAW).await;
    let id = first.submit(submission("ann")).await.unwrap().id;
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    first.pass(11);
    first.labelled("ann", "one", LabelForm::RAW).await;
    drop(first);

    let plan = Plan { store: Some(store), now: BEGIN + 12, ..Plan::default() };
    let second = World::new(plan, upstreams(&one, &two)).await;

    let view = second.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::FenceEnded), "what came since the answer was erased");
}

/// The same, and somebody has set the wall clock back in between.
#[tokio::test(start_paused = true)]
async fn p13_whether_a_customer_came_back_before_a_crash_does_not_depend_on_the_wall_clock() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let first = World::idle(Plan { store: Some(shared(&store)), ..Plan::default() }, upstreams(&one, &two)).await;
    first.labelled("ann", "one", LabelForm::RAW).await;
    first.labelled("bob", "one", LabelForm::RAW).await;
    let id = first.submit(submission("ann")).await.unwrap().id;
    let other = first.submit(submission("bob")).await.unwrap().id;
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    first.pass(11);
    first.set_wall_clock(BEGIN - 3600);
    first.labelled("ann", "one", LabelForm::RAW).await;
    drop(first);

    let plan = Plan { store: Some(store), now: BEGIN - 3599, ..Plan::default() };
    let second = World::new(plan, upstreams(&one, &two)).await;

    let view = second.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::FenceEnded), "what came since the answer was erased");
    let view = second.until_state(other, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, None, "this customer was not there");
    assert_eq!(one.calls().len(), 2);
}

/// A caller's own delete is accepted there while the erasure's is under way, and then the gate ends.
#[tokio::test]
async fn p4_a_delete_that_was_under_way_at_a_stop_is_reckoned_with_although_a_callers_own_was_accepted_meanwhile() {
    let (one, two) = services().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let home = || Erasure { authorize: forgetgate::config::Authorize::Home, ..erasure() };
    let plan = Plan { store: Some(shared(&store)), erasure: home(), ..Plan::default() };
    let first = World::new(plan, upstreams(&one, &two)).await;
    first.labelled("ann", "one", LabelForm::RAW).await;
    let _never = one.will_wait();
    let id = first.submit(submission("ann")).await.unwrap().id;
    one.saw(1).await;
    first.erase("ann", "one").await;
    assert_eq!(one.calls().len(), 2, "the caller's own was accepted");
    first.until(id, |view| view.state != JobState::Accepted).await;
    drop(first);

    let second =
        World::new(Plan { store: Some(store), erasure: home(), ..Plan::default() }, upstreams(&one, &two)).await;

    one.saw(3).await;
    let told = |view: &View| view.state == JobState::Settling || view.targets[0].next_attempt.is_some();
    assert_eq!(second.until(id, told).await.state, JobState::Running, "the first may still be carried out");
    second.pass(31);
    second.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 4);
}
