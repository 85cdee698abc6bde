//! Keys and paths that a stranger has made up: the service refuses them, and nobody's erasure waits for them but that of the
//! customers they were sent for.

use std::sync::Arc;

use forgetgate::config::Engine;
use forgetgate::domain::Instance;
use forgetgate::domain::erasure::JobState;
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
