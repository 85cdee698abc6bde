//! What people do with erasures through the admin API.

use std::sync::Arc;

use forgetgate::config::Engine;
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, TargetState, Undecidable, Verdict};
use forgetgate::erasure::{Decided, Problem, Submission, Submitted, TargetWord};
use serde_json::json;
use uuid::Uuid;

use crate::service::{Service, status};
use crate::world::{BEGIN, Plan, World, id, pair, submission, upstream};

fn decided(verdict: Verdict) -> Decided {
    Decided { verdict, by: "A. Person".into(), note: "as agreed".into(), upstream: None }
}

fn at(verdict: Verdict, upstream: &str) -> Decided {
    Decided { upstream: Some(upstream.into()), ..decided(verdict) }
}

/// A world in which nothing is carried out until it works.
async fn idle() -> (World, Service, Service) {
    let (one, two) = (Service::start().await, Service::start().await);
    let upstreams = vec![upstream("one", &one.url), upstream("two", &two.url)];
    (World::idle(Plan::default(), upstreams).await, one, two)
}

#[tokio::test]
async fn a_submitted_erasure_goes_where_the_data_is_and_looks_as_the_contract_says() {
    let (mut world, one, two) = idle().await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let view = world.submit(submission("ann")).await.unwrap();
    assert_eq!(view.state, JobState::Accepted);
    assert!(
        world.is_kept_out("ann", "one") && world.is_kept_out("ann", "two"),
        "everywhere, until the targets are known"
    );
    world.work();
    let view = world.until_state(view.id, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (0, 1));

    let shown = serde_json::to_value(&view).unwrap();
    assert_eq!(shown["received"], "2023-11-14T22:13:20Z");
    assert_eq!(shown["due"], "2023-12-14T22:13:20Z");
    assert_eq!(shown["state"], "settling");
    let target = &shown["targets"][0];
    let expected = json!({"upstream": "two", "form": "raw", "state": "accepted", "attempts": 1, "last_error": null, "instant": "2023-11-14T22:13:20Z"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&target[name], value, "{name}");
    }
    assert!(!shown.to_string().contains("ann"), "P7");
}

#[tokio::test]
async fn an_erasure_without_any_target_is_done_and_says_that_there_was_none() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    let view = world.submit(submission("nobody")).await.unwrap();
    let view = world.until_state(view.id, JobState::Done).await;
    assert_eq!((view.targets.len(), one.calls().len(), two.calls().len()), (0, 0, 0));
}

#[tokio::test]
async fn an_id_is_an_idempotency_key() {
    let (mut world, one, _two) = idle().await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let key = Uuid::from_u128(7);
    let first = world.submit(Submission { id: Some(key), ..submission("ann") }).await.unwrap();
    assert_eq!(first.id, key);
    world.work();
    world.until_state(key, JobState::Settling).await;
    let again = world.submit(Submission { id: Some(key), ..submission("ann") }).await.unwrap();
    assert_eq!((again.id, again.state), (key, JobState::Settling), "a repeated request changes nothing");
    assert_eq!(one.calls().len(), 1);

    let other = world.submit(Submission { id: Some(key), ..submission("bob") }).await;
    assert!(matches!(other, Err(Problem::OtherCustomer)));
    assert!(!world.is_kept_out("bob", "one"));
}

#[tokio::test]
async fn a_second_id_for_the_same_customer_attaches_and_can_be_asked_for() {
    let (world, _one, _two) = idle().await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    world.submit(Submission { id: Some(first), ..submission("ann") }).await.unwrap();
    let attached = world.submit(Submission { id: Some(second), ..submission("ann") }).await.unwrap();
    assert_eq!(attached.id, first);
    assert_eq!(world.show(second).await.id, first);
    assert_eq!(world.eraser.list(None, None, 10).await.unwrap().erasures.len(), 1);
    let other = world.submit(Submission { id: Some(second), ..submission("bob") }).await;
    assert!(matches!(other, Err(Problem::OtherCustomer)));
    assert!(matches!(world.eraser.show(Uuid::from_u128(3)).await, Err(Problem::NotFound)));
}

#[tokio::test]
async fn chosen_upstreams_are_asked_and_no_others() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let only = Submission { upstreams: Some(vec!["two".into()]), ..submission("ann") };
    let view = world.submit(only).await.unwrap();
    world.until_state(view.id, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (0, 1));
    let wrong = Submission { upstreams: Some(vec!["three".into()]), ..submission("ann") };
    assert!(matches!(world.submit(wrong).await, Err(Problem::UnknownUpstream)));
}

