//! P1: labelled, or not at all. What reaches the service carries exactly one label that is legal there.

use forgetgate::domain::profile::{built_in, built_in_names};
use forgetgate::domain::query::encoded;

use crate::client::{Answer, request};
use crate::upstream::Seen;
use crate::world::{LABEL, MESSAGE, Plan, World};

const COLLECTION: &str = "POST /api/v4/collections";
const DOCUMENT: &str = "POST /api/v2/projects/p/collections/c/documents";

fn labelled(line: &str, value: &str) -> String {
    request(line, &[&format!("X-Watson-Metadata: {value}"), "Content-Length: 2"], "{}")
}

fn world(profile: &'static str, policy: &'static str) -> World {
    World::of(Plan { profile, policy, ..Plan::default() })
}

fn label(seen: &Seen) -> String {
    let [label] = seen.values("x-watson-metadata").try_into().unwrap();
    label
}

/// An alias: legal everywhere, and nothing of the ID is in it.
#[track_caller]
fn assert_alias(label: &str) {
    let alias = label.strip_prefix("customer_id=").unwrap();
    let digits = alias.strip_prefix("fg_").unwrap_or_else(|| panic!("no alias: {label}"));
    assert!(
        digits.len() == 26 && digits.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
    );
}

/// Every labelled endpoint of every built-in profile, over the wire.
#[test]
fn p1_no_labelled_endpoint_of_any_service_lets_an_unlabelled_request_through() {
    for profile in built_in_names() {
        let world = world(profile, "");
        let known = built_in(profile).unwrap();
        let labelled = known.endpoints().iter().filter(|each| each.classes.labelled() && !each.classes.websocket());
        let mut client = world.client();
        for endpoint in labelled {
            let (method, path) = endpoint.call().split_once(' ').map(|(m, p)| (m.to_owned(), p.to_owned())).unwrap();
            let path = path.replace(['{', '}'], "");
            let line = format!("{method} /api{path}?version=2021-06-14&passages=true");
            let answer = client.ask(request(&line, &["Content-Length: 2"], "{}"));
            assert_eq!(answer.status, 400, "{profile}: {line}");
            answer.assert_refused(400, "label_missing");
        }
        if profile != "watson-compare-comply" {
            let answer = client.ask(request("GET /api/v1/unknown", &[], ""));
            assert_eq!(answer.status, 200, "{profile}: the connection goes on");
            assert_eq!(world.upstream.only().line(), "GET /v1/unknown HTTP/1.1");
            assert_eq!(world.upstream.connections(), 1);
        }
    }
}

#[test]
fn p1_a_label_that_names_nobody_is_none() {
    for value in ["", "customer_id=", "customer_id=  ", "platform=iOS", "customer_id", "alice", ";", "customer_id=;a=b"]
    {
        let answer: Answer = World::start().refused(labelled(MESSAGE, value), 400, "label_missing");
        assert!(answer.json()["error"].as_str().unwrap().contains("customer_id=YOUR_CUSTOMER_ID"));
    }
}

#[test]
fn p1_a_good_label_arrives_as_it_was_written() {
    for value in
        ["customer_id=alice", "customer_id=a b+c/d&e", "platform=iOS;customer_id=alice;v=2", "customer_id=100%"]
    {
        let seen = World::start().forwarded(labelled(MESSAGE, value));
        assert_eq!(label(&seen), value);
        assert_eq!(seen.body, b"{}");
    }
}

#[test]
fn p1_a_label_keeps_its_place_and_its_case() {
    let lines = ["A: 1", "x-watson-METADATA: customer_id=alice", "B: 2", "Content-Length: 2"];
    let seen = World::start().forwarded(request(MESSAGE, &lines, "{}"));
    assert_eq!(&seen.lines()[1..5], lines, "{}", seen.head);
}

#[test]
fn p1_an_id_that_the_assistant_does_not_allow_is_refused() {
    for id in ["a=b", "a%41b", "a%0d%0aX-Evil: 1", "caf\u{e9}", "\u{e9}t\u{e9}", "a, customer_id=b", "a\tb"] {
        World::start().refused(labelled(MESSAGE, &format!("customer_id={id}")), 400, "label_invalid");
    }
}

/// A service that decodes, folds or splits further than the gate would find another customer in these.
#[test]
fn p9_a_second_spelling_of_the_field_is_refused() {
    let second =
        ["customer%5Fid=v", "Customer-ID=v", "x,customer_id=v", "customer_id%3Dv", "xcustomer_id=v", "customer.id=v"];
    for other in second {
        for value in [format!("{other};customer_id=me"), format!("customer_id=me;{other}")] {
            World::start().refused(labelled(MESSAGE, &value), 400, "label_invalid");
        }
    }
}

