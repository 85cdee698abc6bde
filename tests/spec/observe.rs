//! `mode = "observe"`: nothing is derived, rewritten or refused by policy; what is ambiguous is refused all the same.

use crate::client::request;
use crate::world::{LABEL, MESSAGE, Plan, World};

fn observing() -> World {
    World::with_policy("mode = \"observe\"\nunknown = \"refuse\"\nbeta = \"refuse\"\nseveral = \"refuse\"")
}

fn message(lines: &[&str]) -> String {
    request(MESSAGE, &[lines, &["Content-Length: 2"]].concat(), "{}")
}

#[test]
fn p11_observing_lets_through_what_would_be_refused_and_changes_no_label() {
    let world = observing();
    for value in [
        "customer_id=bob@example.com",
        "customer_id=a%41",
        "customer_id=a;customer_id=b",
        "",
        "nonsense",
        "customer_id=a=b",
    ] {
        let seen = world.forwarded(message(&[&format!("X-Watson-Metadata: {value}")]));
        assert_eq!(seen.values("x-watson-metadata"), [value]);
    }
    assert_eq!(world.forwarded(message(&[])).values("x-watson-metadata"), Vec::<String>::new());
    assert_eq!(world.forwarded(request("GET /api/v1/unheard/of", &[], "")).line(), "GET /v1/unheard/of HTTP/1.1");
}

#[test]
fn p11_observing_still_opts_out() {
    let seen = observing().forwarded(message(&["X-Watson-Learning-Opt-Out: false"]));
    assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"]);
}

#[test]
fn p11_observing_still_refuses_what_is_ambiguous() {
    observing().refused(message(&[LABEL, LABEL]), 400, "header_ambiguous");
    observing().refused(message(&["Connection: X-Watson-Metadata"]), 400, "header_ambiguous");
    observing().refused(message(&["X_Watson_Metadata: customer_id=a"]), 400, "header_ambiguous");
    let world = observing();
    world.ask(request("POST /api/v1/workspaces/x/../w/message", &[], "")).assert_refused(400, "path_ambiguous");
    assert_eq!(world.upstream.connections(), 0);
}

#[test]
fn p11_what_is_not_observed_is_refused_by_policy() {
    let enforcing = || World::with_policy("unknown = \"refuse\"");
    let world = enforcing();
    world.ask(request("GET /api/v1/unheard/of", &[], "")).assert_refused(400, "endpoint_unknown");
    assert_eq!(world.upstream.connections(), 0);
    enforcing().forwarded(message(&[LABEL]));
    let plan = Plan { profile: "watson-text-to-speech", policy: "beta = \"refuse\"", ..Plan::default() };
    let world = World::of(plan);
    world.ask(request("POST /api/v1/speakers", &[], "")).assert_refused(400, "beta_refused");
    assert_eq!(world.upstream.connections(), 0);
}