#[tokio::test]
async fn a_dry_run_lists_targets_and_does_nothing() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let dry = world.eraser.submit(Submission { dry_run: true, ..submission("ann") }).await.unwrap();
    let Submitted::DryRun(run) = dry else { panic!("not a dry run") };
    assert_eq!(run.targets.iter().map(|target| &*target.upstream).collect::<Vec<_>>(), ["one"]);
    assert!(run.cannot_be_erased.is_empty());
    assert!(world.eraser.list(None, None, 10).await.unwrap().erasures.is_empty());
    assert!(!world.is_kept_out("ann", "one"));
    assert_eq!(one.calls().len(), 0);
}

#[tokio::test]
async fn p7_what_people_write_about_an_erasure_is_shown_and_not_stored_in_the_clear() {
    let (one, two) = (Service::start().await, Service::start().await);
    let plan = Plan { engine: Engine::Sled, ..Plan::default() };
    let world = World::idle(plan, vec![upstream("one", &one.url), upstream("two", &two.url)]).await;
    let reason = Some("reason: Jane Canary asked".to_owned());
    let view = world.submit(Submission { reason: reason.clone(), ..submission("ann") }).await.unwrap();
    let held = Decided { by: "by Canary".into(), note: "note: Jane Canary sues".into(), ..decided(Verdict::Hold) };
    world.eraser.decide(view.id, held).await.unwrap();
    world.eraser.decide(view.id, decided(Verdict::Cancel)).await.unwrap();
    let view = world.show(view.id).await;
    assert_eq!((view.reason, &*view.decisions[0].note), (reason, "note: Jane Canary sues"));

    let folder = Arc::clone(&world.folder);
    drop(world);
    let mut bytes = 0;
    for file in std::fs::read_dir(folder.path().join("store")).unwrap().map(|entry| entry.unwrap().path()) {
        let read = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
        bytes += read.len();
        for needle in ["Canary", "reason", "note:"] {
            assert!(memchr::memmem::find(&read, needle.as_bytes()).is_none(), "{needle} in {}", file.display());
        }
    }
    assert!(bytes > 0, "there is no store");
}

#[tokio::test]
async fn only_an_erasure_of_which_nothing_was_sent_can_be_cancelled() {
    let (mut world, one, _two) = idle().await;
    let early = world.submit(submission("ann")).await.unwrap().id;
    assert!(world.is_kept_out("ann", "one"));
    let view = world.eraser.decide(early, decided(Verdict::Cancel)).await.unwrap();
    assert_eq!(view.state, JobState::Cancelled);
    assert!(!world.is_kept_out("ann", "one"), "the customer is let in again");
    world.work();

    let late = world.erase("bob", "one").await;
    one.saw(1).await;
    let refused = world.eraser.decide(late, decided(Verdict::Cancel)).await;
    assert!(matches!(refused, Err(Problem::Undecidable(Undecidable::AlreadySent))));
    assert_eq!(one.calls().len(), 1);
}

#[tokio::test]
async fn what_is_held_lets_the_customer_in_and_sends_nothing_until_the_hold_is_over() {
    let (mut world, one, _two) = idle().await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let id = world.submit(submission("ann")).await.unwrap().id;
    let view = world.eraser.decide(id, decided(Verdict::Hold)).await.unwrap();
    assert_eq!(view.state, JobState::Held);
    assert!(!world.is_kept_out("ann", "one"));
    world.work();
    world.submit(submission("ann")).await.unwrap();
    let other = world.erase("bob", "one").await;
    world.until_state(other, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
    assert_eq!(world.show(id).await.state, JobState::Held);

    world.eraser.decide(id, decided(Verdict::Unhold)).await.unwrap();
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2);
}