/// What is not even text cannot be aliased either.
#[test]
fn p1_bytes_that_are_no_text_are_no_id() {
    let mut bytes = labelled(MESSAGE, "customer_id=?").into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    let at = at + 1 + bytes[at + 1..].iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xff;
    for policy in ["invalid = \"refuse\"", "invalid = \"rewrite\""] {
        World::with_policy(policy).refused(&bytes, 400, "label_invalid");
    }
}

#[test]
fn p1_visual_recognition_allows_letters_digits_and_underscores_percent_encoded() {
    let world = world("watson-visual-recognition", "");
    for id in ["alice_1", "Kunde_%C3%A9", "%E6%97%A5"] {
        assert_eq!(
            label(&world.forwarded(labelled(COLLECTION, &format!("customer_id={id}")))),
            format!("customer_id={id}")
        );
    }
    for id in
        ["a-b", "a%2Db", "a.b", "a b", "a%0D%0Ab", "a%00", "%ff", "a%2541", "550e8400-e29b-41d4-a716-446655440000"]
    {
        let world = self::world("watson-visual-recognition", "");
        world.refused(labelled(COLLECTION, &format!("customer_id={id}")), 400, "label_invalid");
    }
}

/// `%61lice` and `alice` are one customer to Visual Recognition: one spelling leaves.
#[test]
fn p6_visual_recognition_is_sent_one_spelling_of_an_id() {
    let world = world("watson-visual-recognition", "");
    for id in ["%61lice", "alic%65"] {
        assert_eq!(label(&world.forwarded(labelled(COLLECTION, &format!("customer_id={id}")))), "customer_id=alice");
    }
    assert_eq!(label(&world.forwarded(labelled(COLLECTION, "customer_id=%c3%a9"))), "customer_id=%C3%A9");
}

#[test]
fn p1_discovery_bounds_the_id_and_the_header() {
    let longest = "x".repeat(256);
    let seen = world("watson-discovery", "").forwarded(labelled(DOCUMENT, &format!("customer_id={longest}")));
    assert_eq!(label(&seen), format!("customer_id={longest}"));
    world("watson-discovery", "").refused(labelled(DOCUMENT, &format!("customer_id={longest}x")), 400, "label_invalid");
    let padded = format!("customer_id=alice;{}", "p".repeat(4096));
    world("watson-discovery", "").refused(labelled(DOCUMENT, &padded), 400, "label_invalid");
}

#[test]
fn p1_an_illegal_id_is_aliased_where_the_policy_says_so() {
    let world = World::with_policy("invalid = \"rewrite\"");
    let first = label(&world.forwarded(labelled(MESSAGE, "customer_id=a%41b")));
    assert_alias(&first);
    assert_eq!(
        label(&world.forwarded(labelled(MESSAGE, "customer_id=a%41b"))),
        first,
        "the same customer, the same alias"
    );
    assert_ne!(label(&world.forwarded(labelled(MESSAGE, "customer_id=aAb"))), first);
    assert_alias(&label(&world.forwarded(labelled(MESSAGE, "platform=iOS;customer_id=a=b;v=2"))));
}

/// `corp;1` and `corp;2` were one customer, and what stood behind the semicolon left beside the alias.
#[test]
fn p6_what_is_no_field_does_not_stand_beside_an_id() {
    for policy in ["", "invalid = \"rewrite\"", "alias = \"always\""] {
        for value in ["customer_id=corp;1", "acme;customer_id=bob@example.com", "customer_id=a;", "customer_id=a;;v=2"]
        {
            World::with_policy(policy).refused(labelled(MESSAGE, value), 400, "label_invalid");
        }
    }
    for value in ["customer_id=a;v=2", "customer_id=a;b", "customer_id=a;"] {
        world("watson-visual-recognition", "").refused(labelled(COLLECTION, value), 400, "label_invalid");
    }
    let always = World::with_policy("alias = \"always\"");
    assert_alias(&label(&always.forwarded(labelled(MESSAGE, "name=Bob;customer_id=acme;mail=bob@example.com"))));
}

#[test]
fn p6_ids_that_are_mistakes_are_refused_from_a_list_that_can_be_set() {
    let mistakes =
        ["undefined", "null", "None", "NaN", "${USER_ID}", "{{user}}", "[object Object]", "apikey", "$%7BID%7D"];
    for id in mistakes {
        World::start().refused(labelled(MESSAGE, &format!("customer_id={id}")), 400, "label_placeholder");
        let delete = format!("DELETE /api/v2/user_data?version=2021-06-14&customer_id={}", encoded(id));
        World::start().refused(request(&delete, &[], ""), 400, "label_placeholder");
    }
    let own = World::with_policy("placeholders = [\"test-*\"]");
    own.ask(labelled(MESSAGE, "customer_id=Test-7")).assert_refused(400, "label_placeholder");
    assert_eq!(label(&own.forwarded(labelled(MESSAGE, "customer_id=undefined"))), "customer_id=undefined");
}

