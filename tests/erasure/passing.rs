//! Upstreams that pass IDs on to others: what has come that way is erased, too, whenever it came and whoever may ask (P4).

use std::sync::Arc;

use forgetgate::config::{Authorize, Erasure, Upstream};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState, Verdict};
use forgetgate::erasure::Decided;

use crate::failing::{Fails, failing, turns};
use crate::service::Service;
use crate::world::{Plan, World, erasure, id, pair, profile, shared, submission, upstream, with_profile};

fn passes_on(upstream: &mut Upstream) {
    if &*upstream.name == "one" {
        upstream.passes_to = vec!["two".into()];
    }
}

#[tokio::test]
async fn p4_what_is_passed_on_since_a_reload_is_erased_although_the_delete_there_was_accepted_before() {
    let (mut world, one, two) = pair(Plan::default(), |_| {}).await;
    let open = world.forward("ann", "one", LabelForm::RAW).await;
    let asked = world.erase("ann", "two").await;
    world.until_target(asked, "two", TargetState::Accepted).await;
    world.until_target(asked, "one", TargetState::Draining).await;

    world.reload(passes_on).await;
    world.pass(1);
    turns().await;
    assert_eq!(two.calls().len(), 1, "what is on its way to the first may still be passed on");
    open.ended();

    two.saw(2).await;
    world.until_state(asked, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (1, 2));
}

/// `home` and `one` are of one group; `one` passes IDs on to `two`, which is of another.
async fn groups() -> (World, [Service; 3]) {
    let services = [Service::start().await, Service::start().await, Service::start().await];
    let at_once = profile("at-once", "settle = \"0s\"");
    let named = ["home", "one", "two"].iter().zip(&services);
    let made = |(name, service): (&&str, &Service)| with_profile(Arc::clone(&at_once), upstream(name, &service.url));
    let mut upstreams: Vec<Upstream> = named.map(made).collect();
    upstreams.iter_mut().for_each(passes_on);
    upstreams[2].group = "other".into();
    let plan = Plan { erasure: Erasure { authorize: Authorize::Home, ..erasure() }, ..Plan::default() };
    (World::new(plan, upstreams).await, services)
}

/// Somebody whose authority reaches everything asks afterwards: that goes where the row leads.
async fn follows(world: &World, [_, one, two]: &[Service; 3]) {
    assert_eq!(world.marked("ann").await, [(2, 0, false)], "the row is the only trace of what was passed on");
    assert_eq!(two.calls().len(), 0, "the authority does not reach it");
    let before = one.calls().len();

    let asked = world.submit(submission("ann")).await.unwrap().id;

    world.until_state(asked, JobState::Done).await;
    assert_eq!((one.calls().len(), two.calls().len()), (before + 1, 1));
    assert_eq!(world.marked("ann").await, [(2, 0, true)], "nothing is left anywhere");
}

#[tokio::test]
async fn p4_a_home_that_passes_ids_on_to_where_its_authority_does_not_reach_forgets_nothing() {
    let (world, services) = groups().await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let asked = world.erase("ann", "one").await;
    world.until_state(asked, JobState::Done).await;
    follows(&world, &services).await;
}

#[tokio::test]
async fn p4_a_delete_at_an_upstream_that_passes_ids_on_to_where_no_authority_reaches_forgets_nothing() {
    let (world, services) = groups().await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let asked = world.erase("ann", "home").await;
    world.until_state(asked, JobState::Done).await;
    assert_eq!(services[1].calls().len(), 1);
    follows(&world, &services).await;
}

#[tokio::test]
async fn p4_who_gives_up_an_upstream_that_passes_ids_on_to_where_no_authority_reaches_forgets_nothing() {
    let (world, services) = groups().await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    services[1].will_say(&[404]);
    let asked = world.erase("ann", "home").await;
    world.until_target(asked, "one", TargetState::Refused).await;
    let (by, note, upstream) = ("A. Person".into(), "gone".into(), Some("one".into()));
    world.eraser.decide(asked, Decided { verdict: Verdict::Close, by, note, upstream }).await.unwrap();
    world.until_state(asked, JobState::Done).await;
    follows(&world, &services).await;
}

