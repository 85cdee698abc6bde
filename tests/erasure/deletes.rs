//! The deletes that the gate sends itself: the call, the credentials, the answers (P5).

use forgetgate::config::{Authorize, Credentials, Erasure, Secret};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, Later, TargetState, Verdict};
use forgetgate::erasure::{Decided, TargetWord};
use http::Response;
use http_body_util::Full;

use crate::service::{Reply, Service, status};
use crate::world::{
    ALIAS, BEGIN, OWN, Plan, World, erasure, opened_body, own_credentials, pair, profile, upstream, with_profile,
};

#[tokio::test]
async fn every_answer_leads_to_the_state_that_the_contract_names() {
    let table = [
        (200, TargetState::Accepted, JobState::Settling, None),
        (202, TargetState::Accepted, JobState::Settling, None),
        (301, TargetState::Refused, JobState::ActionRequired, Some("the upstream answered 301")),
        (400, TargetState::Refused, JobState::ActionRequired, Some("the upstream answered 400")),
        (401, TargetState::Blocked, JobState::ActionRequired, Some("the upstream answered 401")),
        (403, TargetState::Blocked, JobState::ActionRequired, Some("the upstream answered 403")),
        (404, TargetState::Refused, JobState::ActionRequired, Some("the upstream answered 404")),
        (408, TargetState::Retrying, JobState::Running, Some("the upstream answered 408")),
        (429, TargetState::Retrying, JobState::Running, Some("the upstream answered 429")),
        (500, TargetState::Retrying, JobState::Running, Some("the upstream answered 500")),
        (503, TargetState::Retrying, JobState::Running, Some("the upstream answered 503")),
    ];
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    for (code, target, job, error) in table {
        one.will_say(&[code]);
        let id = world.erase(&format!("customer{code}"), "one").await;
        let view = world.until_target(id, "one", target).await;
        assert_eq!((view.state, view.targets[0].last_error.as_deref()), (job, error), "{code}");
        assert_eq!(view.targets[0].attempts, 1);
    }
}

#[tokio::test]
async fn p5_it_is_retried_until_the_upstream_accepts() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    one.will_say(&[503, 500, 429, 408, 401]);
    let id = world.erase("ann", "one").await;
    for attempt in 1..=5 {
        world.until(id, |view| view.targets.iter().any(|t| t.attempts == attempt && t.next_attempt.is_some())).await;
        world.pass(900);
    }
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!((view.targets[0].attempts, view.targets[0].last_error.clone()), (6, None));
    assert_eq!(one.calls().len(), 6);
}

#[tokio::test]
async fn p5_an_upstream_that_is_not_there_is_tried_again_and_retry_after_is_honoured() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let busy = Response::builder().status(429).header("Retry-After", "300").body(Full::default()).unwrap();
    one.will([Reply::Now(busy)]);
    let id = world.erase("ann", "one").await;
    let view = world.until_target(id, "one", TargetState::Retrying).await;
    assert_eq!(view.targets[0].next_attempt.unwrap().0, BEGIN + 300);

    let gone = upstream("gone", &Service::start().await.url);
    let world = World::new(Plan::default(), vec![gone]).await;
    let id = world.erase("ann", "gone").await;
    let view = world.until_target(id, "gone", TargetState::Retrying).await;
    assert_eq!(view.targets[0].last_error.as_deref(), Some("the upstream could not be reached"));
}

#[tokio::test]
async fn p12_a_service_that_never_answers_is_given_up_and_tried_again() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let _never = one.will_wait();
    let id = world.erase("ann", "one").await;
    one.saw(1).await;
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_millis(10_001)).await;
    tokio::time::resume();
    let view = world.until_target(id, "one", TargetState::Retrying).await;
    assert_eq!(view.targets[0].last_error.as_deref(), Some("the upstream did not answer in time"));
}