#[tokio::test]
async fn a_hold_on_one_target_leaves_the_others() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    two.will_say(&[503]);
    let id = world.erase("ann", "one").await;
    world.until_target(id, "two", TargetState::Retrying).await;
    world.until_target(id, "one", TargetState::Accepted).await;
    let view = world.eraser.decide(id, at(Verdict::Hold, "two")).await.unwrap();
    assert_eq!(view.state, JobState::Held);
    assert!(view.targets.iter().any(|target| target.state == TargetWord::Held));
    world.pass(900);
    let wrong = world.eraser.decide(id, at(Verdict::Hold, "three")).await;
    assert!(matches!(wrong, Err(Problem::UnknownUpstream)));
    assert_eq!((one.calls().len(), two.calls().len()), (1, 1));
    world.eraser.decide(id, at(Verdict::Unhold, "two")).await.unwrap();
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn a_hold_reaches_an_attempt_that_is_draining() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let on_its_way = world.forward("ann", "one", LabelForm::RAW).await;
    let id = world.erase("ann", "one").await;
    world.until_target(id, "one", TargetState::Draining).await;
    world.eraser.decide(id, decided(Verdict::Hold)).await.unwrap();
    on_its_way.ended();
    let lifted = async {
        while world.is_kept_out("ann", "one") {
            tokio::task::yield_now().await;
        }
    };
    crate::service::soon(lifted).await;
    assert_eq!(one.calls().len(), 0);
}

#[tokio::test]
async fn a_person_can_have_it_tried_now() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    one.will_say(&[404]);
    let id = world.erase("ann", "one").await;
    world.until_target(id, "one", TargetState::Refused).await;
    let answer = one.will_wait();
    world.eraser.decide(id, decided(Verdict::Retry)).await.unwrap();
    one.saw(2).await;
    answer.send(status(200)).unwrap();
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.decisions.len(), 1);
}

#[tokio::test]
async fn lists_are_by_state_and_by_page() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    one.will_say(&[404]);
    let refused = world.erase("customer0", "one").await;
    world.until_state(refused, JobState::ActionRequired).await;
    for n in 1..5 {
        let id = world.erase(&format!("customer{n}"), "one").await;
        world.until_state(id, JobState::Settling).await;
    }
    let settling = world.eraser.list(Some(JobState::Settling), None, 100).await.unwrap();
    assert_eq!((settling.erasures.len(), settling.next), (4, None));
    let first = world.eraser.list(None, None, 2).await.unwrap();
    let second = world.eraser.list(None, first.next, 2).await.unwrap();
    let third = world.eraser.list(None, second.next, 2).await.unwrap();
    let ids = [first.erasures, second.erasures, third.erasures].concat();
    assert_eq!(ids.len(), 5);
    assert!(ids.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(third.next, None);
}

#[tokio::test]
async fn recipients_are_those_that_hold_the_customers_data_now() {
    let (world, _one, _two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.pass(5);
    world.labelled("ann", "two", LabelForm::RAW).await;
    let shown = serde_json::to_value(world.eraser.recipients(&id("ann")).await.unwrap()).unwrap();
    let of = |upstream: &str, time: &str| {
        json!({
            "upstream": upstream, "resources": ["rooms/1"], "labels": ["the ID itself"], "since": time, "last_seen": time,
            "places": [{ "resource": "rooms/1", "label": "the ID itself", "since": time, "last_seen": time }],
        })
    };
    let both = [of("one", "2023-11-14T22:13:20Z"), of("two", "2023-11-14T22:13:25Z")];
    assert_eq!(shown, json!({ "recipients": both }));
    assert_eq!(world.now().0, BEGIN + 5);
    let erased = world.erase("ann", "one").await;
    world.until_state(erased, JobState::Settling).await;
    let none = world.eraser.recipients(&id("ann")).await.unwrap();
    assert!(none.recipients.is_empty(), "marked rows are not shown");

    world.pass(5);
    world.labelled("ann", "one", LabelForm::RAW).await;
    let back = serde_json::to_value(world.eraser.recipients(&id("ann")).await.unwrap()).unwrap();
    let since_then = json!([of("one", "2023-11-14T22:13:30Z")]);
    assert_eq!(back["recipients"], since_then, "a customer who came back has been there since then");
}

#[tokio::test]
async fn erasures_are_counted_and_late_ones_said() {
    let (mut world, one, _two) = idle().await;
    one.will_say(&[404]);
    let id = world.erase("ann", "one").await;
    world.pass(31 * 86_400);
    world.work();
    world.until_state(id, JobState::ActionRequired).await;
    let view = world.show(id).await;
    assert!(view.late);
    let page = world.registry.render(&[]);
    let lines = [
        "forgetgate_erasures_accepted_total 1",
        "forgetgate_erasures_late 1",
        "forgetgate_erasures_unfinished 1",
        "forgetgate_erasure_attempts_total{code=\"refused\"} 1",
        "forgetgate_erasure_targets_total{code=\"refused\"} 1",
    ];
    for line in lines {
        assert!(page.lines().any(|written| written == line), "{line} in {page}");
    }
}
