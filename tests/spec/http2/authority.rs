//! Whom a request of HTTP/2 is for, and what it may not say (RFC 9113 §8.2, §8.3).

use http::{Request, Version};

use super::caller::{Caller, Got, request, run};
use super::raw::Raw;
use crate::world::{PLAIN, Plan, World};

fn ask(world: &World, request: Request<()>) -> Got {
    run(async { Caller::to(world.address).await.ask(request).await })
}

/// A request without `:authority`.
fn unaddressed(hosts: &[&str]) -> Request<()> {
    let mut request = Request::builder().version(Version::HTTP_11).uri("/api/v1/workspaces");
    for host in hosts {
        request = request.header("host", *host);
    }
    request.body(()).unwrap()
}

fn addressed(authority: &str, hosts: &[&str]) -> Request<()> {
    let mut request = Request::builder().uri(format!("http://{authority}/api/v1/workspaces"));
    for host in hosts {
        request = request.header("host", *host);
    }
    request.body(()).unwrap()
}

#[test]
fn p9_an_authority_and_a_host_that_differ_are_refused() {
    let refused = [
        addressed("gate", &["evil"]),
        addressed("gate", &["gate", "evil"]),
        addressed("gate", &["gate:80"]),
        addressed("user@gate", &[]),
        unaddressed(&[]),
        unaddressed(&["gate", "evil"]),
        unaddressed(&["gate", "gate"]),
    ];
    let world = World::start();
    for request in refused {
        let case = format!("{:?} {:?}", request.uri(), request.headers());
        let got = ask(&world, request);
        assert_eq!(
            got.head.get("forgetgate-refusal").map(|code| code.as_bytes()),
            Some(&b"header_ambiguous"[..]),
            "{case}"
        );
        assert_eq!(got.status, 400);
    }
    world.assert_untouched();
}

#[test]
fn p8_one_authority_however_it_is_said_is_taken_and_the_service_is_sent_its_own() {
    for request in [
        addressed("gate", &[]),
        addressed("gate", &["GATE"]),
        addressed("gate:8080", &["gate:8080"]),
        unaddressed(&["gate"]),
    ] {
        let world = World::start();
        let case = format!("{:?} {:?}", request.uri(), request.headers());
        assert_eq!(ask(&world, request).status, 200, "{case}");
        assert_eq!(world.upstream.only().values("host"), [world.upstream.address.to_string()], "{case}");
    }
}

#[test]
fn p9_the_authority_chooses_the_route_as_a_host_does() {
    let world = World::of(Plan { route: "{ path = \"/api\", hosts = [\"one.test\"] }", ..Plan::default() });
    ask(&world, addressed("two.test", &[])).assert_refused(404, "upstream_unknown");
    assert_eq!(ask(&world, addressed("one.test:80", &[])).status, 200);
}

#[test]
fn p9_what_http_2_does_not_have_is_malformed() {
    let lines = [
        ("x-watson-metadata", " customer_id=alice"),
        ("x-watson-metadata", "customer_id=alice\t"),
        ("connection", "x-watson-metadata"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("X-Watson-Metadata", "customer_id=alice"),
        ("x-a", "b\r\nx-watson-metadata: customer_id=mallory"),
        ("x a", "b"),
        (":path", "/again"),
    ];
    let world = World::start();
    for (name, value) in lines {
        let mut raw = Raw::to(world.address);
        raw.ask(1, PLAIN, &[(name, value)]);
        assert!(raw.end_of(1).is_some_and(|code| code != 0), "{name}: {value:?}");
    }
    for path in ["GET http://evil/x", "GET @evil", "GET api/v1", "GET "] {
        let mut raw = Raw::to(world.address);
        raw.ask(1, path, &[]);
        assert_eq!(raw.end_of(1), Some(1), "{path}");
    }
    world.assert_untouched();
}

/// The library cuts a target at `#`, as most do. What is judged is what is sent.
#[test]
fn p9_a_fragment_is_neither_judged_nor_sent() {
    let world = World::start();
    let mut raw = Raw::to(world.address);
    raw.ask(1, &format!("{PLAIN}#/../w/message"), &[]);
    assert_eq!(raw.end_of(1), None);
    assert_eq!(world.upstream.only().line(), "GET /v1/workspaces HTTP/1.1");
}

#[test]
fn p9_connect_is_no_way_round() {
    let world = World::start();
    let plain = Request::connect("evil:443").body(()).unwrap();
    ask(&world, plain).assert_refused(404, "upstream_unknown");
    run(async {
        let caller = Caller::extended(world.address).await;
        let mut other = request("CONNECT /api/v1/workspaces", &[]);
        other.extensions_mut().insert(h2::ext::Protocol::from_static("connect-udp"));
        caller.ask(other).await.assert_refused(501, "header_ambiguous");
    });
    world.assert_untouched();
}
