//! Faults are told all at once, each with its place and what would be right.

use super::super::{Classes, GrammarName, Profile, ProfileFile, Success, built_in};
use super::*;

const GOOD: &str = r#"
name    = "acme-transcribe"
source  = "Acme's manual"
notes   = ["Only batches can be labelled."]
error   = "watson"
label   = { header = "X-Acme-Customer", field = "customer", query = "customer", grammar = "watson" }
opt_out = { header = "X-Acme-No-Training", value = "yes", also = ["X-Acme-No-Logs"] }
settle  = "90m"
rate    = { deletes_per_minute = 10 }

[erase]
call  = "DELETE /v{api}/customers"
api   = 1
query = { customer = "{id}", date = "{version}" }
default_version = "2024-01-01"
success = "200, 202"

[verify]
call   = "GET /v1/rooms/{room}/log"
query  = { q = "customer={id:literal}" }
absent = "/0"

[[endpoint]]
call     = "POST /v1/rooms/{room}/batches/{batch}"
is       = ["labelled"]
resource = "rooms/{room}"
when     = { query = ["keep"] }

[[endpoint]]
call = "DELETE /v1/customers"
is   = ["erase"]

[[endpoint]]
call = "GET /v1/rooms/{room}/log"
is   = ["log-query"]
"#;

fn faults(text: &str) -> Vec<String> {
    Profile::from_toml(text).map_or_else(|faults| faults.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn a_profile_of_ones_own_is_read_like_a_built_in_one() {
    let profile = Profile::from_toml(GOOD).unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.settle.as_secs(), profile.deletes_per_minute),
        ("acme-transcribe", 5400, Some(10))
    );
    assert_eq!(
        (profile.label.header.as_str(), profile.label.header_written.as_str()),
        ("x-acme-customer", "X-Acme-Customer")
    );
    assert_eq!((profile.label.grammar, profile.label.several), (GrammarName::Watson, false));
    let batch = profile.classify("POST", "/t/v1/rooms/r%201/batches/b", Some("keep"), false).unwrap();
    assert_eq!(batch.classes, Classes::LABELLED.with(Classes::OPT_OUT), "a label brings the opt-out with it");
    assert_eq!(batch.resource("/t/v1/rooms/r%201/batches/b"), "rooms/r 1");
    let erase = profile.erase.as_ref().unwrap();
    assert_eq!((erase.path(Some(7)), erase.apis.as_ref()), ("/v1/customers".to_owned(), &[1][..]));
    assert!(erase.success.accepts(202) && !erase.success.accepts(204));
    let file: ProfileFile = toml::from_str(GOOD).unwrap();
    assert_eq!(Profile::from_file(&file).unwrap().endpoints(), profile.endpoints());
}

#[test]
fn p13_an_answer_that_tells_of_a_part_or_of_a_failure_is_no_acceptance() {
    let success = |lines: &str| {
        let text = GOOD.replace("success = \"200, 202\"", lines);
        Profile::from_toml(&text).unwrap_or_else(|faults| panic!("{lines}: {faults:?}")).erase.unwrap().success
    };
    let accepted = |success: &Success| (100..600).filter(|status| success.accepts(*status)).collect::<Vec<_>>();
    for lines in ["", "success = \"2xx\""] {
        let any: Vec<u16> = (200..300).filter(|status| ![203, 206, 207, 208, 226].contains(status)).collect();
        assert_eq!(accepted(&success(lines)), any);
    }
    assert_eq!(accepted(&success("success = [200, 204]")), [200, 204]);
    assert_eq!(accepted(&success("success = \"202,200\"")), [200, 202]);

    let plain = success("success = [200]");
    let looking = success("success = [200]\nfailure_pointer = \"/result/errors\"");
    let clean = ["", " \n", "{}", "[]", "null", "{\"errors\":[1]}", "{\"result\":{\"errors\":[]}}", "{\"result\":1}"];
    let empty =
        ["null", "false", "0", "0.0", "\"\"", "[]", "{}"].map(|value| format!("{{\"result\":{{\"errors\":{value}}}}}"));
    for body in clean.into_iter().chain(empty.iter().map(String::as_str)) {
        assert!(looking.accepts_answer(200, body.as_bytes()) && plain.accepts_answer(200, body.as_bytes()), "{body}");
        assert!(
            !looking.accepts_answer(207, body.as_bytes()) && !looking.accepts_answer(500, body.as_bytes()),
            "{body}"
        );
    }
    let failed = ["true", "1", "-0.5", "\"x\"", "[{}]", "{\"a\":null}"];
    let failed = failed.map(|value| format!("{{\"result\":{{\"errors\":{value}}}}}"));
    for body in failed.iter().map(String::as_str).chain(["<html>", "{\"result\":{\"errors\":[", "\u{fffd}"]) {
        assert!(!looking.accepts_answer(200, body.as_bytes()), "{body}");
        assert!(plain.accepts_answer(200, body.as_bytes()), "{body}");
    }
}

