//! Legal holds are the customer's: nothing gets round them, whatever is asked for and whenever (P4).

use std::sync::Arc;

use forgetgate::config::{Authorize, Engine, Erasure};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, Verdict};
use forgetgate::erasure::{Decided, Problem};

use forgetgate::upstream::{Bounds, Exchanging, Leave, Network, Site, Transport};
use futures_util::poll;
use http::Request;
use http_body_util::Full;
use tokio::sync::Semaphore;

use crate::service::{Service, soon, status};
use crate::world::{Plan, World, erasure, id, open_store, pair, shared, submission, upstream};

fn decided(verdict: Verdict, upstream: Option<&str>) -> Decided {
    Decided { verdict, by: "A. Person".into(), note: "court".into(), upstream: upstream.map(Into::into) }
}

/// A road on which connecting takes as long as the test wants.
#[derive(Debug)]
struct Connecting {
    begun: Semaphore,
    stands: Semaphore,
}

impl Connecting {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun: Semaphore::new(0), stands: Semaphore::new(0) })
    }
}

impl Transport for Connecting {
    fn exchange<'a>(
        &'a self,
        site: &'a Site,
        request: Request<Full<bytes::Bytes>>,
        bounds: Bounds,
        leave: Leave,
    ) -> Exchanging<'a> {
        Box::pin(async move {
            self.begun.add_permits(1);
            self.stands.acquire().await.unwrap().forget();
            Network.exchange(site, request, bounds, leave).await
        })
    }
}

fn above_the_rate(authorize: Authorize) -> Plan {
    Plan { erasure: Erasure { erasures_per_minute: 0, authorize, ..erasure() }, ..Plan::default() }
}

#[tokio::test]
async fn p4_a_hold_that_was_set_before_anybody_asked_holds_every_erasure_until_it_is_taken_off() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let hold = world.eraser.hold(&id("ann"), decided(Verdict::Hold, None)).await.unwrap();

    let first = world.erase("ann", "one").await;
    let second = world.submit(submission("ann")).await.unwrap().id;
    for asked in [first, second] {
        assert_eq!(world.until_state(asked, JobState::Held).await.targets.len(), 0);
    }
    assert!(!world.is_kept_out("ann", "one") && !world.is_kept_out("ann", "two"), "nobody waits for a court");
    let other = world.erase("bob", "one").await;
    world.until_state(other, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (1, 0));

    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    world.until_state(first, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (2, 1));
    assert!(matches!(world.eraser.unhold(hold.id, "A. Person".into()).await, Err(Problem::NotFound)));
}

