//! Keys and paths that a stranger has made up: the service refuses them, and nobody's erasure waits for them but that of the
//! customers they were sent for.

use std::sync::Arc;

use forgetgate::config::{Engine, Instances, Upstream};
use forgetgate::domain::Instance;
use forgetgate::domain::erasure::{JobState, Undecidable, Verdict};
use forgetgate::domain::instance::InstanceRule;
use forgetgate::erasure::{Decided, Problem, TargetsThere, View};
use forgetgate::store::INSTANCES_MAX;
use futures_util::future::join_all;

use crate::service::Service;
use crate::settings::{OWN, own_credentials, upstream};
use crate::world::{Plan, World, open_store, submission};

/// What one of the applications shows, and what the stranger does.
const KNOWN: &str = "Basic YXBpa2V5OmE=";
const MADE_UP: &str = "Basic YXBpa2V5OmI=";

async fn world(plan: Plan) -> (World, Service) {
    let service = Service::start().await;
    let mut one = upstream("one", &service.url);
    one.credentials = Some(own_credentials(plan.folder.path()));
    (World::new(plan, vec![one]).await, service)
}

async fn state_of(world: &World, customer: &str) -> JobState {
    let id = world.submit(submission(customer)).await.unwrap().id;
    let over = |state| matches!(state, JobState::Settling | JobState::ActionRequired);
    world.until(id, |view| over(view.state)).await.state
}

#[tokio::test]
async fn p5_a_key_that_the_service_never_took_holds_up_no_erasure_but_that_of_its_own_row() {
    let (world, service) = world(Plan::default()).await;
    let (known, made_up) = (world.with_key("one", KNOWN), world.with_key("one", MADE_UP));
    world.labelled_at("ann", "one", known.clone(), 1).await;
    world.labelled_at("bob", "one", known, 1).await;
    world.refused_at("eve", "one", made_up.clone(), 1).await;
    assert_eq!(state_of(&world, "ann").await, JobState::Settling);
    assert_eq!(service.seen()[0].authorization(), Some(OWN));
    assert_eq!(state_of(&world, "eve").await, JobState::ActionRequired, "its own row is nobody's instance");
    assert_eq!(service.seen().len(), 1);
    // The second key that opens something: nobody can know which the upstream's own credentials open.
    world.labelled_at("eve", "one", made_up, 1).await;
    assert_eq!(state_of(&world, "bob").await, JobState::ActionRequired);
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn p12_paths_that_somebody_makes_up_hold_up_no_erasure_however_many_they_are() {
    let (world, service) = world(Plan::default()).await;
    let made_up = |number: usize| Instance { prefix: format!("/instances/{number}").into(), caller: None };
    join_all((0..=INSTANCES_MAX).map(|number| world.refused_at("eve", "one", made_up(number), 1))).await;
    world.labelled_at("ann", "one", world.with_key("one", KNOWN), 1).await;
    assert_eq!(state_of(&world, "ann").await, JobState::Settling);
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn p5_a_key_that_was_answered_once_is_known_after_a_restart() {
    let plan = Plan { engine: Engine::Sled, ..Plan::default() };
    let folder = Arc::clone(&plan.folder);
    let service = Service::start().await;
    {
        let world = World::idle(plan, vec![upstream("one", &service.url)]).await;
        for key in [KNOWN, MADE_UP] {
            world.labelled_at("ann", "one", world.with_key("one", key), 1).await;
        }
    }
    let store = Some(open_store(folder.path(), Engine::Sled));
    let world = World::new(Plan { store, folder, ..Plan::default() }, vec![upstream("one", &service.url)]).await;
    world.refused_at("ann", "one", world.with_key("one", KNOWN), 1).await;
    assert_eq!(state_of(&world, "ann").await, JobState::ActionRequired);
    assert!(service.seen().is_empty());
}

/// The index knows nothing of what was there before it, and its URL leads to no instance of its own.
#[tokio::test]
async fn p5_data_from_before_the_gate_is_asked_for_at_every_instance_that_a_path_has_shown() {
    let service = Service::start().await;
    let before = Upstream { held_labels_before: true, ..upstream("one", &service.url) };
    let world = World::new(Plan::default(), vec![before]).await;
    let at = |prefix: &str| Instance { prefix: prefix.into(), caller: None };
    for path in ["/instances/G1", "/instances/G2"] {
        world.labelled_at("bob", "one", at(path), 1).await;
    }
    world.refused_at("eve", "one", at("/instances/made-up"), 1).await;
    assert_eq!(state_of(&world, "ann").await, JobState::Settling);
    let calls = service.calls();
    let mut paths: Vec<_> = calls.iter().map(|call| call.split("/v1").next().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["DELETE /base", "DELETE /base/instances/G1", "DELETE /base/instances/G2"]);
}

#[tokio::test]
async fn p13_a_person_gives_up_one_instance_of_an_upstream_and_not_the_others() {
    let service = Service::start().await;
    let open = |one: Upstream| Upstream { instances: Instances { rule: InstanceRule::Open, named: vec![] }, ..one };
    let world = World::new(Plan::default(), vec![open(upstream("one", &service.url))]).await;
    let (gone, other) = (world.with_key("one", KNOWN), world.with_key("one", MADE_UP));
    for key in [&gone, &other] {
        world.labelled_at("ann", "one", key.clone(), 1).await;
    }
    let id = world.submit(submission("ann")).await.unwrap().id;
    let blocked = |view: &View| view.targets.len() == 2 && view.targets.iter().all(|target| target.needs_person);
    let name = |key: &Instance| format!("key {}…", key.caller.unwrap().short());
    world.until(id, blocked).await;
    let close = |there: TargetsThere| {
        let upstream = Some("one".to_owned());
        let decided = Decided { verdict: Verdict::Close, by: "A. Person".into(), note: "gone".into(), upstream };
        let eraser = world.eraser.clone();
        async move { eraser.decide_of(id, decided, &there).await }
    };
    for nowhere in [
        TargetsThere { instance: Some("key 00000000…".into()), ..TargetsThere::default() },
        TargetsThere { instance: Some(name(&gone)), path: Some("/instances/G1".into()), ..TargetsThere::default() },
        TargetsThere { api: Some(2), ..TargetsThere::default() },
        TargetsThere { form: Some("alias-1".into()), ..TargetsThere::default() },
    ] {
        let refused = close(nowhere).await.unwrap_err();
        assert!(matches!(refused, Problem::Undecidable(Undecidable::NoSuchTarget)), "{refused:?}");
    }
    let one =
        TargetsThere { instance: Some(name(&gone)), path: Some(String::new()), form: Some("raw".into()), api: Some(1) };
    let view = close(one.clone()).await.unwrap();
    let is_closed = |key: &Instance| {
        let target = view.targets.iter().find(|target| target.instance.as_ref() == Some(&name(key))).unwrap();
        (target.closed.is_some(), target.needs_person)
    };
    assert_eq!((is_closed(&gone), is_closed(&other)), ((true, false), (false, true)));
    assert_eq!(view.state, JobState::ActionRequired);
    let marked: Vec<bool> = world.rows("ann").await.iter().map(|row| row.erased_at.is_some()).collect();
    assert_eq!(marked.iter().filter(|marked| **marked).count(), 1, "the other's data is there");
    assert!(matches!(close(one).await, Err(Problem::Undecidable(Undecidable::NotClosable))));
    let view = close(TargetsThere::default()).await.unwrap();
    assert!(view.targets.iter().all(|target| target.closed.is_some()));
    assert!(service.seen().is_empty());
}
