//! P1 for legacy callers that send no label: the ID is found where the operator says it is, and nowhere else.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::client::request;
use crate::upstream::Seen;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn deriving(places: &'static str) -> World {
    let policy = format!("missing = \"derive\"\nderive = [ {places} ]");
    World::with_policy(policy.leak())
}

fn label(seen: &Seen) -> String {
    let [label] = seen.values("x-watson-metadata").try_into().unwrap_or_else(|labels| panic!("{labels:?}"));
    label
}

fn with(lines: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    request(MESSAGE, &[lines, &[&length]].concat(), body)
}

const JSON: &str = "Content-Type: application/json; charset=utf-8";

#[test]
fn p1_an_id_is_derived_from_the_head() {
    // {"sub":"u-1"}
    let token = "Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEifQ.";
    let cases = [
        ("{ header = \"X-User-Id\" }", with(&["x-user-ID: u-1"], "{}")),
        ("{ query = \"user\" }", with(&[], "{}").replace("?version", "?user=u%2D1&version")),
        ("{ cookie = \"uid\" }", with(&["Cookie: a=b; uid=u-1", "Cookie: c=d"], "{}")),
        ("{ basic = \"username\" }", with(&["Authorization: Basic dS0xOnNlY3JldA=="], "{}")),
        ("{ jwt = \"sub\" }", with(&[token], "{}")),
    ];
    for (places, sent) in cases {
        let seen = deriving(places).forwarded(&sent);
        assert_eq!((label(&seen).as_str(), seen.body.as_slice()), ("customer_id=u-1", &b"{}"[..]), "{places}");
        let nothing = deriving(places).ask(with(&["X-Other: u-1"], "{}"));
        nothing.assert_refused(400, "label_missing");
    }
}

