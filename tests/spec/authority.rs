//! Which host a request is for: one name, or no answer but a refusal (P9, RFC 9112 §3.2).

use crate::client::request;
use crate::world::{LABEL, Plan, World};

const PATH: &str = "/api/v1/workspaces/w/message";

fn to(target: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    format!("POST {target} HTTP/1.1\r\n{hosts}{LABEL}\r\nContent-Length: 2\r\n\r\n{{}}")
}

#[test]
fn p9_two_hosts_or_none_are_refused() {
    World::start().refused(to(PATH, &["gate", "evil"]), 400, "header_ambiguous");
    World::start().refused(to(PATH, &["gate", "gate"]), 400, "header_ambiguous");
    World::start().refused(to(PATH, &[]), 400, "header_ambiguous");
}

#[test]
fn p9_a_target_that_names_another_host_is_refused() {
    for (target, host) in [
        ("evil", "gate"),
        ("gate:81", "gate"),
        ("user@gate", "gate"),
        ("user@gate", "user@gate"),
        ("gate", "gate@evil"),
    ] {
        World::start().refused(to(&format!("http://{target}{PATH}"), &[host]), 400, "header_ambiguous");
    }
}

#[test]
fn p8_a_target_in_absolute_form_goes_on_in_origin_form() {
    let world = World::start();
    for (target, host) in [("gate", "gate"), ("GATE:8080", "gate:8080")] {
        let seen = world.forwarded(to(&format!("http://{target}{PATH}?a=b"), &[host]));
        assert_eq!(seen.line(), "POST /v1/workspaces/w/message?a=b HTTP/1.1");
    }
}

#[test]
fn p8_the_host_becomes_the_upstreams_own_in_its_place() {
    let world = World::start();
    let sent = "GET /api/v1/workspaces HTTP/1.1\r\nA: 1\r\nhOST: anything.example:99\r\nB: 2\r\n\r\n";
    let seen = world.forwarded(sent);
    assert_eq!(seen.lines(), ["A: 1", &format!("hOST: {}", world.upstream.address), "B: 2"]);
}

#[test]
fn p8_http_1_0_may_do_without_a_host() {
    let world = World::start();
    let seen = world.forwarded("GET /api/v1/workspaces HTTP/1.0\r\n\r\n");
    assert_eq!(seen.values("host"), [world.upstream.address.to_string()]);
    assert_eq!(seen.line(), "GET /v1/workspaces HTTP/1.1");
}

#[test]
fn p9_a_route_by_host_looks_at_the_one_host() {
    let route = "{ hosts = [\"gateway.watsonplatform.net\"] }";
    let by_host = || World::of(Plan { route, ..Plan::default() });
    let world = by_host();
    let get = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["gateway.watsonplatform.net", "GateWay.WatsonPlatform.Net", "gateway.watsonplatform.net:443"] {
        assert_eq!(world.forwarded(get("/v1/workspaces", host)).line(), "GET /v1/workspaces HTTP/1.1");
    }
    for (host, status, code) in [
        ("evil", 404, "upstream_unknown"),
        ("gateway.watsonplatform.net.evil", 404, "upstream_unknown"),
        ("xgateway.watsonplatform.net", 404, "upstream_unknown"),
        ("gateway.watsonplatform.net@evil", 400, "header_ambiguous"),
    ] {
        let world = by_host();
        world.ask(get("/v1/workspaces", host)).assert_refused(status, code);
        assert_eq!(world.upstream.connections(), 0);
    }
    let mismatch = get("http://gateway.watsonplatform.net/v1/workspaces", "evil");
    by_host().ask(mismatch).assert_refused(400, "header_ambiguous");
}

#[test]
fn p9_the_asterisk_form_is_its_own_case() {
    let world = World::of(Plan { route: "{ path = \"/\" }", base: "/base", ..Plan::default() });
    assert_eq!(world.forwarded(request("OPTIONS *", &[], "")).line(), "OPTIONS * HTTP/1.1");
    for method in ["GET", "POST", "DELETE"] {
        world.ask(request(&format!("{method} *"), &[], "")).assert_refused(400, "path_ambiguous");
    }
    World::start().refused(request("OPTIONS *", &[], ""), 404, "upstream_unknown");
}

#[test]
fn p9_targets_of_no_known_form_are_no_requests() {
    for target in ["api/v1/workspaces", "@evil/x", "", "gate:80"] {
        let world = World::start();
        let mut client = world.client();
        client.send(request(&format!("GET {target}"), &[], ""));
        assert!(client.answer().status >= 400, "{target}");
        world.assert_untouched();
    }
}