/// The customer comes back to the first while its delete is tried again, after the delete at the second was accepted.
#[tokio::test]
async fn p4_what_is_passed_on_between_two_attempts_is_found_by_a_later_erasure() {
    let at_once = profile("at-once", "settle = \"0s\"");
    let change = |upstream: &mut Upstream| {
        *upstream = with_profile(Arc::clone(&at_once), upstream.clone());
        passes_on(upstream);
    };
    let (world, one, two) = pair(Plan::default(), change).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    one.will_say(&[503]);
    let asked = world.submit(submission("ann")).await.unwrap().id;
    world.until_target(asked, "two", TargetState::Settled).await;
    world.until_target(asked, "one", TargetState::Retrying).await;
    world.let_in("ann", "one").await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.pass(900);
    world.until_state(asked, JobState::Done).await;
    assert_eq!((one.calls().len(), two.calls().len()), (2, 1));

    let again = world.submit(submission("ann")).await.unwrap().id;

    world.until_state(again, JobState::Done).await;
    assert_eq!(two.calls().len(), 2, "what the first passed on between its two deletes is there");
    assert!(world.marked("ann").await.iter().all(|row| row.2), "nothing is left anywhere");
}

/// An earlier request of the same erasure has reached the second; the later one, which covers more, does not.
#[tokio::test]
async fn p4_a_request_that_joins_and_does_not_reach_what_is_passed_on_forgets_nothing() {
    let (world, services) = groups().await;
    let [home, _, two] = &services;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.labelled("ann", "home", LabelForm::RAW).await;
    home.will_say(&[503]);
    let asked = world.submit(submission("ann")).await.unwrap().id;
    world.until_target(asked, "two", TargetState::Settled).await;
    world.until_target(asked, "home", TargetState::Retrying).await;
    world.let_in("ann", "one").await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    world.erase("ann", "one").await;
    world.pass(900);

    world.until_state(asked, JobState::Done).await;
    assert_eq!(two.calls().len(), 1, "the authority does not reach it");
    let at_one = world.site("one").number.0;
    assert!(world.marked("ann").await.contains(&(at_one, 0, false)), "the row is the only trace of what was passed on");
    let again = world.submit(submission("ann")).await.unwrap().id;
    world.until_state(again, JobState::Done).await;
    assert_eq!(two.calls().len(), 2);
}

/// The hold was taken off, and the gate was killed before the erasure had noted that.
#[tokio::test]
async fn p4_what_is_passed_on_during_a_hold_is_not_forgotten_where_a_crash_follows_its_end() {
    let services = [Service::start().await, Service::start().await];
    let upstreams = || {
        let named = ["one", "two"].iter().zip(&services);
        let mut upstreams: Vec<Upstream> = named.map(|(name, service)| upstream(name, &service.url)).collect();
        upstreams.iter_mut().for_each(passes_on);
        upstreams
    };
    let (plan, failing) = failing(Fails::Not, Plan::default());
    let store = plan.store.as_ref().map(shared);
    let world = World::new(plan, upstreams()).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    let (by, note, upstream) = ("A. Person".into(), "court".into(), Some("one".into()));
    let hold = Decided { verdict: Verdict::Hold, by, note, upstream };
    let hold = world.eraser.hold(&id("ann"), hold).await.unwrap();
    let asked = world.submit(submission("ann")).await.unwrap().id;
    world.until_target(asked, "two", TargetState::Accepted).await;
    world.let_in("ann", "one").await;
    world.pass(600);
    world.labelled("ann", "one", LabelForm::RAW).await;
    *failing.fails.lock() = Fails::JobsOnly;
    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    let now = world.now().0;
    drop(world);

    let world = World::new(Plan { store, now, ..Plan::default() }, upstreams()).await;

    let view = world.until_state(asked, JobState::Settling).await;
    assert_eq!(services[1].calls().len(), 1);
    assert_eq!(world.marked("ann").await, [(1, 0, false)], "the row is the only trace of what was passed on");
    let at = |name: &str| view.targets.iter().find(|target| target.upstream == name).unwrap();
    assert_eq!(at("one").instant_after_answer, Some(Later::FenceEnded));
}