#[test]
fn p1_personal_patterns_are_added_and_taken_away() {
    let world = World::with_policy("personal_patterns = [\"email\", { regex = \"^emp[0-9]{5}$\" }]");
    for id in ["emp00017", "auth0|bob@example.com"] {
        assert_alias(&label(&world.forwarded(labelled(MESSAGE, &format!("customer_id={id}")))));
    }
    for id in ["+442079460958", "bob_twitter"] {
        assert_eq!(
            label(&world.forwarded(labelled(MESSAGE, &format!("customer_id={id}")))),
            format!("customer_id={id}")
        );
        assert_alias(&label(&World::start().forwarded(labelled(MESSAGE, &format!("customer_id={id}")))));
    }
}

/// Canonically equivalent spellings are one customer, and one spelling leaves; pictures are no letters.
#[test]
fn p6_visual_recognition_takes_the_letters_of_every_script_with_their_marks() {
    let sent = |id: &str| labelled(COLLECTION, &format!("customer_id={}", encoded(id)));
    let world = world("watson-visual-recognition", "");
    for id in ["हिन्दी", "தமிழ்", "ไทย", "日本", "José"] {
        assert_eq!(label(&world.forwarded(sent(id))), format!("customer_id={}", encoded(id)), "{id}");
    }
    assert_eq!(label(&world.forwarded(sent("Jose\u{301}"))), format!("customer_id={}", encoded("José")));
    for id in ["a\u{1f600}", "1\u{fe0f}\u{20e3}", "\u{301}a"] {
        self::world("watson-visual-recognition", "").refused(sent(id), 400, "label_invalid");
    }
}

#[test]
fn p1_a_personal_id_is_aliased_refused_or_let_through() {
    for id in ["bob@example.com", "@bob", "+44 20 7946 0958"] {
        let sent = labelled(MESSAGE, &format!("customer_id={id}"));
        let seen = World::start().forwarded(&sent);
        assert_alias(&label(&seen));
        World::with_policy("personal = \"refuse\"").refused(&sent, 400, "label_personal");
        assert_eq!(label(&World::with_policy("personal = \"allow\"").forwarded(&sent)), format!("customer_id={id}"));
    }
}

/// Personal is judged before invalid: an e-mail address is no legal ID of Visual Recognition.
#[test]
fn p1_an_address_is_personal_also_where_it_would_be_illegal() {
    let sent = labelled(COLLECTION, "customer_id=bob%40example.com");
    assert_alias(&label(&world("watson-visual-recognition", "").forwarded(&sent)));
    world("watson-visual-recognition", "personal = \"refuse\"").refused(&sent, 400, "label_personal");
}

#[test]
fn p1_alias_always_lets_no_callers_id_leave() {
    let world = World::with_policy("alias = \"always\"");
    assert_alias(&label(&world.forwarded(labelled(MESSAGE, "customer_id=alice"))));
}

#[test]
fn p6_nobody_labels_data_as_another_by_having_seen_an_alias() {
    let world = World::start();
    let alias = label(&world.forwarded(labelled(MESSAGE, "customer_id=bob@example.com")));
    for spelling in [alias.clone(), alias.replace("fg_", "FG_")] {
        world.ask(labelled(MESSAGE, &spelling)).assert_refused(400, "label_invalid");
    }
    let rewriting = World::with_policy("invalid = \"rewrite\"");
    let again = label(&rewriting.forwarded(labelled(MESSAGE, &alias)));
    assert_alias(&again);
    assert_ne!(again, alias, "an alias of the alias");
}

#[test]
fn p1_of_several_ids_the_first_is_kept_and_the_others_do_not_leave() {
    let world = World::start();
    assert_eq!(label(&world.forwarded(labelled(MESSAGE, "customer_id=a;x=1;customer_id=b"))), "customer_id=a;x=1");
    assert_eq!(label(&world.forwarded(labelled(MESSAGE, "customer_id=a;customer_id=a"))), "customer_id=a");
    assert_eq!(label(&world.forwarded(labelled(MESSAGE, "customer_id=;customer_id=b"))), "customer_id=b");
    assert_eq!(label(&world.forwarded(labelled(MESSAGE, "customer_id=a; Customer_Id = b"))), "customer_id=a");
}

