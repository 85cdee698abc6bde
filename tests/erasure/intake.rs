//! Deletes on the data path: whose, by what authority, and the answer (P5, P10).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forgetgate::config::{Authorize, Erasure, Secret};
use forgetgate::domain::LabelForm;
use forgetgate::domain::erasure::{JobState, TargetState, Verdict};
use forgetgate::domain::refusal::Code;
use forgetgate::erasure::{Decided, List};
use http::{HeaderValue, Response};
use http_body_util::Full;

use crate::service::{Reply, soon, status};
use crate::world::{ALIAS, OWN, Plan, World, erasure, erasure_of, own_credentials, pair};

const CALLER: &str = "Basic Y2FsbGVy";

fn authorised_by(authorize: Authorize) -> Plan {
    Plan { erasure: Erasure { authorize, ..erasure() }, ..Plan::default() }
}

fn home() -> Plan {
    authorised_by(Authorize::Home)
}

async fn all(world: &World) -> List {
    world.eraser.list(None, None, 100).await.unwrap()
}

fn header(response: &Response<Bytes>, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn p10_a_home_that_does_not_take_the_callers_delete_answers_itself_and_nothing_is_recorded() {
    let (world, one, two) = pair(home(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    for code in [401, 403, 404, 500, 301] {
        let answer =
            Response::builder().status(code).header("Content-Type", "text/x").header("X-Global-Transaction-Id", "t");
        one.will([Reply::Now(answer.body(Full::from("its own words")).unwrap())]);

        let response = world.delete("ann", "one").await.unwrap();

        assert_eq!((response.status().as_u16(), &response.body()[..]), (code, &b"its own words"[..]));
        assert_eq!(header(&response, "content-type"), "text/x");
        assert_eq!(header(&response, "x-global-transaction-id"), "t");
        assert_eq!(header(&response, "forgetgate-erasure"), "");
        assert!(!world.is_kept_out("ann", "one"), "a stranger holds nobody up");
    }
    assert_eq!(all(&world).await.erasures, []);
    assert_eq!(two.calls(), Vec::<String>::new());
    assert_eq!(one.seen()[0].authorization(), Some(CALLER), "the proof is of the caller's own credentials");
}

#[tokio::test]
async fn p10_a_home_without_an_answer_is_503_and_nothing_is_recorded() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    one.will([Reply::Close]);
    let refused = world.delete("ann", "one").await.unwrap_err();
    assert_eq!(
        (refused.refusal.code, refused.status, refused.retry_after_s),
        (Code::UpstreamUnreachable, 503, Some(1))
    );
    assert_eq!(all(&world).await.erasures, []);
}

#[tokio::test]
async fn p5_a_home_that_took_it_gives_the_answer_and_its_delete_counts_if_nothing_was_on_its_way() {
    let (world, one, two) = pair(home(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    one.will([Reply::Now(
        Response::builder().status(204).header("X-Global-Transaction-Id", "t").body(Full::default()).unwrap(),
    )]);

    let response = world.delete("ann", "one").await.unwrap();

    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"{}"[..]));
    assert_eq!(header(&response, "content-type"), "application/json");
    assert_eq!(header(&response, "x-global-transaction-id"), "t");
    let view = world.until_state(erasure_of(&response), JobState::Settling).await;
    assert_eq!(view.targets[0].evidence.as_ref().unwrap().status, 204);
    assert_eq!((one.calls().len(), two.calls().len()), (1, 1), "the home is not asked twice");
    assert!(world.marked("ann").await.iter().all(|row| row.2));
    assert_eq!(two.seen()[0].authorization(), None, "the caller's credentials are for the home alone");
}

#[tokio::test]
async fn p4_a_probe_during_which_something_was_on_its_way_does_not_count() {
    for own in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let credentials = own.then(|| own_credentials(folder.path()));
        let (world, one, _two) = pair(home(), |upstream| upstream.credentials = credentials.clone()).await;
        let on_its_way = world.forward("ann", "one", LabelForm::RAW).await;

        let id = world.erase("ann", "one").await;
        on_its_way.ended();
        let view = world.until_state(id, JobState::Settling).await;

        let sent: Vec<_> = one.seen().iter().map(|seen| seen.authorization().unwrap().to_owned()).collect();
        assert_eq!(sent, [CALLER, if own { OWN } else { CALLER }]);
        assert_eq!(view.targets[0].attempts, 1);
        assert!(world.marked("ann").await[0].2);
    }
}

#[tokio::test]
async fn p4_a_request_that_came_and_went_during_the_probe_makes_it_not_count() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    let answer = one.will_wait();
    let deleting = world.send("one", world.call("ann", "one"));
    let traffic = async {
        one.saw(1).await;
        assert!(!world.is_kept_out("ann", "one"), "a probe fences nobody");
        world.labelled("ann", "one", LabelForm::RAW).await;
        answer.send(status(202)).unwrap();
    };
    let (response, ()) = soon(async { tokio::join!(deleting, traffic) }).await;
    let id = erasure_of(&response.unwrap());
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 2);
}

