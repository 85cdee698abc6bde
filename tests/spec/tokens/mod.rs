//! A customer that a verified token names (P1, P9): what is verified, what stands in place of a caller's own label, and what
//! becomes of the keys.

mod issuer;
mod keys;
mod reload;

use serde_json::{Value, json};

use self::issuer::{Key, Server, answer, bearer, part, policy, verified};
use crate::client::{Answer, request};
use crate::world::{MESSAGE, PLAIN, Plan, World};
use crate::{upstream, websocket};

pub(crate) fn message(lines: &[&str]) -> String {
    request(MESSAGE, &[lines, &["Content-Length: 2"]].concat(), "{}")
}

#[track_caller]
fn label(world: &World, lines: &[&str]) -> String {
    let [label] = world.forwarded(message(lines)).values("x-watson-metadata").try_into().unwrap();
    label
}

/// A gate that believes the tokens of this key alone.
fn world(key: &Key, overrides: bool) -> (World, Server) {
    let server = Server::showing(&[key]);
    let places = verified(&format!("{{ url = \"{}\" }}", server.url()));
    (World::with_policy(policy(&places, overrides)), server)
}

fn sentence(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[test]
fn p1_a_call_is_labelled_by_a_token_of_every_algorithm() {
    let vectors: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let server = Server::answering(&answer(200, &vectors["keys"].to_string()));
    let places = verified(&format!("{{ url = \"{}\" }}", server.url()));
    let world = World::with_policy(policy(&places, true));
    for token in vectors["tokens"].as_object().unwrap().values() {
        let line = bearer(token.as_str().unwrap());
        let seen = world.forwarded(message(&[&line]));
        assert_eq!(seen.values("x-watson-metadata"), ["customer_id=u-1"]);
        assert_eq!(seen.values("authorization"), [line.split_once(": ").unwrap().1]);
    }
    let confused = bearer(vectors["hs256"].as_str().unwrap());
    world.ask(message(&[&confused])).assert_refused(400, "token_invalid");
    assert_eq!(server.asked(), 1);
}

/// What is wrong with each, and a word of the sentence that says so.
fn bad_tokens(key: &Key) -> Vec<(String, &'static str)> {
    let other = Key::new("k");
    let good = key.token(&json!({ "sub": "victim" }));
    let [_, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = part(&json!({ "alg": "none", "kid": "k" }));
    let claims = |more: Value| key.token(&more);
    vec![
        (other.token(&json!({ "sub": "victim" })), "signature"),
        (format!("{none}.{payload}."), "algorithm"),
        (format!("{none}.{payload}.{signature}"), "algorithm"),
        (key.signed(&json!({ "alg": "HS256", "kid": "k" }), &json!({})), "algorithm"),
        (key.signed(&json!({ "alg": "RS256", "kid": "k" }), &json!({})), "algorithm"),
        (key.signed(&json!({ "alg": "ES256", "kid": "k", "crit": ["x"] }), &json!({})), "extension"),
        (claims(json!({ "exp": 1_700_000_000 })), "expired"),
        (claims(json!({ "exp": null })), "no expiry"),
        (claims(json!({ "nbf": 4_102_444_000_u64 })), "not valid yet"),
        (claims(json!({ "iss": "https://other.test" })), "issuer"),
        (claims(json!({ "aud": "other" })), "audience"),
        (claims(json!({ "aud": ["other", "gate2"] })), "audience"),
        (claims(json!({ "sub": null })), "claim"),
        (claims(json!({ "sub": " " })), "claim"),
        ("opaque-canary".to_owned(), "no signed JSON Web Token"),
        (format!("{good}.{good}"), "no signed JSON Web Token"),
    ]
}

#[test]
fn p9_a_token_that_does_not_verify_names_nobody_and_the_refusal_says_what_is_wrong_without_it() {
    let key = Key::new("k");
    let (overriding, _server) = world(&key, true);
    let (plain, server) = world(&key, false);
    let places = format!("{}, {{ header = \"X-User-Id\" }}", verified(&format!("{{ url = \"{}\" }}", server.url())));
    let with_next = World::with_policy(policy(&places, false));
    for (token, word) in bad_tokens(&key) {
        let line = bearer(&token);
        for (world, code) in [(&overriding, "token_invalid"), (&plain, "label_missing")] {
            let answer = world.ask(message(&[&line]));
            answer.assert_refused(400, code);
            assert!(sentence(&answer).contains(word), "{word}: {}", sentence(&answer));
            let all = format!("{}{}", answer.head, answer.text());
            assert!(token.split('.').all(|part| part.len() < 8 || !all.contains(part)), "{all}");
            assert!(!all.contains("victim") && !all.contains("canary"), "{all}");
        }
        // A label says whose data it is where the token cannot; with override it says nothing.
        let labelled = "X-Watson-Metadata: customer_id=mallory";
        overriding.ask(message(&[&line, labelled])).assert_refused(400, "token_invalid");
        assert_eq!(label(&plain, &[&line, labelled]), "customer_id=mallory");
        assert_eq!(label(&with_next, &[&line, "X-User-Id: u-2"]), "customer_id=u-2");
    }
    overriding.ask(message(&[])).assert_refused(400, "token_invalid");
    overriding.ask(message(&["Authorization: Basic dTpw"])).assert_refused(400, "token_invalid");
    plain.ask(message(&[])).assert_refused(400, "label_missing");
    overriding.assert_untouched();
}

#[test]
fn p6_two_different_tokens_name_nobody() {
    let key = Key::new("k");
    let (one, two) = (key.line("u-1"), key.line("u-2"));
    for overrides in [true, false] {
        let (world, _server) = world(&key, overrides);
        world.ask(message(&[&one, &two])).assert_refused(400, "label_conflict");
        world.ask(message(&[&one, "Authorization: Bearer x"])).assert_refused(400, "label_conflict");
        // Of which instance the request is would not be clear, as with any two.
        world.ask(message(&[&one, &one])).assert_refused(400, "header_ambiguous");
        world.assert_untouched();
    }
}

#[test]
fn p9_with_override_a_forged_label_is_replaced_and_its_other_parts_stay() {
    let key = Key::new("k");
    let (world, _server) = world(&key, true);
    let line = key.line("alice");
    for (forged, sent) in [
        ("customer_id=victim", "customer_id=alice"),
        ("customer_id=alice", "customer_id=alice"),
        ("platform=iOS;customer_id=victim;v=2", "platform=iOS;customer_id=alice;v=2"),
        ("Customer_ID=victim; customer_id = other;v=2", "customer_id=alice;v=2"),
        ("customer_id=undefined", "customer_id=alice"),
        ("customer_id=bob@example.com", "customer_id=alice"),
        ("customer_id=", "customer_id=alice"),
        ("v=2", "v=2;customer_id=alice"),
    ] {
        assert_eq!(label(&world, &[&format!("X-Watson-Metadata: {forged}"), &line]), sent, "{forged}");
    }
    assert_eq!(world.metric("forgetgate_labels_overridden_total{upstream=\"service\"}"), 5);
    // In the query of an ordinary call.
    let target = MESSAGE.replace('?', "?x-watson-metadata=v%3D2%3Bcustomer_id%3Dvictim&");
    let seen = world.forwarded(request(&target, &[&line, "Content-Length: 2"], "{}"));
    assert!(!seen.head.contains("victim"), "{}", seen.head);
    assert_eq!(seen.values("x-watson-metadata"), ["v=2;customer_id=alice"]);
    // What could be read as another customer is refused, whoever is written beside it.
    for unreadable in ["customer%5Fid=victim;customer_id=a", "x,customer_id=victim", "customer_id=a;stray"] {
        let line_of_label = format!("X-Watson-Metadata: {unreadable}");
        world.ask(message(&[&line_of_label, &line])).assert_refused(400, "label_invalid");
    }
    // What is derived is judged like any label.
    let alias = label(&world, &[&key.line("bob@example.com"), "X-Watson-Metadata: customer_id=victim"]);
    assert!(alias.starts_with("customer_id=fg_"), "{alias}");
    world.ask(message(&[&key.line("undefined")])).assert_refused(400, "label_placeholder");
}

#[test]
fn p1_without_override_a_label_of_the_callers_wins_and_observing_changes_nothing() {
    let key = Key::new("k");
    let (by_label, server) = world(&key, false);
    let line = key.line("alice");
    assert_eq!(label(&by_label, &["X-Watson-Metadata: customer_id=bert", &line]), "customer_id=bert");
    assert_eq!(label(&by_label, &["X-Watson-Metadata: v=2", &line]), "v=2;customer_id=alice");
    let observing =
        format!("{}\nmode = \"observe\"", policy(&verified(&format!("{{ url = \"{}\" }}", server.url())), true));
    let observing = World::with_policy(observing.leak());
    assert_eq!(label(&observing, &["X-Watson-Metadata: customer_id=bert", &line]), "customer_id=bert");
    // Calls that store nothing need no token.
    assert_eq!(world(&key, true).0.ask(request(PLAIN, &[], "")).status, 200);
}

#[test]
fn p9_with_override_a_forged_label_is_replaced_on_a_websocket_too() {
    let key = Key::new("k");
    let server = Server::showing(&[&key]);
    let policy = policy(&verified(&format!("{{ url = \"{}\" }}", server.url())), true);
    let line = key.line("alice");
    let forged = "X-Watson-Metadata: v=2;customer_id=victim";
    for (query, lines, label) in [
        ("?x-watson-metadata=customer_id%3Dvictim", vec![line.as_str()], "customer_id%3Dalice"),
        ("", vec![&line, forged], "v%3D2%3Bcustomer_id%3Dalice"),
        ("?X-Watson-Metadata=v=2;customer_id%3Dvictim", vec![&line, forged], "v%3D2%3Bcustomer_id%3Dalice"),
        ("", vec![&line], "customer_id%3Dalice"),
    ] {
        let head = websocket::seen(&format!("{}{query}", websocket::RECOGNIZE), &lines, policy);
        assert!(head.contains(&format!("x-watson-metadata={label}&")), "{query} {lines:?}: {head}");
        assert!(!head.contains("victim"), "{head}");
    }
    let world = websocket::speech(upstream::Upstream::scripted(), policy);
    let refused = world
        .ask(websocket::handshake(&format!("{}?x-watson-metadata=customer_id%3Dvictim", websocket::RECOGNIZE), &[]));
    refused.assert_refused(400, "token_invalid");
    let differing = websocket::handshake(
        &format!("{}?x-watson-metadata=customer_id%3Dvictim", websocket::RECOGNIZE),
        &[&line, "X-Watson-Metadata: customer_id=other"],
    );
    world.ask(differing).assert_refused(400, "label_conflict");
}

/// The claim, the issuer and the audience are the operator's, and several issuers may stand side by side.
#[test]
fn p1_tokens_of_two_issuers_are_each_verified_with_their_own_keys() {
    let (one, two) = (Key::new("k"), Key::new("k"));
    let (first, second) = (Server::showing(&[&one]), Server::showing(&[&two]));
    let places = format!(
        "{}, {{ jwt = \"email\", jwks = {{ url = \"{}\" }}, issuer = \"https://two.test\" }}",
        verified(&format!("{{ url = \"{}\" }}", first.url())),
        second.url()
    );
    let world = World::of(Plan { policy: policy(&places, true), ..Plan::default() });
    assert_eq!(label(&world, &[&one.line("u-1")]), "customer_id=u-1");
    let by_two =
        |key: &Key| bearer(&key.token(&json!({ "iss": "https://two.test", "email": "u-2", "aud": "whoever" })));
    assert_eq!(label(&world, &[&by_two(&two)]), "customer_id=u-2");
    world.ask(message(&[&by_two(&one)])).assert_refused(400, "token_invalid");
    world.ask(message(&[&two.line("u-1")])).assert_refused(400, "token_invalid");
}
