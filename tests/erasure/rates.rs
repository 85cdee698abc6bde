//! Whose turn it is: services' rates, strangers' attempts, services that hang (P5, P10, P12).

use std::time::Duration;

use forgetgate::config::{Authorize, Engine, Erasure, Upstream};
use forgetgate::domain::erasure::{JobState, Later, Verdict};
use forgetgate::domain::refusal::Code;
use forgetgate::domain::{ErasureCall, Instance, LabelForm};
use forgetgate::erasure::{Decided, View};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::service::{Service, soon, status};
use crate::world::{
    Plan, World, erasure, erasure_of, open_store, pair, profile, shared, submission, upstream, with_profile,
};

fn slow(service: &Service) -> Upstream {
    with_profile(profile("slow", "rate = { deletes_per_minute = 2 }"), upstream("slow", &service.url))
}

fn many(authorize: Authorize) -> Plan {
    Plan { erasure: Erasure { authorize, erasures_per_minute: 10_000, ..erasure() }, ..Plan::default() }
}

fn waits(view: &View) -> bool {
    view.targets.iter().any(|target| target.instant_after_answer == Some(Later::Rate))
}

#[tokio::test]
async fn p10_strangers_deletes_that_the_service_refuses_put_no_right_one_off() {
    let service = Service::start().await;
    let world = World::new(many(Authorize::Home), vec![slow(&service)]).await;
    for n in 0..200 {
        service.will_say(&[[400, 401, 404, 500][n % 4]]);
        let mut call = world.call("somebody", "slow");
        let key = format!("Basic c3RyYW5nZXI{n}");
        call.headers.insert(AUTHORIZATION, key.parse().unwrap());
        assert!(!soon(world.send("slow", call)).await.unwrap().status().is_success());
    }
    world.labelled("ann", "slow", LabelForm::RAW).await;

    let id = world.erase("ann", "slow").await;
    world.until_state(id, JobState::Settling).await;
    let id = world.submit(submission("ann")).await.unwrap().id;
    world.until(id, |view| view.targets.iter().all(|target| target.instant.is_some())).await;
}

#[tokio::test]
async fn p10_a_stale_key_locks_out_itself_and_not_its_neighbours_at_the_same_address() {
    let service = Service::start().await;
    let world = World::new(many(Authorize::Home), vec![upstream("one", &service.url)]).await;
    let stale = || {
        let mut call = world.call("ann", "one");
        call.headers.insert(AUTHORIZATION, "Basic c3RhbGU".parse().unwrap());
        call
    };
    service.will_say(&[404; 10]);
    for _ in 0..10 {
        assert_eq!(soon(world.send("one", stale())).await.unwrap().status(), 404);
    }
    assert_eq!(soon(world.send("one", stale())).await.unwrap_err().refusal.code, Code::TooManyFailures);
    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn p10_asking_again_for_one_customer_uses_up_nobodys_rate() {
    let service = Service::start().await;
    let plan = Plan { erasure: Erasure { erasures_per_minute: 2, ..erasure() }, ..Plan::default() };
    let world = World::new(plan, vec![upstream("one", &service.url)]).await;
    let first = world.erase("ann", "one").await;
    world.until_state(first, JobState::Settling).await;
    for _ in 0..20 {
        let again = world.erase("ann", "one").await;
        assert_eq!(world.show(again).await.id, first);
    }
    let other = world.erase("bob", "one").await;
    world.until_state(other, JobState::Settling).await;
    assert_eq!(world.show(world.erase("cid", "one").await).await.state, JobState::AwaitingApproval);
}

#[tokio::test]
async fn p5_who_waits_for_a_services_rate_is_served_in_the_order_of_acceptance_also_after_a_restart() {
    let service = Service::start().await;
    let store = open_store(Plan::default().folder.path(), Engine::Memory);
    let same = || shared(&store);
    let first = World::new(Plan { store: Some(same()), ..many(Authorize::Open) }, vec![slow(&service)]).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(first.erase(&format!("customer{n}"), "slow").await);
        first.pass(1);
    }
    for id in &ids[2..] {
        first.until(*id, waits).await;
    }
    drop(first);

    let plan = Plan { store: Some(same()), now: crate::world::BEGIN + 100, ..many(Authorize::Open) };
    let mut second = World::idle(plan, vec![slow(&service)]).await;
    second.eraser.restore().await.unwrap();
    assert!(!second.is_kept_out("customer3", "slow"), "who waits for the rate keeps nobody out");
    let newcomer = second.erase("newcomer", "slow").await;
    second.work();
    for _ in 0..3 {
        second.pass(61);
        soon(second.until(newcomer, |view| !view.targets.is_empty())).await;
        tokio::task::yield_now().await;
    }
    second.until_state(newcomer, JobState::Settling).await;
    let customers: Vec<String> =
        service.calls().iter().map(|call| call[call.find('=').unwrap() + 1..].into()).collect();
    let order: Vec<&str> = customers[2..].iter().map(|rest| rest.split('&').next().unwrap()).collect();
    assert_eq!(order, ["customer2", "customer3", "customer4", "customer5", "newcomer"]);
}