#[tokio::test]
async fn p10_the_probe_is_sent_as_the_gate_would_label_and_the_raw_form_only_where_the_index_has_it() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    let alias = world.alias("ann@example.com", "one");
    let mut call = world.call("", "one");
    call.query = Some("version=2019-09-09&customer%5Fid=ann%40example.com&x=%7E+y".into());
    let id = erasure_of(&soon(world.send("one", call)).await.unwrap());
    world.until_state(id, JobState::Settling).await;
    let probe = format!("DELETE /base/v1/user_data?version=2019-09-09&customer_id={alias}&x=%7E+y");
    assert_eq!(one.calls(), [probe.as_str()], "an aliased ID is never sent raw");

    world.labelled("ann@example.com", "one", LabelForm::RAW).await;
    world.labelled("ann@example.com", "one", ALIAS).await;
    let mut call = world.call("", "one");
    call.query = Some("customer_id=ann%40example.com".into());
    let id = erasure_of(&soon(world.send("one", call)).await.unwrap());
    world.until_state(id, JobState::Settling).await;
    let raw = "DELETE /base/v1/user_data?customer_id=ann%40example.com";
    let again = format!("DELETE /base/v1/user_data?customer_id={alias}");
    assert_eq!(one.calls()[1..], [again.as_str(), raw]);
    assert_eq!(one.seen()[2].authorization(), Some(CALLER));
}

#[tokio::test]
async fn p10_authority_proved_at_home_reaches_its_group_only() {
    let (world, one, two) = pair(home(), |upstream| upstream.group = upstream.name.to_string()).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let id = world.erase("ann", "one").await;
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.targets.len(), 1);
    assert_eq!((one.calls().len(), two.calls().len()), (1, 0));
}

#[tokio::test]
async fn p10_with_a_token_only_who_shows_it_erases_and_the_home_sees_nothing_of_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let (world, one, _two) = pair(authorised_by(Authorize::Token(Secret::file(path))), |_| {}).await;
    for shown in [None, Some("Bearer wrong"), Some("s3cret"), Some("Basic s3cret"), Some("Bearer s3cret2")] {
        let mut call = world.call("ann", "one");
        call.forgetgate_authorization = shown.map(HeaderValue::from_static);
        let refused = soon(world.send("one", call)).await.unwrap_err();
        assert_eq!((refused.refusal.code, refused.status), (Code::ErasureUnauthorised, 400), "{shown:?}");
    }
    assert_eq!((all(&world).await.erasures.len(), one.calls().len()), (0, 0));

    let mut call = world.call("ann", "one");
    call.forgetgate_authorization = Some(HeaderValue::from_static("Bearer s3cret"));
    let response = soon(world.send("one", call)).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (202, &b"{}"[..]));
    assert_eq!(header(&response, "content-type"), "application/json");
    world.until_state(erasure_of(&response), JobState::Settling).await;
    assert_eq!(one.seen()[0].authorization(), None);
}

#[tokio::test]
async fn p10_who_fails_too_often_waits() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    one.will_say(&[401; 10]);
    for _ in 0..10 {
        assert_eq!(world.delete("ann", "one").await.unwrap().status(), 401);
    }
    let refused = world.delete("ann", "one").await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.status, refused.retry_after_s), (Code::TooManyFailures, 429, Some(60)));
    assert_eq!(one.calls().len(), 10, "the upstream is spared");
    let mut other = world.call("ann", "one");
    other.peer = Some([127, 0, 0, 2].into());
    assert_eq!(soon(world.send("one", other)).await.unwrap().status(), 200, "others are not held up");
}