/// A person's browser is closed, a command is interrupted: what they decided has begun and is carried out.
#[tokio::test]
async fn p5_who_decides_and_leaves_before_the_answer_has_decided_all_the_same() {
    let plan = Plan { engine: Engine::Sled, ..above_the_rate(Authorize::Open) };
    let (world, one, two) = pair(plan, |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let waiting = world.erase("ann", "one").await;
    let eraser = &world.eraser;
    leave(eraser.hold(&id("ann"), decided(Verdict::Hold, None))).await;
    let holds = async || world.eraser.holds(None, 10).await.unwrap().holds;
    soon(async {
        while holds().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    leave(eraser.decide(waiting, decided(Verdict::Approve, None))).await;
    world.until_state(waiting, JobState::Held).await;
    assert_eq!((one.calls().len(), two.calls().len()), (0, 0));
    let held = holds().await;
    let [hold] = held.as_slice() else { panic!("one hold: {held:?}") };

    leave(eraser.unhold(hold.id, "A. Person".into())).await;

    world.until_state(waiting, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (1, 1));
}

/// Asks, and leaves at the first wait.
async fn leave<T>(asking: impl Future<Output = T>) {
    assert!(poll!(Box::pin(asking).as_mut()).is_pending(), "it waits for the store");
}

#[tokio::test]
async fn p4_a_second_request_does_not_get_round_the_hold_of_one_that_waits_for_approval() {
    let (world, one, two) = pair(above_the_rate(Authorize::Open), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let waiting = world.erase("ann", "one").await;
    assert_eq!(world.show(waiting).await.state, JobState::AwaitingApproval);
    world.eraser.decide(waiting, decided(Verdict::Hold, None)).await.unwrap();

    world.eraser.reconfigure(world.sites.clone(), erasure(), std::time::Duration::from_secs(30));
    let second = world.erase("ann", "one").await;
    assert_ne!(world.show(second).await.id, waiting, "it is an erasure of its own");
    world.until_state(second, JobState::Held).await;
    world.eraser.decide(waiting, decided(Verdict::Approve, None)).await.unwrap();
    assert_eq!(world.show(waiting).await.state, JobState::Held);

    assert_eq!((one.calls().len(), two.calls().len()), (0, 0));
    world.eraser.decide(second, decided(Verdict::Unhold, None)).await.unwrap();
    world.until_state(waiting, JobState::Settling).await;
    world.until_state(second, JobState::Settling).await;
}

#[tokio::test]
async fn p4_a_hold_at_one_upstream_is_asked_about_when_the_delete_is_about_to_be_sent() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    let on_its_way = world.forward("ann", "two", LabelForm::RAW).await;
    let asked = world.erase("ann", "one").await;
    one.saw(1).await;
    world.eraser.hold(&id("ann"), decided(Verdict::Hold, Some("two"))).await.unwrap();

    on_its_way.ended();

    world.until_state(asked, JobState::Held).await;
    world.let_in("ann", "two").await;
    assert_eq!(two.calls().len(), 0);
    assert!(matches!(
        world.eraser.hold(&id("ann"), decided(Verdict::Hold, Some("three"))).await,
        Err(Problem::UnknownUpstream)
    ));
}

#[tokio::test]
async fn p4_a_hold_that_is_answered_while_a_delete_connects_keeps_it_back() {
    let road = Connecting::new();
    let plan = Plan { transport: Arc::clone(&road) as Arc<dyn Transport>, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let asked = world.erase("ann", "one").await;
    soon(road.begun.acquire()).await.unwrap().forget();
    let hold = world.eraser.hold(&id("ann"), decided(Verdict::Hold, None)).await.unwrap();
    road.stands.add_permits(1);

    let view = world.until(asked, |view| view.state == JobState::Held && view.targets[0].attempts == 0).await;
    assert_eq!((view.targets[0].instant, one.calls().len()), (None, 0));
    world.let_in("ann", "one").await;

    road.stands.add_permits(1);
    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    world.until_state(asked, JobState::Settling).await;
    assert_eq!(one.calls().len(), 1);
}

#[tokio::test]
async fn p4_a_hold_that_is_answered_while_the_question_to_the_home_connects_keeps_the_customers_label_back() {
    let road = Connecting::new();
    let plan = Plan {
        transport: Arc::clone(&road) as Arc<dyn Transport>,
        erasure: Erasure { authorize: Authorize::Home, ..erasure() },
        ..Plan::default()
    };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let held = async {
        soon(road.begun.acquire()).await.unwrap().forget();
        world.eraser.hold(&id("ann"), decided(Verdict::Hold, None)).await.unwrap();
        road.stands.add_permits(10);
    };
    let (asked, ()) = tokio::join!(world.erase("ann", "one"), held);

    world.until_state(asked, JobState::Held).await;
    let calls = one.calls();
    assert_eq!(calls.len(), 1, "the caller gets the service's answer all the same");
    assert!(!calls[0].contains("customer_id=ann"), "{calls:?}");
}

#[tokio::test]
async fn p4_a_hold_covers_every_text_that_a_service_could_take_for_the_customers() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    let hold = world.eraser.hold(&id("ann b"), decided(Verdict::Hold, None)).await.unwrap();
    for text in ["ann%2520b", "%2561nn%20b", "ann%252520b"] {
        let asked = world.erase(text, "one").await;
        world.until_state(asked, JobState::Held).await;
    }
    for text in ["%20ann%20b", "ann%20b%20"] {
        assert!(world.delete(text, "one").await.is_err(), "a text with a blank at its end is nobody's ID");
    }
    let alias = world.alias("ann b", "one");
    assert!(world.delete(&alias, "one").await.is_err(), "an alias is nobody's ID");
    let asked = world.submit(submission(&alias)).await.unwrap().id;
    world.until_state(asked, JobState::Done).await;
    let other = world.erase("Ann%20b", "one").await;
    world.until_state(other, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (1, 0));

    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    let hold = world.eraser.hold(&id("c%69d"), decided(Verdict::Hold, None)).await.unwrap();
    let asked = world.erase("cid", "one").await;
    world.until_state(asked, JobState::Held).await;
    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    world.until_state(asked, JobState::Settling).await;
}

#[tokio::test]
async fn p13_the_end_of_a_hold_at_one_upstream_says_nothing_about_another() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let hold = world.eraser.hold(&id("ann"), decided(Verdict::Hold, Some("two"))).await.unwrap();
    let answer = one.will_wait();
    let asked = world.erase("ann", "one").await;
    one.saw(1).await;
    world.eraser.unhold(hold.id, "A. Person".into()).await.unwrap();
    answer.send(status(200)).unwrap();

    let view = world.until_state(asked, JobState::Settling).await;
    let later = |name| view.targets.iter().find(|target| target.upstream == name).unwrap().instant_after_answer;
    assert_eq!((later("one"), later("two")), (None, Some(Later::Decision)));
}

#[tokio::test]
async fn p5_holds_survive_a_restart_and_are_listed_without_saying_whose_they_are() {
    let one = Service::start().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let same = || shared(&store);
    let first = World::new(Plan { store: Some(same()), ..Plan::default() }, vec![upstream("one", &one.url)]).await;
    let asked = first.submit(submission("canary-4711")).await.unwrap().id;
    let held = first.eraser.hold(&id("canary-4711"), decided(Verdict::Hold, Some("one"))).await.unwrap();
    first.until_state(asked, JobState::Done).await;
    drop(first);

    let plan = Plan { store: Some(same()), ..Plan::default() };
    let mut again = World::idle(plan, vec![upstream("one", &one.url)]).await;
    again.eraser.restore().await.unwrap();
    again.work();
    again.labelled("canary-4711", "one", LabelForm::RAW).await;
    let asked = again.submit(submission("canary-4711")).await.unwrap().id;
    again.until_state(asked, JobState::Held).await;
    let list = serde_json::to_value(again.eraser.holds(None, 10).await.unwrap()).unwrap();
    assert_eq!(list["holds"][0]["id"], held.id.to_string());
    assert_eq!(list["holds"][0]["upstream"], "one");
    assert!(!list.to_string().contains("canary"), "P7");
    assert_eq!(one.calls().len(), 0);
}

#[tokio::test]
async fn p10_above_the_rate_nothing_is_sent_before_a_person_approves_the_question_to_the_home_included() {
    let (world, one, two) = pair(above_the_rate(Authorize::Home), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let response = world.delete("ann", "one").await.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (202, &b"{}"[..]));
    let asked = crate::world::erasure_of(&response);
    assert_eq!(world.show(asked).await.state, JobState::AwaitingApproval);
    assert_eq!((one.calls().len(), two.calls().len()), (0, 0));

    let cancelled = world.erase("bob", "one").await;
    let view = world.eraser.decide(cancelled, decided(Verdict::Cancel, None)).await.unwrap();
    assert_eq!(view.state, JobState::Cancelled, "nothing was sent, so it can be called off");

    world.eraser.decide(asked, decided(Verdict::Approve, None)).await.unwrap();
    world.until_state(asked, JobState::Settling).await;
    assert_eq!((one.calls().len(), two.calls().len()), (1, 1));
    assert_eq!(one.seen()[0].authorization(), Some("Basic Y2FsbGVy"), "the caller's own call");
}

#[tokio::test]
async fn p5_a_target_that_waits_for_a_person_can_be_given_up_and_poisons_no_later_erasure() {
    let (world, _one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    two.will_say(&[410]);
    let asked = world.erase("ann", "one").await;
    world.until_state(asked, JobState::ActionRequired).await;
    let wrong = world.eraser.decide(asked, decided(Verdict::Close, Some("one"))).await;
    assert!(matches!(wrong, Err(Problem::Undecidable(_))), "it was accepted there");

    let view = world.eraser.decide(asked, decided(Verdict::Close, Some("two"))).await.unwrap();

    let shown = serde_json::to_value(&view).unwrap();
    let of_two = shown["targets"].as_array().unwrap().iter().find(|target| target["upstream"] == "two").unwrap();
    assert_eq!((of_two["state"].as_str(), of_two["closed"]["by"].as_str()), (Some("closed"), Some("A. Person")));
    world.pass(3600);
    world.until_state(asked, JobState::Done).await;

    let later = world.erase("ann", "one").await;
    let view = world.until_state(later, JobState::Settling).await;
    assert_eq!(view.targets.len(), 1);
    world.labelled("ann", "two", LabelForm::RAW).await;
    let back = world.submit(submission("ann")).await.unwrap().id;
    world.until(back, |view| view.targets.iter().filter(|target| target.instant.is_some()).count() == 2).await;
    assert_eq!(two.calls().len(), 2, "where there is new data it is asked again");
}

#[tokio::test]
async fn p5_a_blocked_target_needs_a_person_also_while_it_is_tried_again() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    one.will_say(&[401]);
    let asked = world.erase("ann", "one").await;
    world.until_state(asked, JobState::ActionRequired).await;
    let again = one.will_wait();
    world.pass(120);
    one.saw(2).await;

    assert_eq!(world.show(asked).await.state, JobState::ActionRequired);
    world.eraser.tell_standing();
    let page = world.registry.render(&[]);
    assert!(page.lines().any(|line| line == "forgetgate_erasures_action_required 1"), "{page}");
    again.send(status(200)).unwrap();
    world.until_state(asked, JobState::Settling).await;
    world.eraser.tell_standing();
    let page = world.registry.render(&[]);
    assert!(page.lines().any(|line| line == "forgetgate_erasures_action_required 0"), "{page}");
}