#[test]
fn p6_an_id_is_encoded_so_that_no_decoder_can_mistake_it() {
    let assistant = built_in("watson-assistant").unwrap();
    let erase = assistant.erase.as_ref().unwrap();
    assert_eq!(erase.query("ab c/é+&%", None), "customer_id=ab%20c%2F%C3%A9%2B%26%25&version=2021-06-14");
    assert_eq!(erase.query("a", Some("2020-04-01")), "customer_id=a&version=2020-04-01");
    assert_eq!(
        (erase.path(None), erase.path(Some(1)), erase.path(Some(9))),
        ("/v2/user_data".into(), "/v1/user_data".into(), "/v2/user_data".into())
    );
    let speech = built_in("watson-speech-to-text").unwrap();
    let erase = speech.erase.as_ref().unwrap();
    assert_eq!(
        (erase.path(Some(2)), erase.query("a", Some("2020-04-01"))),
        ("/v1/user_data".into(), "customer_id=a".into())
    );
}

#[test]
fn an_id_cannot_break_out_of_a_filter() {
    let assistant = built_in("watson-assistant").unwrap();
    let [v1, v2] = assistant.verify.as_slice() else { panic!("two probes") };
    let query = v1.query("a\",b\\|c", Some("2021-06-14"));
    assert_eq!(query, "filter=customer_id%3A%3A%22a%5C%22%2Cb%5C%5C%7Cc%22&page_limit=1&version=2021-06-14");
    assert_eq!(v1.path("workspaces/w 1"), Some("/v1/workspaces/w%201/logs".to_owned()));
    assert_eq!((v1.path("assistants/a"), v1.path("workspaces/"), v1.path("workspaces/a/b")), (None, None, None));
    assert_eq!(v2.path("assistants/a"), Some("/v2/assistants/a/logs".to_owned()));
}

/// What is written in [`GOOD`], what is written instead, and what is told of it.
const FAULTS: [(&str, &str, &str); 41] = [
    ("name    = \"acme-transcribe\"", "name = \"Acme!\"", "name: \"Acme!\" is not a name of lower-case letters"),
    (
        "error   = \"watson\"",
        "error = \"html\"",
        "error: \"html\" is not known; it is one of \"watson\", \"watson-speech\", \"watson-discovery\"",
    ),
    ("grammar = \"watson\"", "grammar = \"uuid\"", "label.grammar: \"uuid\" is not known"),
    ("field = \"customer\"", "field = \"cust omer\"", "label.field: \"cust omer\" is not a token"),
    ("header = \"X-Acme-Customer\"", "header = \"X:Y\"", "label.header: \"X:Y\" is not a token"),
    ("value = \"yes\"", "value = \"\"", "opt_out.value: \"\" is not a token"),
    ("\"90m\"", "\"soon\"", "settle: \"soon\" is not a time such as"),
    ("\"90m\"", "\"366d\"", "settle: \"366d\" is not a time"),
    ("deletes_per_minute = 10", "deletes_per_minute = 0", "rate.deletes_per_minute: \"0\" is not a number from 1"),
    ("api   = 1", "", "erase.api: goes with \"{api}\""),
    ("api   = 1", "api = 2", "erase.call: no endpoint of class erase is `DELETE /v2/customers`"),
    ("customer = \"{id}\"", "customer = \"x\"", "erase.query: has no \"{id}\""),
    (
        "date = \"{version}\"",
        "date = \"{vresion}\"",
        "erase.query.date: {vresion} stands for nothing here; known is \"id\", \"id:literal\", \"version\"",
    ),
    (
        "date = \"{version}\"",
        "date = \"{version\"",
        "erase.query.date: \"{version\" is not text with whole {placeholders}",
    ),
    ("default_version = \"2024-01-01\"", "", "erase.default_version: goes with \"{version}\""),
    ("\"200, 202\"", "\"200, 404\"", "erase.success: \"200, 404\" is not \"2xx\" or a list"),
    ("\"200, 202\"", "[200, 207]", "erase.success: \"200, 207\" is not \"2xx\" or a list"),
    ("\"200, 202\"", "[-1]", "erase.success: \"-1\" is not \"2xx\" or a list"),
    ("\"200, 202\"", "[]", "erase.success: \"\" is not \"2xx\" or a list"),
    ("\"200, 202\"", "200", "expected \"2xx\" or a list of statuses such as [200, 202, 204]"),
    (
        "success = \"200, 202\"",
        "failure_pointer = \"errors\"",
        "erase.failure_pointer: \"errors\" is not a JSON pointer such as",
    ),
    ("absent = \"/0\"", "absent = \"0\"", "verify.absent: \"0\" is not a JSON pointer"),
    ("absent = \"/0\"", "", "verify: missing field `absent`"),
    ("is   = [\"log-query\"]", "", "verify.call: no endpoint of class log-query is `GET /v1/rooms/{room}/log`"),
    (
        "resource = \"rooms/{room}\"",
        "resource = \"rooms/{rom}\"",
        "endpoint 1 (`POST /v1/rooms/{room}/batches/{batch}`): resource: {rom} stands for nothing here; known is \"room\", \"batch\"",
    ),
    (
        "resource = \"rooms/{room}\"",
        "resource = \"rooms//{room}\"",
        "resource: \"rooms//{room}\" is not a path of plain segments",
    ),
    (
        "is       = [\"labelled\"]",
        "is = [\"labeled\"]",
        "endpoint 1 (`POST /v1/rooms/{room}/batches/{batch}`): is: \"labeled\" is not known; it is one of \"labelled\"",
    ),
    ("is       = [\"labelled\"]", "is = []", "`when` says when data is labelled"),
    ("is       = [\"labelled\"]", "is = [\"labelled\", \"websocket\"]", "\"websocket\" is for GET"),
    ("is       = [\"labelled\"]", "is = [\"labelled\", \"carries-data\"]", "leave out one of the two"),
    ("is       = [\"labelled\"]", "is = [\"labelled\", \"erase\"]", "cannot both be"),
    ("query = [\"keep\"]", "query = []", "when.query: names no parameter"),
    ("query = [\"keep\"]", "query = [\"a=b\"]", "when.query: \"a=b\" is not the decoded name"),
    ("query = [\"keep\"]", "header = [\"keep\"]", "unknown field `header`"),
    (
        "call = \"DELETE /v1/customers\"",
        "call = \"delete /v1/customers\"",
        "call: \"delete\" is not a method in upper case",
    ),
    ("call = \"DELETE /v1/customers\"", "call = \"HEAD /v1/customers\"", "other than HEAD"),
    ("call = \"DELETE /v1/customers\"", "call = \"DELETE\"", "call: \"DELETE\" is not a method, one space and a path"),
    (
        "call = \"DELETE /v1/customers\"",
        "call = \"DELETE /v1//customers\"",
        "call: \"/v1//customers\" is not a path of plain segments",
    ),
    ("call = \"DELETE /v1/customers\"", "call = \"DELETE /v1/{a}/{a}\"", "call: {a} is there twice"),
    (
        "call = \"GET /v1/rooms/{room}/log\"\nis",
        "call = \"POST /v1/rooms/{a}/batches/{b}\"\nis",
        "endpoint 3 (`POST /v1/rooms/{a}/batches/{b}`): matches the same requests as endpoint 1",
    ),
    ("settle  =", "setle =", "line 8: unknown field `setle`"),
];