#[tokio::test]
async fn the_call_is_the_profiles_with_the_upstreams_credentials_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = own_credentials(folder.path());
    let (world, one, two) = pair(Plan::default(), |upstream| {
        upstream.credentials = Some(credentials.clone());
        if &*upstream.name == "two" {
            upstream.version = Some("2021-06-14".into());
        }
    })
    .await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let mut call = world.call("ann", "one");
    call.api = Some(2);
    call.query = Some("customer_id=ann&version=2019-02-03".into());
    let id = crate::world::erasure_of(&world.send("one", call).await.unwrap());
    world.until_state(id, JobState::Settling).await;

    assert_eq!(one.calls(), ["DELETE /base/v2/user_data?customer_id=ann&version=2019-02-03"]);
    // The version of the API under which it was labelled there, and the upstream's own `version`.
    assert_eq!(two.calls(), ["DELETE /base/v1/user_data?customer_id=ann&version=2021-06-14"]);
    let seen = &one.seen()[0];
    assert_eq!(seen.authorization(), Some(OWN));
    assert_eq!(seen.headers["host"].to_str().unwrap(), one.url.authority);
    assert!(seen.body.is_empty());
}

#[tokio::test]
async fn p13_credentials_that_cannot_be_had_are_said_to_be_why_the_instant_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let credentials = own_credentials(folder.path());
    std::fs::remove_file(folder.path().join("password")).unwrap();
    let (world, one, _two) = pair(Plan::default(), |upstream| upstream.credentials = Some(credentials.clone())).await;
    let id = world.erase("ann", "one").await;
    let view = world.until(id, |view| view.targets.iter().any(|target| target.last_error.is_some())).await;
    assert_eq!(view.targets[0].instant_after_answer, Some(Later::Retry));
    assert_eq!(one.calls().len(), 0);
}

#[tokio::test]
async fn a_refused_token_of_iam_is_replaced_once_before_the_target_is_blocked() {
    let (iam, folder) = (Service::start().await, tempfile::tempdir().unwrap());
    let token = |text: &str| {
        let body = format!(r#"{{"access_token":"{text}","expires_in":3600}}"#);
        Reply::Now(Response::new(Full::from(body)))
    };
    iam.will([token("old"), token("new")]);
    let key = folder.path().join("key");
    std::fs::write(&key, "k").unwrap();
    let credentials = Credentials::Iam { apikey: Secret::file(key), url: iam.url.clone(), tls: Box::default() };
    let (world, one, _two) = pair(Plan::default(), |upstream| upstream.credentials = Some(credentials.clone())).await;
    one.will_say(&[401, 200, 401, 401]);

    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
    let sent: Vec<_> = one.seen().iter().map(|seen| seen.authorization().unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer old", "Bearer new"]);

    let id = world.erase("bob", "one").await;
    world.until_target(id, "one", TargetState::Blocked).await;
    assert_eq!(iam.calls().len(), 2, "a token that was just replaced is not the fault");
}

#[tokio::test]
async fn credentials_that_cannot_be_read_block_the_target_and_nothing_is_sent() {
    let nowhere = Credentials::Bearer(Secret::file("/nonexistent/token"));
    let (world, one, _two) = pair(Plan::default(), |upstream| upstream.credentials = Some(nowhere.clone())).await;
    let id = world.erase("ann", "one").await;
    let view = world.until_target(id, "one", TargetState::Blocked).await;
    assert_eq!((view.targets[0].attempts, one.calls().len()), (0, 0));
}

#[tokio::test]
async fn every_form_in_the_index_and_every_upstream_with_rows_is_a_target_retired_ones_too() {
    let (world, one, two) = pair(Plan::default(), |upstream| upstream.retired = &*upstream.name == "two").await;
    world.labelled("ann", "one", ALIAS).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let id = world.erase("ann", "one").await;
    world.until_state(id, JobState::Settling).await;
    let alias = world.alias("ann", "one");
    let call = |text: &str, api: u8| format!("DELETE /base/v{api}/user_data?customer_id={text}&version=2020-01-01");
    let mut calls = one.calls();
    calls.sort();
    assert_eq!(calls, [call("ann", 1), call(&alias, 1)]);
    assert_eq!(two.calls(), [call("ann", 1)]);
}

#[tokio::test]
async fn an_upstream_that_held_labels_before_is_always_a_target_in_both_forms() {
    let (world, _one, two) =
        pair(Plan::default(), |upstream| upstream.held_labels_before = &*upstream.name == "two").await;
    let mut call = world.call("", "one");
    call.query = Some("customer_id=ann%40example.com".into());
    let id = crate::world::erasure_of(&world.send("one", call).await.unwrap());
    world.until_state(id, JobState::Settling).await;
    let alias = world.alias("ann@example.com", "two");
    let texts = ["ann%40example.com", &alias];
    let mut calls = two.calls();
    calls.sort();
    assert_eq!(calls, texts.map(|text| format!("DELETE /base/v1/user_data?customer_id={text}&version=2020-01-01")));
}

#[tokio::test]
async fn an_upstream_that_is_not_configured_any_more_is_not_supported_and_never_a_success() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let left = vec![std::sync::Arc::clone(world.site("one"))];
    world.eraser.reconfigure(left, erasure(), std::time::Duration::from_secs(30));
    let id = world.erase("ann", "one").await;
    let view = world.until_target(id, "two", TargetState::NotSupported).await;
    world.until_target(id, "one", TargetState::Accepted).await;
    assert_eq!(view.state, JobState::ActionRequired);
    assert_eq!(one.calls().len(), 1);

    world.eraser.reconfigure(world.sites.clone(), erasure(), std::time::Duration::from_secs(30));
    let retry = Decided { verdict: Verdict::Retry, by: "A. Person".into(), note: "it is back".into(), upstream: None };
    world.eraser.decide(id, retry).await.unwrap();
    world.until_state(id, JobState::Settling).await;
}

#[tokio::test]
async fn an_erasure_settles_when_the_services_own_delay_is_over_and_then_the_id_is_destroyed() {
    let (world, _one, _two) = pair(Plan::default(), |_| {}).await;
    let id = world.erase("canary-4711", "one").await;
    world.until_state(id, JobState::Settling).await;
    let stored = || async {
        let job = world.store.jobs.job(id).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&job.body).contains("sealed"), "P7: the whole of it is sealed");
        (job.finished, opened_body(&world.store.keys, &job))
    };
    let settling = stored().await.1;
    assert!(settling.contains("\"sealed\":\""));

    world.pass(3600);
    let view = world.until_state(id, JobState::Done).await;

    assert_eq!(view.targets[0].state, TargetWord::Of(TargetState::Settled));
    let (finished, done) = stored().await;
    assert!(finished);
    assert!(done.contains("\"sealed\":null"));
    for body in [settling, done] {
        assert!(!body.contains("canary-4711"), "P7");
    }
}