#[tokio::test]
async fn p10_the_answer_is_the_same_for_known_and_unknown_customers() {
    let (world, one, two) = pair(home(), |_| {}).await;
    world.labelled("ann", "one", LabelForm::RAW).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    two.will_say(&[503]);
    let mut answers = Vec::new();
    for customer in ["ann", "nobody"] {
        let fixed = Response::builder().status(202).header("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
        one.will([Reply::Now(fixed.body(Full::from("{\"a\":1}")).unwrap())]);
        let mut response = world.delete(customer, "one").await.unwrap();
        response.headers_mut().remove("forgetgate-erasure").unwrap();
        answers.push((response.status(), response.headers().clone(), response.body().clone()));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn p10_above_the_rate_an_erasure_waits_for_a_person_and_is_then_done() {
    let plan = Plan { erasure: Erasure { erasures_per_minute: 1, ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    world.erase("ann", "one").await;
    let response = world.delete("bob", "one").await.unwrap();
    assert_eq!(response.status(), 202);
    let id = erasure_of(&response);
    assert_eq!(world.show(id).await.state, JobState::AwaitingApproval);
    assert!(!world.is_kept_out("bob", "one"));
    one.saw(1).await;

    let approve = Decided { verdict: Verdict::Approve, by: "A. Person".into(), note: "checked".into(), upstream: None };
    world.eraser.decide(id, approve).await.unwrap();
    let view = world.until_state(id, JobState::Settling).await;
    assert_eq!(view.decisions[0].by, "A. Person");
    assert_eq!(one.calls().len(), 2);
}

#[tokio::test]
async fn prefer_wait_is_answered_once_every_upstream_has_accepted_or_when_the_time_is_over() {
    let (world, one, two) = pair(Plan::default(), |_| {}).await;
    world.labelled("ann", "two", LabelForm::RAW).await;
    let answer = two.will_wait();
    let mut call = world.call("ann", "one");
    call.prefer_wait = Some(Duration::from_secs(20));
    let deleting = world.send("one", call);
    let upstreams = async {
        one.saw(1).await;
        two.saw(1).await;
        answer.send(status(200)).unwrap();
    };
    let (response, ()) = soon(async { tokio::join!(deleting, upstreams) }).await;
    let response = response.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"{}"[..]));
    assert_eq!(world.show(erasure_of(&response)).await.state, JobState::Settling);

    one.will_say(&[503]);
    let mut call = world.call("bob", "one");
    call.prefer_wait = Some(Duration::from_millis(50));
    let response = soon(world.send("one", call)).await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(world.until_target(erasure_of(&response), "one", TargetState::Retrying).await.state, JobState::Running);
}

#[tokio::test]
async fn p6_a_delete_must_name_one_customer_and_never_by_an_alias() {
    let (world, one, _two) = pair(Plan::default(), |_| {}).await;
    let alias = world.alias("ann", "one");
    let table = [
        (None, Code::LabelMissing),
        (Some("version=1".to_owned()), Code::LabelMissing),
        (Some("customer_id=%20".to_owned()), Code::LabelMissing),
        (Some("customer_id=a&customer%5fid=b".to_owned()), Code::LabelSeveral),
        (Some(format!("customer_id={alias}")), Code::LabelInvalid),
        (Some(format!("customer_id={alias}%20")), Code::LabelInvalid),
        (Some(format!("customer_id=+{alias}")), Code::LabelInvalid),
        (Some(format!("customer_id={alias}%00")), Code::LabelInvalid),
        (Some("customer_id=ann%20".to_owned()), Code::LabelInvalid),
        (Some("customer_id=%EF%BB%BFann".to_owned()), Code::LabelInvalid),
        (Some("customer_id=undefined".to_owned()), Code::LabelPlaceholder),
    ];
    for (query, code) in table {
        let mut call = world.call("", "one");
        call.query = query.clone();
        assert_eq!(soon(world.send("one", call)).await.unwrap_err().refusal.code, code, "{query:?}");
    }
    assert_eq!(one.calls().len(), 0);
    let mut call = world.call("", "one");
    call.query = Some("customer_id=a%3Db%3B%20c".into());
    soon(world.send("one", call)).await.unwrap();
    let seen = one.saw(1).await;
    assert_eq!(seen[0].call, "DELETE /base/v1/user_data?customer_id=a%3Db%3B%20c&version=2020-01-01");
}

#[tokio::test]
async fn p4_a_probe_for_an_erasure_on_hold_does_not_cover_what_comes_until_the_hold_is_over() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    let on_its_way = world.forward("ann", "one", LabelForm::RAW).await;
    let id = world.erase("ann", "one").await;
    world.until_target(id, "one", TargetState::Draining).await;
    let decided = |verdict| Decided { verdict, by: "A. Person".into(), note: "court".into(), upstream: None };
    world.eraser.decide(id, decided(Verdict::Hold)).await.unwrap();
    on_its_way.ended();
    let second = world.erase("ann", "one").await;
    assert_eq!(world.show(second).await.id, id);
    world.let_in("ann", "one").await;
    world.labelled("ann", "one", LabelForm::RAW).await;

    world.eraser.decide(id, decided(Verdict::Unhold)).await.unwrap();
    world.until_state(id, JobState::Settling).await;
    assert_eq!(one.calls().len(), 3, "two probes, and the delete that counts");
}

/// Of the whole erasure or of its target at the home; and the caller cannot tell (P10).
#[tokio::test]
async fn p10_under_legal_hold_a_probe_proves_authority_and_deletes_nothing() {
    for upstream in [None, Some("one".to_owned())] {
        let (world, one, two) = pair(home(), |_| {}).await;
        one.will_say(&[200]);
        let on_its_way = world.forward("ann", "one", LabelForm::RAW).await;
        let id = world.erase("ann", "one").await;
        world.until_target(id, "one", TargetState::Draining).await;
        let decided =
            |verdict| Decided { verdict, by: "A. Person".into(), note: "court".into(), upstream: upstream.clone() };
        world.eraser.decide(id, decided(Verdict::Hold)).await.unwrap();
        on_its_way.ended();
        let before = one.calls().len();

        one.will_say(&[401, 202]);
        assert_eq!(world.delete("ann", "one").await.unwrap().status(), 401, "without authority nothing is different");
        let second = world.erase("ann", "one").await;
        assert_eq!(world.show(second).await.id, id, "with it the request joins");
        let probes = one.calls()[before..].to_vec();
        assert_eq!(probes.len(), 2);
        assert!(probes.iter().all(|call| call.contains("customer_id=fg")), "{probes:?}");
        assert!(probes.iter().all(|call| !call.contains("ann") && !call.contains(&world.alias("ann", "one"))));
        assert_eq!(world.show(id).await.state, JobState::Held);

        world.eraser.decide(id, decided(Verdict::Unhold)).await.unwrap();
        world.until_state(id, JobState::Settling).await;
        assert!(one.calls().last().unwrap().contains("customer_id=ann"));
        assert_eq!(two.calls().len(), 0);
    }
}

#[tokio::test]
async fn p5_a_caller_who_leaves_in_the_middle_ends_nothing() {
    let (world, one, _two) = pair(home(), |_| {}).await;
    let answer = one.will_wait();
    let deleting = tokio::spawn({
        let (eraser, site, call) = (world.eraser.clone(), Arc::clone(world.site("one")), world.call("ann", "one"));
        async move { eraser.delete(site, call).await.map(drop) }
    });
    one.saw(1).await;
    deleting.abort();
    assert!(deleting.await.unwrap_err().is_cancelled());
    answer.send(status(200)).unwrap();
    let accepted = async {
        loop {
            if let Some(erasure) = all(&world).await.erasures.pop() {
                return erasure.id;
            }
            tokio::task::yield_now().await;
        }
    };
    world.until_state(soon(accepted).await, JobState::Settling).await;
}

#[tokio::test]
async fn p5_an_upstream_that_is_being_left_is_asked_nothing_and_is_not_left_while_it_is_asked() {
    let plan = Plan { erasure: Erasure { authorize: Authorize::Home, ..erasure() }, ..Plan::default() };
    let (world, one, _two) = pair(plan, |_| {}).await;
    let answer = one.will_wait();
    let asking = tokio::spawn({
        let (eraser, site, call) = (world.eraser.clone(), Arc::clone(world.site("one")), world.call("ann", "one"));
        async move { eraser.delete(site, call).await }
    });
    one.saw(1).await;
    let recordings = Arc::clone(&world.site("one").recordings);
    let mut leaving = std::pin::pin!(recordings.close());
    assert!(futures_util::FutureExt::now_or_never(leaving.as_mut()).is_none(), "its answer is not recorded yet");
    let refused = world.delete("bob", "one").await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.status), (Code::UpstreamUnreachable, 503));
    assert_eq!(one.calls().len(), 1);

    answer.send(status(200)).unwrap();
    asking.await.unwrap().unwrap();
    drop(soon(leaving).await);
    world.erase("bob", "one").await;
}
