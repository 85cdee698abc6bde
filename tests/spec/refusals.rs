//! What a refused caller sees: the service's own error shape, so that unmodified SDKs show the sentence.

use crate::client::request;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn world(profile: &'static str) -> World {
    World::of(Plan { profile, ..Plan::default() })
}

const LABELLED: [(&str, &str); 5] = [
    ("watson-assistant", "POST /api/v2/assistants/a/message"),
    ("watson-visual-recognition", "POST /api/v4/collections"),
    ("watson-speech-to-text", "POST /api/v1/recognize"),
    ("watson-text-to-speech", "POST /api/v1/synthesize"),
    ("watson-discovery", "POST /api/v2/projects/p/collections/c/documents"),
];

#[test]
fn a_refusal_has_the_services_own_shape() {
    for (profile, line) in LABELLED {
        let answer = world(profile).refused(request(line, &["Content-Length: 2"], "{}"), 400, "label_missing");
        let body = answer.json();
        let mut keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let sentence = body["error"].as_str().unwrap();
        assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{sentence}");
        match profile {
            "watson-speech-to-text" | "watson-text-to-speech" => {
                assert_eq!(keys, ["code", "code_description", "error", "errors", "trace"]);
                assert_eq!(body["code_description"], "Bad Request");
            }
            "watson-discovery" => {
                assert_eq!(keys, ["code", "description", "error", "errors", "trace"]);
                assert_eq!(body["description"], sentence);
            }
            _ => assert_eq!(keys, ["code", "error", "errors", "trace"]),
        }
    }
}

#[test]
fn a_refusal_says_when_by_whom_and_for_which_request() {
    let answer = World::start().ask(request(MESSAGE, &["X-Request-Id: mine-1"], ""));
    answer.assert_refused(400, "label_missing");
    assert_eq!(answer.value("content-type"), "application/json");
    assert_eq!(answer.value("x-request-id"), "mine-1");
    assert_eq!(answer.value("via"), "1.1 forgetgate");
    assert!(httpdate::parse_http_date(&answer.value("date")).is_ok());
}

/// On audio streams Node's SDK shows nothing but the reason phrase.
#[test]
fn the_reason_phrase_is_the_sentence() {
    let answer = world("watson-text-to-speech").ask(request("POST /api/v1/synthesize", &["Content-Length: 2"], "{}"));
    assert!(answer.reason.contains("X-Watson-Metadata: customer_id="), "{}", answer.reason);
}

/// P7: an ID, a token or a path of the caller's never comes back in a refusal.
#[test]
fn p7_a_refusal_holds_nothing_of_the_callers() {
    let canary = "canary4711";
    let cases = [
        request(MESSAGE, &[&format!("X-Watson-Metadata: customer_id={canary}=x"), "Content-Length: 0"], ""),
        request(MESSAGE, &[&format!("X_Watson_Metadata: {canary}"), "Content-Length: 0"], ""),
        request(&format!("POST /api/v1/workspaces/{canary}/../w/message"), &[], ""),
        request(&format!("GET /{canary}"), &[], ""),
        request(MESSAGE, &[LABEL, &format!("Connection: {canary} x")], ""),
    ];
    let world = World::start();
    for sent in cases {
        let mut client = world.client();
        let answer = client.ask(sent);
        assert_eq!(answer.values("forgetgate-refusal").len(), 1, "{}", answer.head);
        assert!(!answer.head.contains(canary) && !answer.text().contains(canary), "{} {}", answer.head, answer.text());
    }
}

/// 401, 403 and redirects are hidden or followed by the SDKs.
#[test]
fn no_refusal_is_one_that_sdks_hide_or_follow() {
    let world = World::with_policy("unknown = \"refuse\"\npersonal = \"refuse\"");
    let lines = [
        request(MESSAGE, &[], ""),
        request(MESSAGE, &["X-Watson-Metadata: customer_id=bob@example.com"], ""),
        request("GET /api/unknown", &[], ""),
        request("GET /elsewhere", &[], ""),
        request("POST /api/v1//workspaces/w/message", &[], ""),
        request("CONNECT a:1", &[], ""),
        request(MESSAGE, &[LABEL, LABEL], ""),
    ];
    for sent in lines {
        let answer = world.ask(&sent);
        assert!(matches!(answer.status, 400 | 404), "{sent}: {}", answer.head);
        assert_eq!(answer.values("forgetgate-refusal").len(), 1);
        assert_eq!(answer.values("location"), Vec::<String>::new());
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[test]
fn after_a_plain_refusal_the_connection_goes_on() {
    let world = World::start();
    let mut client = world.client();
    for _ in 0..3 {
        client.ask(request(MESSAGE, &["Content-Length: 2"], "{}")).assert_refused(400, "label_missing");
        assert_eq!(client.ask(request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")).status, 200);
    }
    assert_eq!(world.upstream.seen().len(), 3);
}

/// A browser gives its page an answer only if the answer says so.
#[test]
fn p8_a_page_may_read_why_its_call_was_refused() {
    let world = World::start();
    let asked = request(MESSAGE, &["Origin: https://app.example", "Content-Length: 2"], "{}");
    let answer = world.refused(asked, 400, "label_missing");
    assert_eq!(answer.values("access-control-allow-origin"), ["https://app.example"]);
    assert_eq!(answer.values("access-control-allow-credentials"), ["true"]);
    assert_eq!(answer.values("vary"), ["Origin"]);
    assert!(answer.value("access-control-expose-headers").contains("Forgetgate-Refusal"));
    for (lines, why) in
        [(&[][..], "no page asks"), (&["Origin: https://a.example", "Origin: https://b.example"], "two do")]
    {
        let refused = world.ask(request(MESSAGE, &[lines, &["Content-Length: 2"]].concat(), "{}"));
        refused.assert_refused(400, "label_missing");
        assert_eq!(refused.values("access-control-allow-origin"), Vec::<String>::new(), "{why}");
    }
    // What the service answers is its own affair.
    let passed = world.ask(request(PLAIN, &["Origin: https://app.example"], ""));
    assert_eq!((passed.status, passed.values("access-control-allow-origin").len()), (200, 0));
}

/// An upstream by whose name the gate itself is reached.
#[test]
fn p12_a_request_that_runs_in_a_circle_is_told_so() {
    let through = |gates: usize| vec!["Via: 1.1 forgetgate"; gates];
    let world = World::start();
    assert_eq!(world.ask(request(PLAIN, &through(3), "")).status, 200);
    for lines in
        [through(8), vec!["Via: 1.1 forgetgate, 1.0 x, 1.1 forgetgate, 1.1 forgetgate, 1.1 forgetgate, 1.1 forgetgate"]]
    {
        world.ask(request(PLAIN, &lines, "")).assert_refused(508, "loop_detected");
    }
    assert_eq!(world.upstream.seen().len(), 1);
}
