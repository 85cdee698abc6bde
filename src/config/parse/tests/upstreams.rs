//! One fault each, in upstreams: where it is reported and in what words.

use super::{LEAST, around, check, read};

/// Faults in an upstream; lines count from the first of the fragment.
#[rustfmt::skip]
const UPSTREAM: &[(&str, &str, &str)] = &[
    ("colour = 1\n", "colour", "is no key that is known here"),
    ("http2 = \"aut\"\n", "http2", "none of its values"),
    ("retired = 1\n", "retired", "true or false"),
    ("version = \"14.06.2021\"\n", "version", "such as \"2021-06-14\""),
    ("group = \"\"\n", "group", "letters, digits"),
    ("inject = true\n[erasure]\nauthorize = \"open\"\n", "inject", "no credentials to inject"),
    ("inject = true\ncredentials = { bearer = { env = \"T\" } }\n", "inject", "makes authorize = \"home\" worthless"),
    ("credentials = \"Bearer x\"\n", "credentials", "a secret never stands in this file"),
    ("credentials = {}\n", "credentials", "name no way"),
    ("credentials = { apikey = \"abc\" }\n", "credentials.apikey", "a secret never stands in this file"),
    ("credentials = { apikey = { env = \"A\" }, bearer = { env = \"B\" } }\n", "credentials", "several ways"),
    ("credentials = { iam = { url = \"https://iam.example\" } }\n", "credentials.iam.apikey", "is missing"),
    ("credentials = { basic = { username = \"a:b\", password = { env = \"P\" } } }\n", "credentials.basic.username", "without `:`"),
    ("passes_to = [\"two\"]\n", "passes_to[1]", "no upstream is named \"two\""),
    ("passes_to = [\"one\"]\n", "passes_to[1]", "on to itself"),
    ("settle = \"2y\"\n", "settle", "has another form"),
    ("settle = \"400d\"\n", "settle", "is out of bounds"),
    ("deletes_per_minute = 0\n", "deletes_per_minute", "is out of bounds"),
    ("created = \"yesterday\"\n", "created", "is no date"),
    ("tls = { ca = \"a.pem\" }\n", "tls", "the url is plain http"),
    ("policy.derive = [{ query = \"user\" }]\n", "policy.derive", "is used by nobody"),
    ("policy.missing = \"derive\"\n", "policy.missing", "lists no place to look in"),
    ("policy.colour = 1\n", "policy.colour", "no key that is known here"),
    ("policy.require = [\"hipaa\"]\nplan = \"premium\"\nregion = \"us-east\"\n", "created", "from 2019-04-01 on"),
];

#[test]
fn each_fault_of_an_upstream_is_reported_at_its_line_and_key() {
    let key = |key: &str| format!("upstream[1].{key}");
    for (below, end, phrase) in UPSTREAM {
        // What is missing stands at the head of its table.
        let line = if *end == "created" && !below.contains("created") { 4 } else { LEAST.lines().count() + 1 };
        check(&around("", below), (line, &key(end), phrase));
    }
}

#[test]
fn p9_a_prefix_that_would_hide_every_call_from_the_profile_is_refused() {
    let phrase = "ends in the version of the API";
    let url = LEAST.replace("127.0.0.1:9101", "127.0.0.1:9101/instances/i/v1");
    check(&url, (7, "upstream[1].url", phrase));
    let route = LEAST.replace("\"/one\"", "\"/one/v2\"");
    check(&route, (8, "upstream[1].route", phrase));
}

#[test]
fn each_form_of_derive_is_judged() {
    for (entry, end, phrase) in [
        ("{}", "", "names no place"),
        ("{ header = \"X Y\" }", ".header", "no name of a header"),
        ("{ cookie = \"a;b\" }", ".cookie", "no name of a header or cookie"),
        ("{ query = \" \" }", ".query", "is empty"),
        ("{ basic = \"password\" }", ".basic", "\"username\""),
        ("{ json = \"user\" }", ".json", "no JSON pointer"),
        ("{ json = \"/a~2\" }", ".json", "no JSON pointer"),
        ("{ multipart = \"m\", json = \"x\" }", ".json", "no JSON pointer"),
        ("{ header = \"A\", query = \"b\" }", "", "names several places"),
        ("{ heder = \"A\" }", ".heder", "did you mean `header`?"),
        ("\"X-User-Id\"", "", "wrong type: found a string"),
    ] {
        let below = format!("policy.missing = \"derive\"\npolicy.derive = [{entry}]\n");
        let key = format!("upstream[1].policy.derive[1]{end}");
        check(&around("", &below), (LEAST.lines().count() + 2, &key, phrase));
    }
}

