//! P5: what was accepted is never forgotten and never ends in silence. Services are away, refuse and are slow, and the
//! gate is killed in between.

use std::fs;
use std::thread;
use std::time::Duration;

use forgetgate_stand_ins::{Options, Running, Seen, Silence};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Answer, Call, Gate, Setup, Site, eventually, service, service_for};

/// After a crash a delete is repeated when this time is over.
const SHORT: &str = "response_timeout = \"2s\"\n";

struct Scene {
    gate: Gate,
    service: Running,
}

impl Scene {
    fn new() -> Self {
        Self::with("authorize = \"open\"\n")
    }

    fn with(erasure: &str) -> Self {
        let service = service();
        let mut setup = Setup::new([Site::speech(service.addr)]);
        setup.erasure = erasure.to_owned();
        setup.limits = SHORT.to_owned();
        Self { gate: Gate::start(&setup), service }
    }

    fn stores(&self, customer: &str) {
        assert_eq!(Call::audio(customer).send(self.gate.addr).unwrap().status, 200);
        assert_eq!(self.service.holds(customer), 1);
    }

    fn erase(&self, customer: &str) -> String {
        self.gate.erase(customer)["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the only target is in this state.
    fn until_target(&self, id: &str, state: &str) -> Value {
        self.gate.until(id, state, |erasure| erasure["targets"][0]["state"] == state)
    }

    fn deletes(&self) -> usize {
        self.service.seen().iter().filter(is_delete).count()
    }
}

fn is_delete(seen: &&Seen) -> bool {
    seen.method() == "DELETE"
}

fn decide(gate: &Gate, id: &str, what: &str) {
    let call = Call::admin(&format!("/api/v1/erasures/{id}/{what}"), &json!({ "by": "Ada", "reason": "tests" }));
    let answer = call.send(gate.admin).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn p5_an_erasure_outlives_an_outage_of_the_service_and_crashes_of_the_gate_meanwhile() {
    let mut scene = Scene::new();
    scene.stores("patient");
    scene.service.go_down();
    let accepted = Call::delete("patient").send(scene.gate.addr).unwrap();
    assert_eq!(accepted.status, 202);
    let id = accepted.header("forgetgate-erasure").unwrap().to_owned();
    for _ in 0..3 {
        let waiting = scene.until_target(&id, "retrying");
        let target = &waiting["targets"][0];
        assert_eq!(waiting["state"], "running");
        assert_eq!(target["last_error"], "the upstream could not be reached");
        assert!(target["next_attempt"].is_string(), "{waiting:#}");
        scene.gate.kill();
        scene.gate.restart();
    }
    assert_eq!(scene.service.holds("patient"), 1);
    scene.service.come_up().unwrap();
    scene.gate.until_accepted(&id);
    assert_eq!(scene.service.holds("patient"), 0);
}

/// A customer is not locked out because a service will not take a delete.
#[test]
fn p5_an_erasure_that_a_service_refuses_with_500_is_tried_again_and_the_customer_may_come_in_meanwhile() {
    let scene = Scene::new();
    scene.stores("patient");
    scene.service.answer_deletes_with(500, None);
    let id = scene.erase("patient");
    let waiting = scene.until_target(&id, "retrying");
    assert_eq!(waiting["targets"][0]["last_error"], "the upstream answered 500");
    assert_eq!(Call::audio("patient").send(scene.gate.addr).unwrap().status, 200);
    let more = scene.gate.until(&id, "tried again", |erasure| erasure["targets"][0]["attempts"].as_u64() >= Some(3));
    assert_eq!(more["state"], "running");
    scene.service.answer_as_usual();
    let last = scene.gate.until_accepted(&id);
    assert_eq!(scene.service.holds("patient"), 0);
    let target = &last["targets"][0];
    assert!(target["attempts"].as_u64() >= Some(3) && target["last_error"].is_null(), "{last:#}");
    // P4: the instant has moved past the answer, and the erasure says when it was.
    assert!(target["instant"].as_str() > last["received"].as_str(), "{last:#}");
}

#[test]
fn p5_a_service_that_asks_for_time_gets_it() {
    let scene = Scene::new();
    scene.stores("patient");
    scene.service.answer_deletes_with(429, Some(4));
    let id = scene.erase("patient");
    scene.until_target(&id, "retrying");
    let first = Instant::now();
    scene.service.answer_as_usual();
    scene.gate.until_accepted(&id);
    // Times are whole seconds, so a part of one may be missing.
    assert!(first.elapsed() > Duration::from_millis(2900), "{:?}", first.elapsed());
    assert_eq!((scene.deletes(), scene.service.holds("patient")), (2, 0));
}

#[test]
fn p5_wrong_credentials_block_an_erasure_until_a_person_has_mended_them() {
    let service = service_for(Options::basic("apikey", "RIGHT"));
    let mut setup = Setup::new([Site::speech(service.addr).with("credentials = { apikey = { file = \"api.key\" } }")]);
    setup.erasure = "authorize = \"open\"\n".to_owned();
    setup.limits = SHORT.to_owned();
    let mut gate = Gate::idle(&setup);
    fs::write(gate.folder().join("api.key"), "WRONG").unwrap();
    gate.restart();
    let right = "Basic YXBpa2V5OlJJR0hU";
    assert_eq!(Call::audio("patient").with("Authorization", right).send(gate.addr).unwrap().status, 200);
    let id = gate.erase("patient")["id"].as_str().unwrap().to_owned();

    let blocked = gate.until(&id, "blocked", |erasure| erasure["targets"][0]["state"] == "blocked");
    assert_eq!(
        (&blocked["state"], &blocked["targets"][0]["last_error"]),
        (&"action_required".into(), &"the upstream answered 401".into())
    );

    gate.kill();
    gate.restart();
    fs::write(gate.folder().join("api.key"), "RIGHT").unwrap();
    decide(&gate, &id, "retry");
    gate.until_accepted(&id);
    assert_eq!(service.holds("patient"), 0);
}

#[test]
fn p5_an_answer_that_only_a_person_can_judge_waits_for_one() {
    let scene = Scene::new();
    scene.stores("patient");
    scene.service.answer_deletes_with(404, None);
    let id = scene.erase("patient");
    let refused = scene.until_target(&id, "refused");
    assert_eq!(refused["state"], "action_required");
    scene.service.answer_as_usual();
    decide(&scene.gate, &id, "retry");
    scene.gate.until_accepted(&id);
    assert_eq!(scene.service.holds("patient"), 0);
}

#[test]
fn p5_an_erasure_beyond_its_deadline_says_that_it_is_late_and_goes_on() {
    let scene = Scene::with("authorize = \"open\"\ndeadline = \"1s\"\n");
    scene.stores("patient");
    scene.service.go_down();
    let id = scene.erase("patient");
    let late = scene.gate.until(&id, "late", |erasure| erasure["late"] == true);
    assert_eq!(late["state"], "running");
    scene.service.come_up().unwrap();
    scene.gate.until_accepted(&id);
}

#[test]
fn p5_a_caller_who_waits_hears_of_the_end_or_that_it_is_not_yet() {
    let scene = Scene::new();
    scene.stores("patient");
    scene.service.delay(Duration::from_millis(300)..Duration::from_millis(301));
    let done = Call::delete("patient").with("Prefer", "wait=30").send(scene.gate.addr).unwrap();
    assert_eq!((done.status, &done.body[..], scene.service.holds("patient")), (200, &b"{}"[..], 0));

    scene.stores("patient");
    scene.service.hang(Silence::Deletes);
    let began = Instant::now();
    let not_yet = Call::delete("patient").with("Prefer", "wait=1").send(scene.gate.addr).unwrap();
    assert_eq!((not_yet.status, &not_yet.body[..]), (202, &b"{}"[..]));
    assert!(began.elapsed() >= Duration::from_secs(1));
    scene.service.hang(Silence::Nobody);
    scene.gate.until_accepted(not_yet.header("forgetgate-erasure").unwrap());
}

/// P10 as well: nobody learns from the data path whether an ID exists.
#[test]
fn p5_p10_the_answer_is_the_same_whether_the_customer_is_known_or_not() {
    for authorize in ["open", "home"] {
        let service = service_for(Options::basic("apikey", "KEY"));
        let site = Site::speech(service.addr).with("credentials = { apikey = { file = \"api.key\" } }");
        let mut setup = Setup::new([site]);
        setup.erasure = format!("authorize = \"{authorize}\"\n");
        let mut gate = Gate::idle(&setup);
        fs::write(gate.folder().join("api.key"), "KEY").unwrap();
        gate.restart();
        let right = "Basic YXBpa2V5OktFWQ==";
        assert_eq!(Call::audio("known").with("Authorization", right).send(gate.addr).unwrap().status, 200);
        for key in [right, "Basic d3Jvbmc="] {
            let answer = |customer| plain(&Call::delete(customer).with("Authorization", key).send(gate.addr).unwrap());
            assert_eq!(answer("known"), answer("strange"), "{authorize} {key}");
        }
    }
}

/// The answer without what differs from one to the next in any case.
fn plain(answer: &Answer) -> String {
    let own = ["date", "forgetgate-erasure", "x-request-id", "x-global-transaction-id", "x-dp-watson-tran-id"];
    let is_own = |line: &&str| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    let head: Vec<&str> = answer.head.lines().filter(is_own).collect();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let body = body.split("\"trace\":").next().unwrap().to_owned();
    format!("{head:?} {body}")
}

/// P4: the fence of an erasure whose first delete had no answer stands again before anyone can come in.
#[test]
fn p4_p5_after_a_crash_the_fence_stands_before_the_listener_opens() {
    let mut scene = Scene::new();
    scene.stores("patient");
    scene.service.hang(Silence::Deletes);
    let id = scene.erase("patient");
    eventually("the delete is at the service", || scene.deletes() == 1);
    scene.gate.kill();
    scene.service.forget_seen();
    scene.gate.restart();

    let addr = scene.gate.addr;
    let waiting = thread::spawn(move || Call::audio("patient").send(addr).unwrap().status);
    assert_eq!(Call::audio("another").send(addr).unwrap().status, 200);
    eventually("the delete is sent again", || scene.deletes() == 1);
    assert_eq!(
        scene.service.seen().iter().filter(|seen| seen.method() == "POST").count(),
        1,
        "the customer is kept out"
    );
    scene.service.hang(Silence::Nobody);

    assert_eq!(waiting.join().unwrap(), 200);
    let labels: Vec<Vec<String>> = scene.service.seen().iter().map(|seen| seen.values("x-watson-metadata")).collect();
    let patient = labels.iter().position(|label| label == &["customer_id=patient"]).unwrap();
    let delete = scene.service.seen().iter().position(|seen| is_delete(&seen)).unwrap();
    assert!(delete < patient, "the customer came in before the delete");
    scene.gate.kill();
    scene.gate.restart();
    scene.gate.until_accepted(&id);
}