#[test]
fn p1_several_ids_are_all_judged_or_refused_where_the_policy_says_so() {
    let several = labelled(MESSAGE, "customer_id=abc;customer_id=xyz");
    let seen = World::with_policy("several = \"all\"").forwarded(&several);
    assert_eq!(label(&seen), "customer_id=abc;customer_id=xyz");
    World::with_policy("several = \"refuse\"").refused(&several, 400, "label_several");
    let one_bad = labelled(MESSAGE, "customer_id=abc;customer_id=a%41");
    World::with_policy("several = \"all\"").refused(one_bad, 400, "label_invalid");
    let one_personal = labelled(MESSAGE, "customer_id=abc;customer_id=bob@example.com");
    let line = label(&World::with_policy("several = \"all\"").forwarded(one_personal));
    assert!(line.starts_with("customer_id=abc;customer_id=fg_"), "{line}");
}

/// Only the Assistant knows several IDs in one label.
#[test]
fn p1_several_ids_are_refused_where_the_service_knows_one() {
    for policy in ["", "several = \"all\""] {
        let sent = labelled("POST /api/v1/recognize", "customer_id=a;customer_id=b");
        world("watson-speech-to-text", policy).refused(sent, 400, "label_several");
    }
}

#[test]
fn p12_a_label_with_very_many_ids_is_refused() {
    let many: Vec<String> = (0..17).map(|number| format!("customer_id={number}")).collect();
    World::start().refused(labelled(MESSAGE, &many.join(";")), 400, "label_invalid");
}

#[test]
fn p9_two_label_lines_are_refused_in_any_order_and_case_and_on_any_call() {
    let (good, evil) = (LABEL, "x-WATSON-metadata: customer_id=mallory");
    for lines in [[good, evil], [evil, good], [good, good], [good, "X-Watson-Metadata: "]] {
        let sent = request(MESSAGE, &[&lines[..], &["Content-Length: 2"]].concat(), "{}");
        World::start().refused(sent, 400, "header_ambiguous");
        World::start().refused(request("GET /api/v1/workspaces", &lines, ""), 400, "header_ambiguous");
    }
}

/// SDKs put default headers on every call: there they mean nothing and pass.
#[test]
fn p8_a_label_on_another_call_passes_untouched_whatever_is_in_it() {
    let world = World::start();
    for value in ["customer_id=alice", "customer_id=a;customer_id=b", "customer_id=a%41", "anything", ""] {
        let seen = world.forwarded(labelled("POST /api/v2/assistants/a/sessions", value));
        assert_eq!(label(&seen), value);
    }
}

#[test]
fn p7_a_default_label_does_not_leak_an_address_on_another_call() {
    let world = World::start();
    let sent = "customer_id=bob@example.com";
    let on_session = label(&world.forwarded(labelled("POST /api/v2/assistants/a/sessions", sent)));
    assert_alias(&on_session);
    assert_eq!(label(&world.forwarded(labelled(MESSAGE, sent))), on_session, "the same alias as on a labelled call");
    assert_alias(&label(&world.forwarded(labelled("GET /api/v1/never/heard/of", sent))));
}

/// A label in a trailer is no label (and does not get through either: `no_way_round`).
#[test]
fn p1_a_label_in_a_trailer_labels_nothing() {
    let lines = ["Trailer: X-Watson-Metadata", "Transfer-Encoding: chunked"];
    let sent = request(MESSAGE, &lines, "2\r\n{}\r\n0\r\nX-Watson-Metadata: customer_id=alice\r\n\r\n");
    World::start().refused(sent, 400, "label_missing");
}

#[test]
fn p1_a_get_that_stores_data_needs_a_label_and_another_does_not() {
    let world = world("watson-text-to-speech", "");
    world.ask(request("GET /api/v1/synthesize?text=hello", &[], "")).assert_refused(400, "label_missing");
    let mut client = world.client();
    client.send(request("HEAD /api/v1/synthesize?text=hello", &[], ""));
    assert_eq!(client.answer_to("HEAD").values("forgetgate-refusal"), ["label_missing"]);
    world.forwarded(request("GET /api/v1/synthesize?text=hello", &[LABEL], ""));
    world.forwarded(request("GET /api/v1/voices", &[], ""));
}

#[test]
fn p1_a_discovery_query_needs_a_label_only_with_a_customers_words() {
    let world = world("watson-discovery", "");
    let query = "/api/v1/environments/e/collections/c/query?version=2019-04-30";
    world.forwarded(request(&format!("GET {query}&count=1"), &[], ""));
    for words in ["natural_language_query=hello", "passages=true", "natural%5Flanguage_query=x", "passages"] {
        let sent = request(&format!("GET {query}&{words}"), &[], "");
        world.ask(sent).assert_refused(400, "label_missing");
    }
}