#[tokio::test]
async fn p4_a_service_that_hangs_keeps_no_customer_out_of_the_others_and_each_for_a_bounded_time() {
    let (hanging, healthy) = (Service::start().await, Service::start().await);
    let mut never = Vec::new();
    for _ in 0..200 {
        never.push(hanging.will_wait());
    }
    let upstreams = vec![upstream("stt", &hanging.url), upstream("assistant", &healthy.url)];
    let world = World::new(many(Authorize::Open), upstreams).await;
    let mut ids = Vec::new();
    for n in 0..64 {
        let customer = format!("customer{n}");
        world.labelled(&customer, "stt", LabelForm::RAW).await;
        ids.push(world.submit(submission(&customer)).await.unwrap().id);
    }
    hanging.saw(8).await;
    for (n, id) in ids.iter().enumerate() {
        world.until(*id, |view| !view.targets.is_empty()).await;
        world.let_in(&format!("customer{n}"), "assistant").await;
    }
    let out = (0..64).filter(|n| world.is_kept_out(&format!("customer{n}"), "stt")).count();
    assert!(out <= 8, "{out} customers are kept out, eight can be deleted at once");
    assert_eq!(hanging.calls().len(), 8);
}

#[tokio::test]
async fn p4_a_customer_is_let_in_when_the_fences_life_is_over_however_slow_the_service_is() {
    let service = Service::start().await;
    let limits = Erasure { barrier_timeout: Duration::from_millis(200), ..erasure() };
    let world = World::new(Plan { erasure: limits, ..Plan::default() }, vec![upstream("one", &service.url)]).await;
    let open = world.forward("ann", "one", LabelForm::RAW).await;
    let answer = service.will_wait();
    let id = world.erase("ann", "one").await;
    service.saw(1).await;
    world.let_in("ann", "one").await;
    assert_eq!(world.show(id).await.targets[0].instant, None);
    open.ended();
    drop(answer.send(status(200)));
    let view = world.until_state(id, JobState::Settling).await;
    assert!(view.targets[0].instant_after_answer.is_some(), "and the status says so");
}

#[tokio::test]
async fn p4_requests_that_begin_after_the_answer_and_are_broken_off_keep_no_erasure_open() {
    let service = Service::start().await;
    let world = World::new(Plan::default(), vec![upstream("one", &service.url)]).await;
    drop(world.forward("ann", "one", LabelForm::RAW).await);
    let id = world.erase("ann", "one").await;
    world.until(id, |view| view.targets.iter().any(|target| target.next_attempt.is_some())).await;
    world.let_in("ann", "one").await;
    for _ in 0..3 {
        drop(world.forward("ann", "one", LabelForm::RAW).await);
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    drop(world.forward("ann", "one", LabelForm::RAW).await);
    tokio::time::resume();

    world.pass(32);
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Straggler));
    assert!(!world.marked("ann").await[0].2, "what was broken off since may still arrive: it stays in the index");
    assert_eq!(service.calls().len(), 2);
}

#[tokio::test]
async fn p5_an_upstream_may_not_move_while_an_erasure_that_is_not_planned_yet_may_have_to_go_there() {
    let service = Service::start().await;
    let plan = Plan { erasure: Erasure { erasures_per_minute: 0, ..erasure() }, ..Plan::default() };
    let world = World::new(plan, vec![upstream("one", &service.url)]).await;
    assert!(world.eraser.awaits().await.unwrap().is_empty());
    let id = world.submit(submission("ann")).await.unwrap().id;
    assert_eq!(world.show(id).await.state, JobState::AwaitingApproval);
    assert!(world.eraser.awaits().await.unwrap().contains(&world.site("one").number));
}

#[tokio::test]
async fn p12_callers_whom_nobody_has_approved_are_bounded_also_where_they_ask_for_one_customer() {
    let home = Erasure { authorize: Authorize::Home, erasures_per_minute: 0, ..erasure() };
    let (world, _one, _two) = pair(Plan { erasure: home, ..Plan::default() }, |_| {}).await;
    let ask = async |customer: &str, nth: u32| {
        let key = HeaderValue::from_str(&format!("Basic {nth}")).unwrap();
        let caller = world.site("one").instances.fingerprint(key.as_bytes());
        let instance = Instance { prefix: "".into(), caller };
        let headers = HeaderMap::from_iter([(AUTHORIZATION, key)]);
        soon(world.send("one", ErasureCall { instance, headers, ..world.call(customer, "one") })).await
    };
    let first = erasure_of(&ask("ann", 0).await.unwrap());
    let mut accepted = 0;
    let refused = loop {
        match ask("ann", accepted + 1).await {
            Ok(_) => accepted += 1,
            Err(refused) => break refused,
        }
        assert!(accepted < 400, "there is no bound");
    };
    assert_eq!(refused.refusal.code, Code::Overloaded);
    assert!(ask("bob", 0).await.is_err(), "the answer does not tell whom somebody has asked for before");

    let cancel = Decided { verdict: Verdict::Cancel, by: "A. Person".into(), note: "noise".into(), upstream: None };
    world.eraser.decide(first, cancel).await.unwrap();
    ask("bob", 0).await.unwrap();
}
