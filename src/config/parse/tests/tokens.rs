//! Whose tokens are verified: where each fault is reported and in what words, and what a good file means.

use super::{LEAST, around, check, read};
use crate::domain::policy::DeriveFrom;
use crate::domain::token::KeysAt;

const URL: &str = "jwks = { url = \"https://issuer.test/keys\" }";

#[test]
fn p11_each_fault_of_a_verified_claim_is_reported_at_its_key() {
    let verified = |jwks: &str| format!("jwt = \"sub\", jwks = {jwks}, issuer = \"i\"");
    let cases = [
        (format!("jwt = \"sub\", {URL}"), "", "names no issuer"),
        (format!("jwt = \"sub\", {URL}, issuer = \" \""), ".issuer", "is empty"),
        (format!("jwt = \"sub\", {URL}, issuer = \"i\", audience = [\"a\"]"), ".audience", "found a list"),
        ("jwt = \"sub\", issuer = \"i\"".into(), ".issuer", "has no effect without `jwks`"),
        ("jwt = \"sub\", audience = \"a\"".into(), ".audience", "has no effect without `jwks`"),
        (format!("header = \"X-User\", {URL}"), ".jwks", "belongs to a claim of a token"),
        (format!("basic = \"username\", {URL}, issuer = \"i\""), ".jwks", "belongs to a claim of a token"),
        (verified("\"https://issuer.test/keys\""), ".jwks", "found a string"),
        (verified("{}"), ".jwks", "names no place"),
        (verified("{ url = \"https://i.test\", file = \"f\" }"), ".jwks", "names two places"),
        (verified("{ uri = \"https://i.test\" }"), ".jwks.uri", "did you mean `url`"),
        (verified("{ url = \"ftp://i.test\" }"), ".jwks.url", "http:// or https://"),
        (verified("{ url = \"https://u:p@i.test\" }"), ".jwks.url", "holds a user name"),
        (verified("{ url = \"https://i.test/k#f\" }"), ".jwks.url", "holds a fragment"),
        (verified("{ url = \"https://i.test/k?a b\" }"), ".jwks.url", "what no URL may hold"),
        (verified("{ url = \"http://127.0.0.1/k\", tls = { ca = \"c\" } }"), ".jwks.tls", "the url is plain http"),
        (verified("{ url = \"https://i.test/k\", tls = {} }"), ".jwks.tls.ca", "is missing"),
        (
            verified("{ url = \"https://i.test/k\", tls = { ca = \"c\", key = \"k\" } }"),
            ".jwks.tls.key",
            "no key that is known",
        ),
        (verified("{ file = \"f\", tls = { ca = \"c\" } }"), ".jwks.tls", "the keys are in a file"),
        (verified("{ file = \"\" }"), ".jwks.file", "is empty"),
    ];
    for (entry, end, phrase) in cases {
        let below = format!("policy.missing = \"derive\"\npolicy.derive = [{{ {entry} }}]\n");
        let all = read(&around("", &below)).unwrap_err();
        let fault = all.iter().find(|fault| fault.key == format!("upstream[1].policy.derive[1]{end}"));
        let fault = fault.unwrap_or_else(|| panic!("{entry}: {all:?}"));
        assert!(fault.to_string().contains(phrase), "{entry}: {fault}");
        assert_eq!(fault.line, LEAST.lines().count() + 2);
    }
}

#[test]
fn p9_override_stands_on_verified_claims_alone() {
    let verified = format!("{{ jwt = \"sub\", {URL}, issuer = \"i\" }}");
    let below = |missing: &str, places: &str| {
        format!("policy.missing = \"{missing}\"\npolicy.derive = [{places}]\npolicy.override = true\n")
    };
    let line = LEAST.lines().count() + 3;
    let key = "upstream[1].policy.override";
    for (other, named) in [("{ header = \"X-User\" }", "header"), ("{ jwt = \"sub\" }", "jwt without jwks")] {
        let phrase = format!("nobody verifies {named}");
        check(&around("", &below("derive", &format!("{verified}, {other}"))), (line, key, &phrase));
        check(&around("", &below("derive", other)), (line, key, &phrase));
    }
    check(&around("", "policy.override = true\n"), (line - 2, key, "`missing` is not \"derive\""));
    check(&around("", "policy.override = \"yes\"\n"), (line - 2, key, "true or false"));
    // Where it is inherited, and what is under it is not.
    let common = format!("[policy]\nmissing = \"derive\"\nderive = [{verified}]\noverride = true\n");
    assert!(read(&around(&common, "")).unwrap().config.upstreams[0].policy.overrides);
    let own = "policy.derive = [{ query = \"user\" }]\n";
    let faults = read(&around(&common, own)).unwrap_err();
    assert!(faults.iter().any(|fault| fault.key == "policy.override" && fault.what.contains("nobody verifies query")));
    let rule = "policy.rule = [{ when = { method = \"PUT\" }, derive = [{ query = \"user\" }] }]\n";
    check(&around(&common, rule), (4, "policy.override", "nobody verifies query"));
    let rule = "policy.rule = [{ when = { method = \"PUT\" }, override = false, derive = [{ query = \"user\" }] }]\n";
    let config = read(&around(&common, rule)).unwrap().config;
    assert!(!config.upstreams[0].rules[0].policy.overrides);
    let rule = "policy.rule = [{ when = { method = \"PUT\" }, override = true }]\n";
    check(&around("", rule), (line - 2, "upstream[1].policy.rule[1].override", "`missing` is not \"derive\""));
}

#[test]
fn p11_what_is_verified_is_read_and_described() {
    let places = "{ jwt = \"sub\", jwks = { url = \"https://i.test/k?p=1\", tls = { ca = \"corp.pem\" } }, issuer = \"i\", audience = \"a\" }, \
                  { jwt = \"id\", jwks = { file = \"keys.json\" }, issuer = \"j\" }";
    let below = format!("policy.missing = \"derive\"\npolicy.derive = [{places}]\npolicy.override = true\n");
    let loaded = read(&around("", &below)).unwrap();
    assert_eq!(loaded.warnings, []);
    let [first, second] = loaded.config.upstreams[0].policy.derive.as_slice() else { panic!("two places") };
    let (DeriveFrom::VerifiedJwt { claim, by }, Some(second)) = (first, second.trust()) else { panic!("{first:?}") };
    let ca = Some("/etc/forgetgate/corp.pem".into());
    assert_eq!((claim.as_str(), &by.keys), ("sub", &KeysAt::Url { url: "https://i.test/k?p=1".to_owned(), ca }));
    assert_eq!((by.issuer.as_str(), by.audience.as_deref()), ("i", Some("a")));
    assert_eq!((&second.keys, second.audience.as_deref()), (&KeysAt::File("/etc/forgetgate/keys.json".into()), None));
    let policy = loaded.config.describe()["upstream"][0]["policy"].clone();
    assert_eq!(
        (&policy["override"], &policy["derive"][1]["jwks"]["file"]),
        (&true.into(), &"/etc/forgetgate/keys.json".into())
    );
    assert_eq!(policy["derive"][0]["jwks"]["tls"]["ca"], "/etc/forgetgate/corp.pem");
    let plain = below.replace("https://i.test/k?p=1\", tls = { ca = \"corp.pem\" }", "http://i.test/k\"");
    let [warning] = read(&around("", &plain)).unwrap().warnings.try_into().unwrap();
    assert!(warning.what.contains("over plain http"), "{warning}");
}