#[test]
fn p1_the_first_hit_wins_and_a_label_of_the_callers_wins_over_all() {
    let world = deriving("{ header = \"X-User-Id\" }, { json = \"/user_id\" }");
    let body = "{\"user_id\":\"from-body\"}";
    assert_eq!(label(&world.forwarded(with(&["X-User-Id: from-head", JSON], body))), "customer_id=from-head");
    assert_eq!(label(&world.forwarded(with(&["X-User-Id:  ", JSON], body))), "customer_id=from-body");
    assert_eq!(label(&world.forwarded(with(&[LABEL, "X-User-Id: from-head", JSON], body))), "customer_id=alice");
    let kept = world.forwarded(with(&["X-Watson-Metadata: platform=iOS", "X-User-Id: u-1"], "{}"));
    assert_eq!(label(&kept), "platform=iOS;customer_id=u-1");
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The same body in every framing and coding; what arrives is what was sent.
#[test]
fn p1_an_id_is_derived_from_a_json_body_in_every_framing_and_coding() {
    let world = deriving("{ json = \"/context/metadata/user_id\" }, { json = \"/user_id\" }");
    let text = br#"{"input":{"text":"hello"},"context":{"metadata":{"user_id":"u-1"}}}"#;
    let codings =
        [("identity", text.to_vec()), ("gzip", gzip(text)), ("x-gzip", gzip(text)), ("Deflate", deflate(text))];
    for (coding, body) in codings {
        for chunk in [body.len(), 1, 7] {
            let lines = [JSON, &format!("Content-Encoding: {coding}"), "Trailer: X-Sum", "Transfer-Encoding: chunked"];
            let mut sent = request(MESSAGE, &lines, "").into_bytes();
            for part in body.chunks(chunk) {
                sent.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                sent.extend_from_slice(part);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\nX-Sum: 1\r\nX-Watson-Metadata: customer_id=mallory\r\n\r\n");
            let seen = world.forwarded(&sent);
            assert_eq!((label(&seen).as_str(), &seen.body), ("customer_id=u-1", &body), "{coding} {chunk}");
            assert_eq!(seen.trailers, ["X-Sum: 1"]);
        }
        let mut sent = request(
            MESSAGE,
            &[JSON, &format!("Content-Encoding: {coding}"), &format!("Content-Length: {}", body.len())],
            "",
        )
        .into_bytes();
        sent.extend_from_slice(&body);
        let seen = world.forwarded(&sent);
        assert_eq!((label(&seen).as_str(), &seen.body), ("customer_id=u-1", &body), "{coding}");
    }
}

#[test]
fn p1_numbers_are_ids_and_other_things_are_not() {
    let world = deriving("{ json = \"/user_id\" }");
    assert_eq!(label(&world.forwarded(with(&[JSON], "{\"user_id\":4711}"))), "customer_id=4711");
    assert_eq!(
        label(&world.forwarded(with(&["Content-Type: application/x+json"], "{\"user_id\":\"u\"}"))),
        "customer_id=u"
    );
    let none = [
        "{\"user_id\":null}",
        "{\"user_id\":true}",
        "{\"user_id\":{}}",
        "{\"user_id\":\" \"}",
        "{\"user_id\":",
        "",
        "[]",
        "\u{feff}x",
    ];
    for body in none {
        world.ask(with(&[JSON], body)).assert_refused(400, "label_missing");
    }
    for kind in ["Content-Type: text/plain", "Content-Type: nonsense", "X: y"] {
        world.ask(with(&[kind], "{\"user_id\":\"u\"}")).assert_refused(400, "label_missing");
    }
    for coding in ["br", "gzip, gzip", "gzip"] {
        let sent = with(&[JSON, &format!("Content-Encoding: {coding}")], "{\"user_id\":\"u\"}");
        world.ask(sent).assert_refused(400, "label_missing");
    }
    assert!(world.upstream.seen().len() == 2);
}

/// Through a float two customers were one: both of these were 1.0820426803331138e+20.
#[test]
fn p6_a_number_keeps_its_own_digits_or_is_refused() {
    let world = deriving("{ json = \"/user_id\" }");
    for number in ["108204268033311374519", "108204268033311374520", "-7"] {
        let body = format!("{{\"user_id\":{number}}}");
        assert_eq!(label(&world.forwarded(with(&[JSON], &body))), format!("customer_id={number}"));
    }
    for number in ["1.10", "1.1", "1e3", "-0.0"] {
        world.ask(with(&[JSON], &format!("{{\"user_id\":{number}}}"))).assert_refused(400, "label_invalid");
    }
}

#[test]
fn p6_two_values_in_one_place_are_refused_and_so_is_json_that_is_not_in_utf_8() {
    let places = "{ header = \"X-User-Id\" }, { query = \"user\" }, { cookie = \"uid\" }, { json = \"/user_id\" }";
    let twice = [
        with(&["X-User-Id: a", "x-user-id: b"], "{}"),
        with(&[], "{}").replace("?version", "?user=a&user=b&version"),
        with(&["Cookie: uid=a; uid=b"], "{}"),
        with(&["Cookie: uid=a", "Cookie: uid=b"], "{}"),
        with(&[JSON], "{\"user_id\":\"a\",\"user_id\":\"b\"}"),
    ];
    for sent in twice {
        deriving(places).refused(sent, 400, "label_conflict");
    }
    let world = deriving(places);
    assert_eq!(label(&world.forwarded(with(&[JSON], "\u{feff}{\"user_id\":\"u-1\"}"))), "customer_id=u-1");
    let wide: String = "{\"user_id\":\"u-1\"}".chars().flat_map(|c| [c, '\0']).collect();
    world.ask(with(&[JSON], &wide)).assert_refused(400, "label_invalid");
    let charset = ["Content-Type: application/json; charset=utf-16"];
    world.ask(with(&charset, "{\"user_id\":\"u-1\"}")).assert_refused(400, "label_invalid");
}

/// What is derived is judged like any label.
#[test]
fn p1_a_derived_id_is_judged() {
    let places = "{ header = \"X-User-Id\" }";
    let alias = label(&deriving(places).forwarded(with(&["X-User-Id: bob@example.com"], "{}")));
    assert!(alias.starts_with("customer_id=fg_"), "{alias}");
    for bad in ["a;customer_id=b", "a=b", "a%41", "caf\u{e9}"] {
        deriving(places).refused(with(&[&format!("X-User-Id: {bad}")], "{}"), 400, "label_invalid");
    }
    let refusing =
        World::with_policy("missing = \"derive\"\nderive = [ { header = \"X-User-Id\" } ]\npersonal = \"refuse\"");
    refusing.refused(with(&["X-User-Id: bob@example.com"], "{}"), 400, "label_personal");
}

/// The ID goes into a header: it must not be able to end it.
#[test]
fn p9_a_derived_id_cannot_break_out_of_the_label() {
    let world = deriving("{ json = \"/user_id\" }, { query = \"user\" }");
    for body in [r#"{"user_id":"a\r\nX-Evil: 1"}"#, r#"{"user_id":"a\u0000b"}"#, r#"{"user_id":"a;customer_id=b"}"#] {
        world.ask(with(&[JSON], body)).assert_refused(400, "label_invalid");
    }
    let crlf = with(&[], "").replace("?version", "?user=a%0d%0aX-Evil:1&version");
    world.ask(crlf).assert_refused(400, "label_invalid");
    world.assert_untouched();
}

#[test]
fn p1_an_id_is_derived_from_a_part_of_a_multipart_body() {
    let places = "{ multipart = \"metadata\", json = \"/customer_id\" }, { multipart = \"user\" }";
    let policy: &'static str = format!("missing = \"derive\"\nderive = [ {places} ]").leak();
    let world = World::of(Plan { profile: "watson-discovery", policy, ..Plan::default() });
    let kind = "Content-Type: multipart/form-data; boundary=\"x y\"";
    let body = |name: &str, text: &str| {
        format!(
            "--x y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n\
             --x y\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n--x y--\r\n",
            "f".repeat(10_000)
        )
    };
    let send = |body: &str| {
        let length = format!("Content-Length: {}", body.len());
        request("POST /api/v2/projects/p/collections/c/documents?version=2020-08-30", &[kind, &length], body)
    };
    for (name, text) in [("metadata", "{\"customer_id\":\"u-1\"}"), ("user", "u-1")] {
        let body = body(name, text);
        let seen = world.forwarded(send(&body));
        assert_eq!((label(&seen).as_str(), seen.body.as_slice()), ("customer_id=u-1", body.as_bytes()));
    }
    world.ask(send(&body("other", "u-1"))).assert_refused(400, "label_missing");
    world.ask(send("no multipart")).assert_refused(400, "label_missing");
}

const SMALL: &str = "inspected_body_bytes_max = \"4KiB\"";

fn small() -> World {
    let policy = "missing = \"derive\"\nderive = [ { json = \"/user_id\" } ]";
    World::of(Plan { policy, limits: SMALL, ..Plan::default() })
}

#[test]
fn p12_a_body_too_large_to_look_into_is_a_413() {
    let body = format!("{{\"user_id\":\"u\",\"pad\":\"{}\"}}", "x".repeat(5_000));
    small().refused(with(&[JSON], &body), 413, "body_too_large");
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    small().refused(request(MESSAGE, &[JSON, "Transfer-Encoding: chunked"], &chunked), 413, "body_too_large");
    // With a label nobody needs to look.
    assert_eq!(small().forwarded(with(&[LABEL, JSON], &body)).body, body.as_bytes());
}

#[test]
fn p12_nobody_is_told_to_continue_with_a_body_that_is_known_to_be_too_large() {
    let world = small();
    let mut client = world.client();
    client.send(request(MESSAGE, &[JSON, "Content-Length: 5000", "Expect: 100-continue"], ""));
    client.answer().assert_refused(413, "body_too_large");
    world.assert_untouched();
}

#[test]
fn p12_a_small_body_that_unfolds_into_a_large_one_is_a_413() {
    let bomb = gzip(format!("{{\"user_id\":\"u\",\"pad\":\"{}\"}}", "x".repeat(3_000_000)).as_bytes());
    assert!(bomb.len() < 4_000);
    let world = small();
    let lines = [JSON, "Content-Encoding: gzip", &format!("Content-Length: {}", bomb.len())];
    let mut sent = request(MESSAGE, &lines, "").into_bytes();
    sent.extend_from_slice(&bomb);
    world.refused(sent, 413, "body_too_large");
}

#[test]
fn p12_a_very_deep_body_is_survived() {
    let world = deriving("{ json = \"/user_id\" }");
    world.ask(with(&[JSON], &"[".repeat(500_000))).assert_refused(400, "label_missing");
    assert_eq!(world.ask(with(&[JSON], "{\"user_id\":\"u\"}")).status, 200);
}

#[test]
fn p8_nothing_is_derived_for_calls_that_need_no_label() {
    let world = deriving("{ header = \"X-User-Id\" }");
    let seen = world.forwarded(request(PLAIN, &["X-User-Id: u-1"], ""));
    assert_eq!(seen.values("x-watson-metadata"), Vec::<String>::new());
    assert_eq!(seen.values("x-user-id"), ["u-1"]);
}
