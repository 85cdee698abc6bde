//! One fault each, in rules of a policy: where it is reported and in what words; and what a file of rules means.

use super::{LEAST, around, check, read};
use crate::config::CallFacts;
use crate::domain::policy::{Beta, Mode, Policy};
use crate::http1::Lines;

#[rustfmt::skip]
const RULES: &[(&str, &str, &str)] = &[
    ("{ mode = \"observe\" }", ".when", "is missing"),
    ("{ when = {}, mode = \"observe\" }", ".when", "names no condition"),
    ("{ when = { client = [] }, mode = \"observe\" }", ".when", "empty list"),
    ("{ when = { method = \"POST\" } }", "", "changes nothing"),
    ("{ when = { method = \"post\" }, mode = \"observe\" }", ".when.method", "is no method"),
    ("{ when = { method = [\"GET\", 1] }, mode = \"observe\" }", ".when.method[2]", "found a whole number"),
    ("{ when = { endpoint = \"POST /v1/mesage\" }, mode = \"observe\" }", ".when.endpoint", "no call that the profile names"),
    ("{ when = { client = \"10.1.0.0/8\" }, mode = \"observe\" }", ".when.client", "no range of addresses"),
    ("{ when = { header = \"X App\" }, mode = \"observe\" }", ".when.header", "no name of a header"),
    ("{ when = { header = { name = \"X-App\", value = \" a\" } }, mode = \"observe\" }", ".when.header.value", "no value that a header can have"),
    ("{ when = { header = { value = \"a\" } }, mode = \"observe\" }", ".when.header.name", "is missing"),
    ("{ when = { listener = \"127.0.0.1:9\" }, mode = \"observe\" }", ".when", "nobody listens at 127.0.0.1:9"),
    ("{ when = { method = \"POST\", lister = \"127.0.0.1:8080\" }, mode = \"observe\" }", ".when.lister", "did you mean `listener`"),
    ("{ when = { method = \"POST\" }, colour = 1 }", ".colour", "no key that is known here"),
    ("{ when = { method = \"POST\" }, mode = \"observ\" }", ".mode", "did you mean \"observe\""),
    ("{ when = { method = \"POST\" }, require = [\"gdpr\"] }", ".require", "belongs to the upstream"),
    ("{ when = { method = \"POST\" }, missing = \"derive\" }", ".missing", "lists no place to look in"),
    ("{ when = { method = \"POST\" }, derive = [{ query = \"u\" }] }", ".derive", "is used by nobody"),
    ("{ when = { method = \"POST\" }, rule = [] }", ".rule", "no key that is known here"),
];

#[test]
fn p11_each_fault_of_a_rule_is_reported_at_its_line_and_key() {
    for (rule, end, phrase) in RULES {
        let below = format!("policy.rule = [{rule}]\n");
        check(&around("", &below), (LEAST.lines().count() + 1, &format!("upstream[1].policy.rule[1]{end}"), phrase));
    }
    let many = format!("policy.rule = [{}]\n", "{ when = { method = \"GET\" }, beta = \"refuse\" },".repeat(65));
    check(&around("", &many), (LEAST.lines().count() + 1, "upstream[1].policy.rule", "has 65 rules"));
}

#[test]
fn p11_a_rule_has_the_upstreams_policy_with_its_own_keys_over_it() {
    let above = "[policy]\nbeta = \"refuse\"\nmissing = \"derive\"\nderive = [{ query = \"u\" }]\n";
    let below = "policy.unknown = \"refuse\"\npolicy.missing = \"refuse\"\n\
                 policy.rule = [{ when = { method = \"PUT\" }, mode = \"observe\", missing = \"derive\" }]\n";
    let loaded = read(&around(above, below)).unwrap();
    let upstream = &loaded.config.upstreams[0];
    let lines = Lines::default();
    let asked = |method| CallFacts { endpoint: None, method, client: None, listener: None, lines: &lines };
    let put = upstream.policy_for(&asked("PUT"));
    let expected = Policy { mode: Mode::Observe, missing: put.missing, ..upstream.policy.clone() };
    assert_eq!((put, put.beta, put.derive.len()), (&expected, Beta::Refuse, 1));
    assert_eq!(upstream.policy_for(&asked("POST")), &upstream.policy);
}

#[test]
fn p11_a_rule_that_a_caller_can_choose_for_itself_is_warned_of() {
    let warned = |when: &str, keys: &str| {
        let below = format!("policy.rule = [{{ when = {{ {when} }}, {keys} }}]\n");
        read(&around("", &below)).unwrap().warnings.iter().any(|warning| warning.what.contains("sends this header"))
    };
    assert!(warned("header = \"X-App\"", "mode = \"observe\""));
    assert!(warned("header = \"X-App\", method = \"POST\"", "opt_out = \"off\""));
    for keys in ["opt_out = \"default\"", "personal = \"allow\"", "placeholders = []", "personal_patterns = []"] {
        assert!(warned("header = \"X-App\"", keys), "{keys}");
    }
    let strict = "[policy]\nbeta = \"refuse\"\nunknown = \"refuse\"\nalias = \"always\"\nmissing = \"derive\"\noverride = true\n\
                  derive = [{ jwt = \"sub\", jwks = { url = \"https://a.test/k\" }, issuer = \"i\" }]\n";
    for keys in [
        "beta = \"allow\"",
        "unknown = \"forward\"",
        "alias = \"invalid\"",
        "override = false",
        "derive = [{ jwt = \"sub\", jwks = { url = \"https://b.test/k\" }, issuer = \"j\" }]",
    ] {
        let below = format!("policy.rule = [{{ when = {{ header = \"X-App\" }}, {keys} }}]\n");
        let loaded = read(&around(strict, &below)).unwrap();
        assert!(loaded.warnings.iter().any(|warning| warning.what.contains("sends this header")), "{keys}");
    }
    assert!(!warned("header = \"X-App\", client = \"10.0.0.0/8\"", "mode = \"observe\""));
    assert!(!warned("header = \"X-App\"", "beta = \"refuse\""));
}
