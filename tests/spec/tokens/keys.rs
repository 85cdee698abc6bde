//! The keys: fetched before they are needed, once early when an unknown one appears, kept when their server is away.

use std::sync::mpsc::channel;

use serde_json::json;

use super::issuer::{Key, Server, answer, bearer, policy, set, verified};
use super::{label, message, world};
use crate::client::eventually;
use crate::upstream::{Reply, Upstream};
use crate::world::World;

#[test]
fn p11_keys_are_fetched_before_the_first_request_and_a_rotation_causes_one_early_fetch() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let (world, server) = world(&old, true);
    assert_eq!(server.asked(), 1);
    assert_eq!(label(&world, &[&old.line("u-1")]), "customer_id=u-1");
    assert_eq!(server.asked(), 1);
    server.show(&[&old, &new]);
    assert_eq!(label(&world, &[&new.line("u-2")]), "customer_id=u-2");
    assert_eq!(server.asked(), 2);
    // Whatever names a key that nobody knows, there is no other in half a minute.
    let unknown: Vec<Key> = ["a", "b", "c", "new"].map(Key::new).into();
    for key in unknown.iter().cycle().take(40) {
        world.ask(message(&[&key.line("victim")])).assert_refused(400, "token_invalid");
    }
    assert_eq!(label(&world, &[&old.line("u-1")]), "customer_id=u-1");
    assert_eq!(server.asked(), 2);
    assert_eq!(world.metric("forgetgate_token_key_fetches_total{result=\"fetched\"}"), 2);
}

#[test]
fn p11_a_key_that_the_issuer_has_withdrawn_is_not_believed_once_that_is_known() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let (world, server) = world(&old, true);
    server.show(&[&new]);
    assert_eq!(label(&world, &[&new.line("u-2")]), "customer_id=u-2");
    world.ask(message(&[&old.line("u-1")])).assert_refused(400, "token_invalid");
}

/// A token without `kid` could be signed with any of them, also with one that was shown since.
#[test]
fn p1_a_token_without_the_name_of_its_key_is_tried_with_those_that_fit() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let (world, server) = world(&old, true);
    let nameless = |key: &Key| bearer(&key.signed(&json!({ "alg": "ES256" }), &json!({})));
    assert_eq!(label(&world, &[&nameless(&old)]), "customer_id=u-1");
    server.show(&[&old, &new]);
    assert_eq!(label(&world, &[&nameless(&new)]), "customer_id=u-1");
    assert_eq!(server.asked(), 2);
}

#[test]
fn p11_known_keys_are_kept_while_their_server_is_away_and_what_cannot_be_told_is_a_503() {
    let key = Key::new("k");
    let (world, server) = world(&key, true);
    server.away();
    let refused = world.ask(message(&[&Key::new("other").line("u-1")]));
    refused.assert_refused(503, "keys_unavailable");
    assert_eq!(refused.value("retry-after"), "1");
    assert_eq!(label(&world, &[&key.line("u-1")]), "customer_id=u-1");
    assert_eq!(world.metric("forgetgate_token_key_sets_failing"), 1);
    server.show(&[&key]);
    eventually("the keys are fetched again", || world.metric("forgetgate_token_key_sets_failing") == 0);
    world.ask(message(&[&Key::new("other").line("u-1")])).assert_refused(400, "token_invalid");
}

#[test]
fn p11_until_the_first_keys_have_come_a_token_is_a_503_whatever_else_names_a_customer() {
    let key = Key::new("k");
    let server = Server::showing(&[&key]);
    server.away();
    let places = format!("{}, {{ header = \"X-User-Id\" }}", verified(&format!("{{ url = \"{}\" }}", server.url())));
    let world = World::with_policy(policy(&places, false));
    let line = key.line("u-1");
    world.ask(message(&[&line, "X-User-Id: u-2"])).assert_refused(503, "keys_unavailable");
    // What needs no keys is not kept waiting.
    assert_eq!(label(&world, &["X-User-Id: u-2"]), "customer_id=u-2");
    assert_eq!(label(&world, &[&line, "X-Watson-Metadata: customer_id=bert"]), "customer_id=bert");
    assert_eq!(label(&world, &["Authorization: Bearer opaque", "X-User-Id: u-2"]), "customer_id=u-2");
    server.show(&[&key]);
    eventually("the first keys have come", || world.ask(message(&[&line])).status == 200);
    assert_eq!(label(&world, &[&line, "X-User-Id: u-2"]), "customer_id=u-1");
}

