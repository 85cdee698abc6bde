//! The gate as a client's HTTP proxy: a whole URL for the target, CONNECT, and everything that is no way round (P1, P9).

use std::net::TcpListener;

use crate::client::{Answer, eventually};
use crate::upstream::Upstream;
use crate::world::{LABEL, Plan, World};

/// The host that the upstream names.
pub(crate) const HOST: &str = "service.test";
const MESSAGE: &str = "/v1/workspaces/w/message?version=2021-06-14";

pub(crate) fn plan(further: &str) -> Plan {
    Plan {
        listen: format!("mode = \"forward\"\n{further}"),
        route: "{ hosts = [\"service.test\"] }",
        ..Plan::default()
    }
}

fn world() -> World {
    World::of(plan(""))
}

fn get(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// What is refused reaches nobody: the one request behind it is the first that the service sees.
#[track_caller]
fn refused(world: &World, bytes: &str, status: u16, code: &str) -> Answer {
    let answer = world.ask(bytes);
    answer.assert_refused(status, code);
    assert_eq!(world.upstream.connections(), 0, "{bytes}");
    answer
}

#[test]
fn p1_p9_a_whole_url_finds_its_upstream_by_its_host_and_is_judged_as_every_request_is() {
    let world = world();
    refused(&world, &format!("POST http://{HOST}{MESSAGE} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"), 400, "label_missing");
    let hop = "Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive";
    let seen =
        world.forwarded(format!("POST http://{HOST}{MESSAGE} HTTP/1.1\r\nHost: {HOST}\r\n{LABEL}\r\n{hop}\r\n\r\n"));
    assert_eq!(seen.line(), format!("POST {MESSAGE} HTTP/1.1"));
    assert_eq!(seen.values("x-watson-metadata"), ["customer_id=alice"]);
    assert_eq!(seen.values("host"), [world.upstream.address.to_string()]);
    assert!(!seen.head.to_ascii_lowercase().contains("proxy-"), "{}", seen.head);
}

#[test]
fn p9_every_spelling_of_a_named_host_is_that_host() {
    let world = world();
    let spellings = ["service.test", "SERVICE.test", "service.test.", "service.test:80", "service.test:8080"];
    for (written, target) in spellings.into_iter().zip(spellings) {
        let answer = world.ask(format!("POST http://{target}{MESSAGE} HTTP/1.1\r\nHost: {written}\r\n\r\n"));
        answer.assert_refused(400, "label_missing");
    }
    // The scheme's own port may be written out in one of the two.
    let seen = world.forwarded(get("http://service.test:80/v1/workspaces", HOST));
    assert_eq!(seen.line(), "GET /v1/workspaces HTTP/1.1");
    let seen = world.forwarded("GET http://service.test/v1/workspaces HTTP/1.0\r\n\r\n");
    assert_eq!(seen.line(), "GET /v1/workspaces HTTP/1.1");
}

#[test]
fn p9_a_request_whose_host_could_be_two_is_refused() {
    for (target, host) in [
        ("http://service.test/v1/workspaces", "other.test"),
        ("http://other.test/v1/workspaces", "service.test"),
        ("http://service.test/v1/workspaces", "service.test:81"),
        ("http://x@service.test/v1/workspaces", "x@service.test"),
        ("http://x@service.test/v1/workspaces", "service.test"),
        ("https://service.test/v1/workspaces", "service.test"),
    ] {
        refused(&world(), &get(target, host), 400, "header_ambiguous");
    }
}

#[test]
fn p9_what_no_upstream_names_and_what_asks_no_proxy_is_refused() {
    for (target, host) in [
        ("http://other.test/v1/workspaces", "other.test"),
        ("http://service.test.other.test/", "service.test.other.test"),
        ("/v1/workspaces", "service.test"),
        ("/service/v1/workspaces", "service.test"),
    ] {
        refused(&world(), &get(target, host), 404, "upstream_unknown");
    }
    let answer = refused(&world(), "OPTIONS * HTTP/1.1\r\nHost: service.test\r\n\r\n", 404, "upstream_unknown");
    assert!(answer.reason.contains("HTTP proxy"), "{}", answer.reason);
}

#[test]
fn p12_a_request_that_has_been_through_this_gate_is_refused_and_one_through_another_passes() {
    let world = world();
    let through = |via: &str| {
        format!("GET http://{HOST}/v1/workspaces HTTP/1.1\r\nHost: {HOST}\r\nVia: 1.1 x\r\nVia: {via}\r\n\r\n")
    };
    let seen = world.forwarded(through("1.1 forgetgate (0123456789abcdef0123456789abcdef), 1.1 forgetgate"));
    let ours = seen.values("via").pop().unwrap();
    assert!(ours.starts_with("1.1 forgetgate (") && ours.ends_with(')'), "{ours}");
    world.ask(through(&ours)).assert_refused(400, "header_ambiguous");
    let answer = world.ask(through(&format!("1.0 theirs, {ours}, 1.1 more")));
    answer.assert_refused(400, "header_ambiguous");
    assert!(answer.reason.contains("circle"), "{}", answer.reason);
    // Another gate, even of the same configuration, is another.
    let other = World::of(plan(""));
    assert_eq!(other.forwarded(through(&ours)).values("via").len(), 3);
}

#[test]
fn p9_a_connect_that_could_be_read_in_two_ways_is_refused() {
    let world = world();
    for head in [
        "CONNECT service.test HTTP/1.1\r\nHost: service.test",
        "CONNECT service.test:0 HTTP/1.1\r\nHost: service.test:0",
        "CONNECT service.test:65536 HTTP/1.1\r\nHost: service.test:65536",
        "CONNECT x@service.test:80 HTTP/1.1\r\nHost: service.test:80",
        "CONNECT x:y@service.test:80 HTTP/1.1\r\nHost: service.test:80",
        "CONNECT http://service.test:80/ HTTP/1.1\r\nHost: service.test:80",
        "CONNECT /v1/workspaces HTTP/1.1\r\nHost: service.test",
        "CONNECT service.test:80 HTTP/1.1\r\nHost: other.test:80",
        "CONNECT service.test:80 HTTP/1.1\r\nHost: service.test:81",
        "CONNECT service.test:80 HTTP/1.1\r\nHost: service.test:80\r\nHost: service.test:80",
        "CONNECT service.test:80 HTTP/1.1",
        "CONNECT service.test:80 HTTP/1.1\r\nHost: service.test:80\r\nContent-Length: 4",
        "CONNECT service.test:80 HTTP/1.1\r\nHost: service.test:80\r\nTransfer-Encoding: chunked",
    ] {
        let mut client = world.client();
        let answer = client.ask(format!("{head}\r\n\r\n"));
        answer.assert_refused(400, "header_ambiguous");
        assert_eq!(client.rest_within_a_moment(), b"", "nothing behind it is answered");
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[test]
fn p9_a_tunnel_to_a_named_host_is_no_way_round() {
    let world = world();
    let mut client = world.client();
    client.send(format!("CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n"));
    assert_eq!(client.head(), "HTTP/1.1 200 Connection established");
    let ask = |client: &mut crate::client::Client, head: String| client.ask(format!("{head}\r\n\r\n"));
    ask(&mut client, format!("POST {MESSAGE} HTTP/1.1\r\nHost: {HOST}")).assert_refused(400, "label_missing");
    let answer = ask(&mut client, format!("POST {MESSAGE} HTTP/1.1\r\nHost: {HOST}\r\n{LABEL}"));
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(world.upstream.only().values("x-watson-metadata"), ["customer_id=alice"]);
    ask(&mut client, "GET /v1/workspaces HTTP/1.1\r\nHost: other.test".to_owned())
        .assert_refused(400, "header_ambiguous");

    let tunnelled = || {
        let mut client = world.client();
        // What comes in one piece with the CONNECT is not lost.
        client.send(format!("CONNECT {HOST}:80 HTTP/1.0\r\n\r\nGET /v1/workspaces HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
        assert_eq!(client.head(), "HTTP/1.1 200 Connection established");
        assert_eq!(client.answer().status, 200);
        client
    };
    let nested = format!("CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n");
    tunnelled().ask(nested).assert_refused(404, "upstream_unknown");
    let elsewhere = get("http://other.test/v1/workspaces", "other.test");
    tunnelled().ask(elsewhere).assert_refused(400, "header_ambiguous");
}

/// Whatever leads to this machine, its link or its metadata, in whatever spelling, and whatever the operator allows.
#[test]
fn p9_no_tunnel_leads_to_the_machine_itself() {
    let inner = TcpListener::bind("127.0.0.1:0").unwrap();
    inner.set_nonblocking(true).unwrap();
    let port = inner.local_addr().unwrap().port();
    let world = World::of(plan(&format!("others = \"tunnel\"\ntunnel_ports = [{port}]")));
    let [ours] = [world.address.port()];
    for host in [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:0.0.0.0]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let answer = world.ask(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"));
        assert!(matches!(answer.status, 404 | 502), "{host}: {}", answer.head);
        let code = if answer.status == 404 { "upstream_unknown" } else { "upstream_unreachable" };
        answer.assert_refused(answer.status, code);
        assert!(inner.accept().is_err(), "{host} was reached");
    }
    // An address has one spelling, whatever a resolver makes of others.
    for host in ["127.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0"] {
        let answer = world.ask(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"));
        answer.assert_refused(400, "header_ambiguous");
    }
    // A port that is not allowed is not even asked for: neither the gate's own, nor any other.
    for other in [ours, 22, 80, 443] {
        let answer = world.ask(format!("CONNECT 192.0.2.1:{other} HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"));
        answer.assert_refused(404, "upstream_unknown");
    }
}

/// The upstream's own address is as much a way to it as the host that it is known by.
#[test]
fn p9_others_are_refused_and_where_the_upstream_is_is_no_other() {
    let world = world();
    refused(&world, "CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n", 404, "upstream_unknown");
    let world = World::before(
        Upstream::scripted(),
        Plan { upstream: "held_labels_before = true".to_owned(), ..plan("others = \"tunnel\"") },
    );
    let address = world.upstream.address;
    refused(&world, &format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"), 404, "upstream_unknown");
}

#[test]
fn p12_a_tunnel_in_which_nothing_is_said_ends() {
    let world = World::of(Plan { limits: "header_timeout = \"300ms\"", ..plan("") });
    let mut client = world.client();
    client.send(format!("CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n"));
    assert_eq!(client.head(), "HTTP/1.1 200 Connection established");
    assert_eq!(client.rest(), b"");
    eventually("nothing is in flight", || world.in_flight() == 0);
}

/// Without an authority there is nothing to open TLS with: that is said before the handshake, where it can be read.
#[test]
fn p11_tls_that_cannot_be_opened_is_refused_in_words() {
    let world = world();
    let answer =
        refused(&world, "CONNECT service.test:443 HTTP/1.1\r\nHost: service.test:443\r\n\r\n", 404, "upstream_unknown");
    assert!(answer.reason.contains("no authority (ca)"), "{}", answer.reason);
}
