//! P11: `[[upstream.policy.rule]]` changes the policy of just the calls that it names; the first rule that holds wins.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::client::{PATIENCE, request};
use crate::world::{LABEL, MESSAGE, Plan, World};

/// `POST /v1/workspaces/{workspace}/message`, without a label.
fn message(lines: &[&str]) -> String {
    request(MESSAGE, &[lines, &["Content-Length: 2", "Connection: close"]].concat(), "{}")
}

/// Another labelled call of the Assistant, without a label.
fn session(lines: &[&str]) -> String {
    let call = "POST /api/v2/assistants/a/sessions/s/message?version=2021-06-14";
    request(call, &[lines, &["Content-Length: 2", "Connection: close"]].concat(), "{}")
}

fn world(rules: &'static str) -> World {
    World::with_policy(rules)
}

#[test]
fn p11_a_rule_for_an_endpoint_holds_for_that_call_and_no_other() {
    let world = world(
        "[[upstream.policy.rule]]\nwhen = { endpoint = \"POST /v1/workspaces/{workspace}/message\" }\nmode = \"observe\"",
    );
    world.refused(session(&[]), 400, "label_missing");
    let seen = world.forwarded(message(&[]));
    assert_eq!(seen.values("x-watson-metadata"), Vec::<String>::new());
    assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "a rule keeps what it does not write");
}

#[test]
fn p11_all_conditions_of_a_rule_must_hold() {
    let world = world(
        "[[upstream.policy.rule]]\nwhen = { header = { name = \"X-App\", value = \"legacy\" }, method = [\"POST\", \"PUT\"], \
         client = [\"10.0.0.0/8\", \"127.0.0.0/8\"] }\nmode = \"observe\"\n\
         [[upstream.policy.rule]]\nwhen = { header = \"X-Far\", client = \"10.0.0.0/8\" }\nmode = \"observe\"",
    );
    for lines in [&[][..], &["X-App: modern"], &["X-App: LEGACY"], &["X-Far: yes"], &["X-Ap: legacy"]] {
        world.ask(message(lines)).assert_refused(400, "label_missing");
    }
    assert_eq!(world.upstream.connections(), 0);
    world.forwarded(message(&["x-app: legacy"]));
}

#[test]
fn p11_the_first_rule_that_holds_wins() {
    let world = world(
        "personal = \"allow\"\n[[upstream.policy.rule]]\nwhen = { header = \"X-One\" }\npersonal = \"refuse\"\n\
         [[upstream.policy.rule]]\nwhen = { method = \"POST\" }\npersonal = \"rewrite\"",
    );
    let personal = "X-Watson-Metadata: customer_id=bob@example.com";
    world.refused(message(&[personal, "X-One: 1"]), 400, "label_personal");
    let seen = world.forwarded(message(&[personal]));
    assert!(seen.values("x-watson-metadata")[0].starts_with("customer_id=fg_"), "{seen:?}");
}

#[test]
fn p11_a_rule_for_a_listener_holds_for_what_comes_in_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legacy.sock");
    let listen = format!("[[listen]]\naddress = \"unix:{}\"", path.display());
    let rule = format!(
        "rule = [{{ when = {{ listener = \"unix:{}\" }}, missing = \"derive\", derive = [{{ header = \"X-User\" }}] }}]",
        path.display()
    );
    let world = World::of(Plan { listen, policy: rule.leak(), ..Plan::default() });
    let user = "X-User: carol";
    world.refused(message(&[user]), 400, "label_missing");

    let mut socket = UnixStream::connect(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(message(&[user]).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = world.upstream.seen();
    assert_eq!(seen.last().unwrap().values("x-watson-metadata"), ["customer_id=carol"]);
}

#[test]
fn p6_a_rule_that_aliases_is_followed_by_log_queries_too() {
    let world = world("[[upstream.policy.rule]]\nwhen = { client = \"127.0.0.1\" }\nalias = \"always\"");
    let seen = world.forwarded(message(&[LABEL]));
    let alias = seen.values("x-watson-metadata")[0].strip_prefix("customer_id=").unwrap().to_owned();
    let logs = "GET /api/v1/workspaces/w/logs?version=2021-06-14&filter=customer_id::alice";
    let asked = world.forwarded(request(logs, &["Connection: close"], ""));
    let line = asked.line();
    assert!(alias.starts_with("fg_") && line.contains(&alias), "{line}");
}
