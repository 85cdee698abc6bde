//! What is refused, and that nothing has changed then.

use std::net::TcpListener;

use super::world::{BEFORE, Filed, message, upstream};
use crate::client::eventually;
use crate::upstream::Upstream;

#[test]
fn p11_a_faulty_file_changes_nothing_all_its_faults_are_told_and_the_mended_file_applies() {
    let service = Upstream::scripted();
    let good = format!("{BEFORE}{}", upstream("one", &service, ""));
    let filed = Filed::start(&good);
    let mut client = filed.client();
    let bad =
        format!("{BEFORE}{}\n[limits]\nidle_timeout = \"soon\"\n", upstream("one", &service, "missing = \"pass\""));
    filed.write(&bad);
    let answer = filed.reload();
    assert_eq!((answer.status, answer.value("content-type").as_str()), (422, "application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["code"], "config_refused");
    let faults = problem["faults"].as_array().unwrap();
    let keys: Vec<_> = faults.iter().map(|fault| fault["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["upstream[1].policy.missing", "limits.idle_timeout"], "{problem}");
    for fault in faults {
        let line = bad.lines().nth(usize::try_from(fault["line"].as_u64().unwrap()).unwrap() - 1).unwrap();
        let key = fault["key"].as_str().unwrap().rsplit('.').next().unwrap();
        assert!(line.contains(key), "{line}: {fault}");
        assert!(!fault["right"].as_str().unwrap().is_empty() && !fault["what"].as_str().unwrap().is_empty(), "{fault}");
    }
    assert_eq!(client.ask(message("one", "alice")).status, 200);
    let standing = filed.standing();
    assert_eq!((&standing["file_differs"], &standing["refused"]["faults"]), (&true.into(), &problem["faults"]));
    assert_eq!(filed.call("GET /readyz", "").status, 200);
    assert_eq!(filed.metric("forgetgate_config_file_differs"), 1);
    filed.reload();
    assert_eq!(filed.metric("forgetgate_config_reloads_total{result=\"refused\"}"), 1, "it is the same file");
    let changed = filed.turn_to(&format!("{good}\n[limits]\nidle_timeout = \"1m\"\n"));
    assert_eq!(changed, ["limits.idle_timeout"]);
    let standing = filed.standing();
    assert_eq!((&standing["file_differs"], &standing["refused"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(filed.metric("forgetgate_config_file_differs"), 0);
    assert_eq!(filed.metric("forgetgate_config_reloads_total{result=\"applied\"}"), 1);
}

#[test]
fn p11_what_a_running_gate_cannot_change_is_refused_as_a_whole_with_the_word_restart() {
    let service = Upstream::scripted();
    let good = format!("{BEFORE}{}", upstream("one", &service, ""));
    let filed = Filed::start(&good);
    let other = good.replace("workers = 2", "workers = 3").replace("path = \"index\"", "path = \"other\"");
    filed.write(&format!("{other}\n[limits]\nidle_timeout = \"1m\"\n"));
    let answer = filed.reload();
    let faults = answer.json()["faults"].clone();
    let keys: Vec<_> = faults.as_array().unwrap().iter().map(|fault| fault["key"].as_str().unwrap()).collect();
    assert_eq!((answer.status, keys), (422, vec!["process.workers", "store.path"]));
    assert!(faults[0]["what"].as_str().unwrap().contains("restart"), "{faults}");
    assert_eq!(faults[0]["line"], 5, "{faults}");
    assert_eq!(filed.call("GET /api/v1/config", "").json()["limits"]["idle_timeout"], "5m");
}

#[test]
fn p11_an_upstream_that_holds_data_is_neither_dropped_nor_moved() {
    let (service, other) = (Upstream::scripted(), Upstream::scripted());
    let (one, two) = (upstream("one", &service, ""), upstream("two", &other, ""));
    let filed = Filed::start(&format!("{BEFORE}{one}{two}"));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    filed.write(&format!("{BEFORE}{two}"));
    let answer = filed.reload();
    assert_eq!((answer.status, &answer.json()["faults"][0]["key"]), (422, &"upstream".into()));
    filed.write(&format!("{BEFORE}{two}{}", upstream("one", &other, "")));
    let answer = filed.reload();
    assert_eq!((answer.status, &answer.json()["faults"][0]["key"]), (422, &"upstream[2].url".into()));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    let retired = one.replace("[upstream.policy]", "retired = true\n[upstream.policy]");
    assert_eq!(filed.turn_to(&format!("{BEFORE}{retired}")), ["upstream.one.retired", "upstream.two removed"]);
    filed.client().ask(message("one", "alice")).assert_refused(404, "upstream_unknown");
}

/// Its delete would go where the data is not: what one passes on stands in no row of the other's.
#[test]
fn p4_an_upstream_to_which_one_that_holds_data_passes_it_on_is_not_moved() {
    let (service, other) = (Upstream::scripted(), Upstream::scripted());
    let one = upstream("one", &service, "").replace("[upstream.policy]", "passes_to = [\"two\"]\n[upstream.policy]");
    let filed = Filed::start(&format!("{BEFORE}{one}{}", upstream("two", &other, "")));
    let moved = format!("{BEFORE}{one}{}", upstream("two", &Upstream::scripted(), ""));
    assert_eq!(filed.client().ask(message("one", "alice")).status, 200);
    filed.write(&moved);
    let answer = filed.reload();
    assert_eq!((answer.status, &answer.json()["faults"][0]["key"]), (422, &"upstream[2].url".into()));
}

#[test]
fn p11_a_listener_that_cannot_be_bound_refuses_the_whole_and_is_tried_again_once_it_can() {
    let service = Upstream::scripted();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let good = format!("{BEFORE}{}", upstream("one", &service, ""));
    let filed = Filed::start(&good);
    filed.write(&format!("{good}\n[[listen]]\naddress = \"{address}\"\n[limits]\nidle_timeout = \"1m\"\n"));
    let answer = filed.reload();
    assert_eq!((answer.status, &answer.json()["faults"][0]["key"]), (422, &"listen[2].address".into()));
    assert_eq!(filed.call("GET /api/v1/config", "").json()["limits"]["idle_timeout"], "5m");
    drop(taken);
    eventually("the listener is open", || filed.standing()["refused"].is_null());
    assert_eq!(crate::client::Client::to(address).ask(message("one", "alice")).status, 200);
}