#[test]
fn two_upstreams_have_two_names_and_two_routes() {
    let second = |name: &str, rest: &str| {
        format!("[[upstream]]\nname = \"{name}\"\nprofile = \"watson-discovery\"\nurl = \"http://[::1]\"\n{rest}\n")
    };
    let at = LEAST.lines().count();

    check(&around("", &second("one", "route.path = \"/two\"")), (at + 2, "upstream[2].name", "upstream[1]"));
    check(&around("", &second("two", "route.path = \"/one/\"")), (at + 5, "upstream[2].route", "upstream[1] (one)"));
    for apart in [
        "route.path = \"/one/deeper\"",
        "route.path = \"/ones\"",
        "route = { path = \"/one\", hosts = [\"a\"] }",
        "retired = true",
    ] {
        assert!(read(&around("", &second("two", apart))).is_ok(), "{apart}");
    }
}

#[test]
fn open_erasures_are_for_loopback_only() {
    let text = format!("[erasure]\nauthorize = \"open\"{}", LEAST.replace("127.0.0.1:8080", "0.0.0.0:8080"));
    check(&text, (2, "erasure.authorize", "anyone who reaches 0.0.0.0:8080"));
    assert!(read(&around("[erasure]\nauthorize = \"open\"\n", "")).is_ok());
}

/// Visual Recognition before 22 May 2018, and health data outside Premium, Washington DC, from April 2019 on.
#[test]
fn what_the_operator_requires_is_checked() {
    let require = |profile: &str, what: &str, said: &str| {
        let below = format!("policy.require = [\"{what}\"]\n{said}");
        around("", &below).replace("watson-assistant", profile)
    };
    let at = LEAST.lines().count();
    let vision = "watson-visual-recognition";

    check(
        &require(vision, "gdpr", "created = 2018-05-21\n"),
        (at + 2, "upstream[1].created", "made before 2018-05-22"),
    );
    check(&require(vision, "gdpr", ""), (4, "upstream[1].created", "from 2018-05-22 on"));
    check(
        &require(vision, "gdpr", "created = \"2019-01-01\"\nplan = \"Dedicated\"\n"),
        (at + 3, "upstream[1].plan", "takes no deletes by API"),
    );
    assert!(read(&require(vision, "gdpr", "created = \"2018-05-22\"\n")).is_ok());
    assert!(read(&require("watson-assistant", "gdpr", "")).is_ok());

    let hipaa = |plan: &str, region: &str, created: &str| {
        let said = format!("plan = \"{plan}\"\nregion = \"{region}\"\ncreated = \"{created}\"\n");
        require("watson-assistant", "hipaa", &said)
    };
    assert!(read(&hipaa("premium", "us-east", "2019-04-01")).is_ok());
    check(&hipaa("plus", "us-east", "2019-04-01"), (at + 2, "upstream[1].plan", "is not Premium"));
    check(&hipaa("premium", "eu-gb", "2019-04-01"), (at + 3, "upstream[1].region", "not in Washington DC"));
    check(&hipaa("premium", "us-east", "2019-03-31"), (at + 4, "upstream[1].created", "made before 2019-04-01"));
}

/// A fault repeats no value that could be a secret.
#[test]
fn a_literal_secret_is_not_repeated() {
    for (above, below) in [
        ("[admin]\ntoken = \"hunter2\"\n", ""),
        ("[store]\nkey = \"hunter2\"\n", ""),
        ("", "credentials = \"hunter2\"\n"),
        ("", "credentials = { bearer = \"hunter2\" }\n"),
        ("", "credentials = { iam = { apikey = { env = \"A\" }, url = \"https://x:hunter2@iam.example\" } }\n"),
        ("[admin]\ntoken = \"hunter2\n", ""),
    ] {
        let faults = read(&around(above, below)).unwrap_err();
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
    }
}

/// P10: a group is as far as authority goes, and so does the way of an ID that is passed on.
#[test]
fn an_id_that_is_passed_out_of_the_group_is_warned_of() {
    let second = |group: &str| {
        format!(
            "passes_to = [\"two\"]\n[[upstream]]\nname = \"two\"\nprofile = \"watson-discovery\"\n\
             url = \"http://[::1]\"\nroute.path = \"/two\"\ngroup = \"{group}\"\n"
        )
    };

    let warnings = read(&around("", &second("search"))).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].key, "upstream[1].passes_to[1]");
    assert_eq!(read(&around("", &second("default"))).unwrap().warnings, []);
    let open = around("[erasure]\nauthorize = \"open\"\n", &second("search"));
    assert_eq!(read(&open).unwrap().warnings, []);
}

#[test]
fn a_service_that_deletes_nothing_by_label_does_not_suit_gdpr() {
    let profile = "[[profile]]\nname = \"acme\"\nsettle = \"1h\"\n\
         label = { header = \"X-Acme\", field = \"customer_id\", grammar = \"watson\" }\n\
         [[profile.endpoint]]\ncall = \"POST /v1/x\"\nis = [\"labelled\"]\n";
    let text = around(profile, "policy.require = [\"gdpr\"]\n").replace("watson-assistant", "acme");

    let line = profile.lines().count() + 6;
    check(&text, (line, "upstream[1].profile", "deletes nothing by label"));
}
