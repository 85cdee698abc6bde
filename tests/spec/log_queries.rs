//! P6: a log query finds what was labelled: the ID in its filter is written as the label was.

use crate::client::request;
use crate::world::{MESSAGE, World};

const LOGS: &str = "GET /api/v1/workspaces/w/logs?version=2021-06-14";

/// The alias under which a customer's messages are labelled.
fn alias(world: &World, id: &str) -> String {
    let seen = world.forwarded(request(
        MESSAGE,
        &[&format!("X-Watson-Metadata: customer_id={id}"), "Content-Length: 2"],
        "{}",
    ));
    seen.values("x-watson-metadata")[0].strip_prefix("customer_id=").unwrap().to_owned()
}

fn query(world: &World, line: &str) -> String {
    let seen = world.forwarded(request(line, &[], ""));
    let target = seen.line().split(' ').nth(1).unwrap().to_owned();
    target.split_once('?').map_or_else(String::new, |(_, query)| query.to_owned())
}

fn unescaped(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

#[test]
fn p6_an_aliased_id_in_a_filter_is_aliased_in_every_spelling() {
    let world = World::start();
    let alias = alias(&world, "bob@example.com");
    for filter in [
        "customer_id::bob@example.com",
        "customer_id%3A%3Abob%40example.com",
        "customer_id::%22bob@example.com%22",
        "language::en,customer_id::bob%40example.com",
        "(customer_id:bob@example.com|customer_id::alice)",
    ] {
        let got = query(&world, &format!("{LOGS}&filter={filter}&page_limit=1"));
        assert!(got.starts_with("version=2021-06-14&filter=") && got.ends_with("&page_limit=1"), "{got}");
        assert!(!unescaped(&got).contains("bob"), "{got}");
        assert_eq!(unescaped(&got).matches(&alias).count(), 1, "{got}");
    }
    let got = query(&world, &format!("{LOGS}&Fil%74er=customer_id::bob@example.com"));
    assert!(unescaped(&got).contains(&alias), "{got}");
}

#[test]
fn p6_a_query_over_all_workspaces_and_of_v2_is_rewritten_too() {
    let world = World::start();
    let alias = alias(&world, "bob@example.com");
    for line in
        ["GET /api/v1/logs", "GET /api/v2/assistants/a/logs", "HEAD /api/v1/logs", "GET /api/instances/i/v1/logs/"]
    {
        let mut client = world.client();
        let before = world.upstream.seen().len();
        client.send(request(&format!("{line}?filter=customer_id::bob%40example.com"), &[], ""));
        assert_eq!(client.answer_to(line.split(' ').next().unwrap()).status, 200);
        let seen = world.upstream.saw(before + 1).pop().unwrap();
        assert!(unescaped(seen.line()).contains(&format!("customer_id::\"{alias}\"")), "{}", seen.line());
    }
}

#[test]
fn p8_other_filters_keep_their_bytes() {
    let world = World::start();
    for filter in [
        "customer_id::alice",
        "customer_id%3a%3Aalice",
        "request.input.text::%22bob@example.com%22",
        "%22customer_id::bob@example.com%22",
        "my_customer_id::bob@example.com",
        "",
        "%ff",
    ] {
        let sent = format!("version=2021-06-14&filter={filter}&a=%7e+b&&c");
        assert_eq!(query(&world, &format!("GET /api/v1/workspaces/w/logs?{sent}")), sent);
    }
    let sent = "filter=customer_id::bob@example.com";
    assert_eq!(query(&world, &format!("GET /api/v1/workspaces?{sent}")), sent, "another call's filter is its own");
}

/// Such a filter would find nothing of the customer's, and leave as it is where no ID may.
#[test]
fn p6_a_filter_for_what_is_no_id_is_refused_as_its_label_is() {
    for (id, code) in
        [("undefined", "label_placeholder"), ("%22bob%20%22", "label_invalid"), ("%22%22", "label_missing")]
    {
        for policy in ["", "alias = \"always\""] {
            let line = format!("{LOGS}&filter=customer_id::{id}");
            World::with_policy(policy).refused(request(&line, &[], ""), 400, code);
        }
    }
    let line = format!("{LOGS}&filter=customer_id::%ff");
    World::start().refused(request(&line, &[], ""), 400, "label_invalid");
}

#[test]
fn p6_under_another_policy_the_filter_is_another() {
    let sent = "filter=customer_id::alice&version=1";
    let world = World::with_policy("alias = \"always\"");
    let alias = alias(&world, "alice");
    let got = query(&world, &format!("GET /api/v1/logs?{sent}"));
    assert_eq!(unescaped(&got), format!("filter=customer_id::\"{alias}\"&version=1"));
    for policy in ["personal = \"allow\"", "mode = \"observe\""] {
        let sent = "filter=customer_id::bob@example.com";
        assert_eq!(query(&World::with_policy(policy), &format!("GET /api/v1/logs?{sent}")), sent);
    }
}