#[test]
fn every_fault_is_told_with_its_place_and_what_would_be_right() {
    for (good, bad, expected) in FAULTS {
        assert!(GOOD.contains(good), "{good}");
        let told = faults(&GOOD.replace(good, bad));
        assert!(told.iter().any(|fault| fault.contains(expected)), "{bad}: {told:#?}");
    }
}

#[test]
fn all_faults_of_a_profile_are_told_at_once() {
    let bad = GOOD
        .replace("grammar = \"watson\"", "grammar = \"x\"")
        .replace("\"90m\"", "\"x\"")
        .replace("\"labelled\"", "\"x\"")
        .replace("\"200, 202\"", "\"x\"");
    let places: Vec<_> = Profile::from_toml(&bad).unwrap_err().into_iter().map(|fault| fault.at).collect();
    for place in
        ["label.grammar", "settle", "endpoint 1 (`POST /v1/rooms/{room}/batches/{batch}`): is", "erase.success"]
    {
        assert!(places.iter().any(|at| at == place), "{place}: {places:?}");
    }
}

#[test]
fn a_profile_without_labels_calls_or_opt_out_rule_is_told_what_it_lacks() {
    let told = faults("name = \"x\"");
    assert_eq!(told, ["endpoint: is missing"]);
    let labelled = "name = \"x\"\n[[endpoint]]\ncall = \"POST /v1/x\"\nis = [\"labelled\"]\n";
    assert_eq!(faults(labelled), ["label: is missing"]);
    let without = GOOD.lines().filter(|line| !line.starts_with("opt_out")).collect::<Vec<_>>().join("\n");
    assert!(Profile::from_toml(&without).unwrap().opt_out.is_none());
    let told = faults(&without.replace("[\"erase\"]", "[\"erase\", \"opt-out\"]"));
    assert!(told.iter().any(|fault| fault.contains("needs the profile's `opt_out`")), "{told:?}");
}

#[test]
fn p12_a_profile_is_bounded() {
    let endpoints: String = (0..1025).map(|number| format!("[[endpoint]]\ncall = \"GET /v1/x{number}\"\n")).collect();
    assert!(faults(&format!("{GOOD}{endpoints}")).iter().any(|fault| fault.contains("the bound of 1024 entries")));
    assert!(faults(&" ".repeat(FILE_BYTES_MAX + 1)).iter().any(|fault| fault.contains("the bound of 1048576 bytes")));
    let long = GOOD.replace("/v1/rooms/{room}/batches/{batch}", &"/a".repeat(25));
    assert!(faults(&long).iter().any(|fault| fault.contains("the bound of 24 segments")));
    let note = GOOD.replace("Only batches can be labelled.", &"x".repeat(TEXT_BYTES_MAX + 1));
    assert_eq!(faults(&note), ["notes[0]: is larger than the bound of 2000 bytes"]);
}