#[tokio::test]
async fn a_service_without_a_delay_is_settled_at_once() {
    let service = Service::start().await;
    let quick = with_profile(profile("quick", "settle = \"0s\""), upstream("quick", &service.url));
    let world = World::new(Plan::default(), vec![quick]).await;
    let id = world.erase("ann", "quick").await;
    world.until_state(id, JobState::Done).await;
}

#[tokio::test]
async fn p13_what_was_observed_is_kept_as_it_was() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let answer = Response::builder().status(202).header("Date", "Sun, 06 Nov 1994 08:49:37 GMT").body(Full::from("{}"));
    one.will([Reply::Now(answer.unwrap())]);
    let id = world.erase("ann", "one").await;
    let view = world.until_state(id, JobState::Settling).await;
    let seen = view.targets[0].evidence.clone().unwrap();
    assert_eq!((seen.status, seen.drained, seen.sent.0, seen.answered.0), (202, true, BEGIN, BEGIN));
    assert_eq!(seen.date.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(seen.digest, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "SHA-256 of {{}}");
}

#[tokio::test]
async fn p12_only_so_many_deletes_are_under_way_at_one_upstream() {
    let plan = Plan { erasure: Erasure { authorize: Authorize::Open, ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let answers: Vec<_> = (0..10).map(|_| one.will_wait()).collect();
    let mut erasures = Vec::new();
    for n in 0..10 {
        erasures.push(world.erase(&format!("customer{n}"), "one").await);
    }
    one.saw(8).await;
    for id in &erasures[8..] {
        world.until(*id, |view| view.targets.iter().any(|target| target.waiting.is_some())).await;
    }
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    assert_eq!(one.calls().len(), 8);
    for answer in answers {
        answer.send(status(200)).unwrap();
    }
    for id in erasures {
        world.until_state(id, JobState::Settling).await;
    }
}
