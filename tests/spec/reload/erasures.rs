//! Erasures and reloads: what was sent under one policy is found under another, and what is under way goes on.

use std::sync::mpsc::channel;
use std::thread;

use forgetgate::app;
use forgetgate::config::Source;
use forgetgate::net::ActivatedSockets;
use serde_json::{Value, json};

use super::world::{BEFORE, Filed, message, upstream, upstream_at};
use crate::client::{eventually, request};
use crate::upstream::{OK, Reply, Seen, Upstream};

/// Has this customer erased by the admin API; the erasure's ID.
#[track_caller]
fn erase(filed: &Filed, customer: &str) -> String {
    let answer = filed.call("POST /api/v1/erasures", &json!({ "customer_id": customer }).to_string());
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn erasure(filed: &Filed, id: &str) -> Value {
    filed.call(&format!("GET /api/v1/erasures/{id}"), "").json()
}

#[track_caller]
fn until_accepted(filed: &Filed, id: &str) -> Value {
    eventually("the erasure is accepted everywhere", || erasure(filed, id)["state"] == "settling");
    erasure(filed, id)
}

fn deletes(service: &Upstream) -> Vec<Seen> {
    service.seen().into_iter().filter(|seen| seen.line().starts_with("DELETE ")).collect()
}

/// The index keeps the form of each label that was sent.
#[test]
fn p4_after_policy_has_changed_and_changed_back_an_erasure_finds_what_was_sent_in_either_form() {
    let service = Upstream::scripted();
    let text = |policy| format!("{BEFORE}{}", upstream("one", &service, policy)).replace("\"memory\"", "\"sled\"");
    let (allow, rewrite) = (text("personal = \"allow\""), text("personal = \"rewrite\""));
    let filed = Filed::start(&allow);
    let mut client = filed.client();
    let mut sent = Vec::new();
    for policy in [&rewrite, &allow, &rewrite, &allow] {
        filed.turn_to(policy);
        assert_eq!(client.ask(message("one", "alice@example.com")).status, 200);
        sent.extend(service.seen().pop().unwrap().values("x-watson-metadata"));
    }
    assert_eq!(sent[1], "customer_id=alice@example.com");
    assert!(sent[0] != sent[1] && sent[0] == sent[2] && sent[1] == sent[3], "{sent:?}");
    let erasure = until_accepted(&filed, &erase(&filed, "alice@example.com"));
    let targets = erasure["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2, "{erasure:#}");
    let alias = sent[0].strip_prefix("customer_id=").unwrap();
    let lines: Vec<String> = deletes(&service).iter().map(|seen| seen.line().to_owned()).collect();
    for id in ["alice%40example.com", alias] {
        assert!(lines.iter().any(|line| line.contains(&format!("customer_id={id}"))), "{id}: {lines:?}");
    }
}

#[test]
fn p5_an_erasure_under_way_goes_on_under_the_next_configuration_also_at_an_upstream_that_is_retired() {
    let service = Upstream::scripted();
    let one = upstream("one", &service, "");
    let filed = Filed::start(&format!("{BEFORE}{one}"));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    let (tell, told) = channel();
    service.will(Reply::When(told, OK.into()));
    let id = erase(&filed, "alice");
    eventually("the delete is on its way", || deletes(&service).len() == 1);
    let retired = one.replace("[upstream.policy]", "retired = true\n[upstream.policy]");
    filed.turn_to(&format!("{BEFORE}{retired}[erasure]\ndeadline = \"10d\"\n"));
    tell.send(()).unwrap();
    until_accepted(&filed, &id);
    let again = erase(&filed, "alice");
    until_accepted(&filed, &again);
    assert_eq!(deletes(&service).len(), 2);
}

/// Where the data of a request went that began before must be where a delete goes.
#[test]
fn p5_a_request_that_began_before_its_upstream_moved_is_not_recorded_where_the_upstream_is_no_more() {
    let (before, after) = (Upstream::scripted(), Upstream::scripted());
    let policy = "missing = \"derive\"\nderive = [{ json = \"/user_id\" }]";
    let filed = Filed::start(&format!("{BEFORE}{}", upstream_at("one", before.address, policy)));
    let body = "{\"user_id\":\"alice\"}";
    let length = format!("Content-Length: {}", body.len());
    let head = request(
        "POST /one/v1/workspaces/w/message?version=2021-06-14",
        &["Content-Type: application/json", &length],
        "",
    );
    let mut client = filed.client();
    client.send(head);
    eventually("it is being judged", || filed.metric("forgetgate_requests_in_flight{upstream=\"one\"}") == 1);
    filed.turn_to(&format!("{BEFORE}{}", upstream_at("one", after.address, policy)));
    client.send(body);
    client.answer().assert_refused(503, "store_unavailable");
    assert_eq!((before.seen().len(), after.seen().len()), (0, 0));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    assert_eq!((before.seen().len(), after.seen().len()), (0, 1));
    let refused = format!("{BEFORE}{}", upstream_at("one", before.address, policy));
    filed.write(&refused);
    assert_eq!(filed.reload().status, 422, "now it holds data");
}

/// What an upstream held before the gate was there is in no index: only the erasure knows that it is to go.
#[test]
fn p5_an_upstream_does_not_move_away_from_a_delete_that_it_still_has_to_take() {
    let (before, after) = (Upstream::scripted(), Upstream::scripted());
    let text = |at: &Upstream| {
        let one = upstream("one", at, "").replace("[upstream.policy]", "held_labels_before = true\n[upstream.policy]");
        format!("{BEFORE}{one}")
    };
    let filed = Filed::start(&text(&before));
    before.will_say("HTTP/1.1 503 Later\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n");
    let id = erase(&filed, "alice");
    eventually("it is tried again later", || erasure(&filed, &id)["targets"][0]["state"] == "retrying");
    filed.write(&text(&after));
    let answer = filed.reload();
    assert_eq!((answer.status, &answer.json()["faults"][0]["key"]), (422, &"upstream[1].url".into()));
    let other = format!("{BEFORE}{}", upstream("two", &after, ""));
    assert_eq!(filed.turn_to(&other), ["upstream.one removed", "upstream.two added"]);
    filed.write(&text(&after));
    assert_eq!(filed.reload().status, 422, "nor by way of a configuration without it");
    assert_eq!(filed.turn_to(&text(&before)), ["upstream.one added", "upstream.two removed"]);
    let retry = json!({ "by": "Ann", "note": "now" }).to_string();
    assert_eq!(filed.call(&format!("POST /api/v1/erasures/{id}/retry"), &retry).status, 200);
    until_accepted(&filed, &id);
    assert_eq!((deletes(&before).len(), deletes(&after).len()), (2, 0));
    assert_eq!(filed.turn_to(&text(&after)), ["upstream.one.url"]);
}

/// A gate that erases all day long can be reloaded.
#[test]
fn p5_an_upstream_moves_once_a_delete_has_been_accepted_that_was_under_way() {
    let (before, after) = (Upstream::scripted(), Upstream::scripted());
    let text = |at: &Upstream| {
        let one = upstream("one", at, "").replace("[upstream.policy]", "held_labels_before = true\n[upstream.policy]");
        format!("{BEFORE}{one}")
    };
    let filed = Filed::start(&text(&before));
    let (tell, told) = channel();
    before.will(Reply::When(told, OK.into()));
    let id = erase(&filed, "alice");
    eventually("the delete is on its way", || deletes(&before).len() == 1);
    filed.write(&text(&after));
    thread::scope(|scope| {
        let reloading = scope.spawn(|| filed.reload().status);
        tell.send(()).unwrap();
        assert_eq!(reloading.join().unwrap(), 200);
    });
    until_accepted(&filed, &id);
    assert_eq!((deletes(&before).len(), deletes(&after).len()), (1, 0));
}

/// A restart is no way round it.
#[test]
fn p5_nor_does_it_move_while_the_gate_is_down() {
    let (before, after) = (Upstream::scripted(), Upstream::scripted());
    let text = |at: &Upstream| {
        let one = upstream("one", at, "").replace("[upstream.policy]", "held_labels_before = true\n[upstream.policy]");
        format!("{BEFORE}{one}").replace("\"memory\"", "\"sled\"")
    };
    let mut filed = Filed::start(&text(&before));
    before.will_say("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
    let id = erase(&filed, "alice");
    eventually("it is tried again later", || erasure(&filed, &id)["targets"][0]["state"] == "retrying");
    filed.gate.take().unwrap().stop();
    for at in [&after, &after, &before] {
        filed.write(&text(at));
        let (source, loaded) = Source::read(&filed.path());
        let started = app::start_from(source, loaded.unwrap().config, ActivatedSockets::default());
        match started {
            Err(error) => assert!(error.is_config() && error.to_string().contains("has not been accepted"), "{error}"),
            Ok(gate) => filed.gate = Some(gate),
        }
        assert_eq!(filed.gate.is_some(), std::ptr::eq(at, &before));
    }
    assert_eq!(deletes(&after).len(), 0);
}