/// Where several issuers are trusted, one whose server is away takes nothing from the customers of another.
#[test]
fn p11_a_token_of_one_issuer_needs_no_keys_of_another() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let (first, second) = (Server::showing(&[&one]), Server::showing(&[&two]));
    let places = [("https://one.test", &first), ("https://two.test", &second)].map(|(issuer, server)| {
        format!("{{ jwt = \"sub\", jwks = {{ url = \"{}\" }}, issuer = \"{issuer}\" }}", server.url())
    });
    let line = |key: &Key, issuer: &str| bearer(&key.token(&json!({ "iss": issuer, "sub": "u-2" })));
    let never = Server::showing(&[&one]);
    never.away();
    let nowhere = places[0].replace(&first.url(), &never.url());
    for first_place in [&places[0], &nowhere] {
        let world = World::with_policy(policy(&format!("{first_place}, {}", places[1]), true));
        first.away();
        let asked = first.asked();
        assert_eq!(label(&world, &[&line(&two, "https://two.test")]), "customer_id=u-2");
        // Neither does one that has expired, or is of nobody that is trusted.
        let over = bearer(&one.token(&json!({ "iss": "https://one.test", "exp": 1_700_000_000 })));
        for bad in [over, line(&Key::new("other"), "https://other.test")] {
            world.ask(message(&[&bad])).assert_refused(400, "token_invalid");
        }
        assert_eq!(first.asked(), asked);
        world.ask(message(&[&line(&Key::new("new"), "https://one.test")])).assert_refused(503, "keys_unavailable");
        first.show(&[&one]);
    }
}

#[test]
fn p12_what_is_no_set_of_keys_is_not_believed_and_a_redirect_is_not_followed() {
    let key = Key::new("k");
    let elsewhere = Server::showing(&[&key]);
    let many: Vec<&Key> = std::iter::repeat_n(&key, 65).collect();
    let large = format!("{}{}", set(&[&key]), " ".repeat(256 * 1024));
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    let cut = answer(200, &set(&[&key])).replace("Content-Length: ", "Content-Length: 9");
    let bad = [
        answer(200, &set(&many)),
        answer(200, &large),
        answer(200, "<html>sign in</html>"),
        answer(200, "{\"keys\":[]}"),
        answer(200, ""),
        answer(404, &set(&[&key])),
        answer(203, &set(&[&key])),
        cut,
        redirect,
        "nonsense\r\n\r\n".to_owned(),
    ];
    for shown in bad {
        let server = Server::answering(&shown);
        let places = verified(&format!("{{ url = \"{}\" }}", server.url()));
        let world = World::with_policy(policy(&places, true));
        let answer = world.ask(message(&[&key.line("u-1")]));
        answer.assert_refused(503, "keys_unavailable");
        assert_eq!(world.metric("forgetgate_token_key_fetches_total{result=\"fetched\"}"), 0, "{shown:.80}");
        assert!(world.metric("forgetgate_token_key_fetches_total{result=\"failed\"}") > 0);
    }
    assert_eq!(elsewhere.asked(), 0);
}

/// Neither the start nor a request waits for a server that says nothing.
#[test]
fn p12_a_key_server_that_hangs_keeps_nobody_waiting() {
    let key = Key::new("k");
    let service = Upstream::scripted();
    let (tell, told) = channel();
    service.will(Reply::When(told, answer(200, &set(&[&key])).into()));
    let places = verified(&format!("{{ url = \"http://{}/keys?p=1\" }}", service.address));
    let world = World::with_policy(policy(&places, true));
    world.ask(message(&[&key.line("u-1")])).assert_refused(503, "keys_unavailable");
    tell.send(()).unwrap();
    eventually("the keys have come", || world.ask(message(&[&key.line("u-1")])).status == 200);
    assert_eq!(service.seen()[0].line(), "GET /keys?p=1 HTTP/1.1");
}
