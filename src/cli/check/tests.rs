//! `check` says where each fault is, and what a good file means.

use std::path::{Path, PathBuf};

use super::{GOOD, REFUSED, check, without_secrets};

const TWO_GROUPS: &str = r#"
[[listen]]
address = "127.0.0.1:8080"
[admin]
token = { file = "token" }
[policy]
require = ["gdpr"]
[limits]
idle_timeout = "600s"
[[upstream]]
name = "assistant"
profile = "watson-assistant"
url = "https://api.eu-gb.assistant.watson.cloud.ibm.com/instances/2f0a3c9e-4a53-4d26-9a0e-1e3f1d5b7c11"
route = { path = "/assistant/api" }
policy = { missing = "derive", derive = [{ header = "X-User-Id" }, { jwt = "sub" }] }
[[upstream]]
name = "discovery"
profile = "watson-discovery"
url = "http://127.0.0.1:9105"
route = { hosts = ["gateway.example"] }
webchat_opt_out = true
group = "search"
[[upstream]]
name = "old-assistant"
profile = "watson-assistant"
url = "http://127.0.0.1:9101"
retired = true
"#;

/// The text in a file of its own, beside a token.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "canary-7f3a\n").unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// P11: every fault has its file, line, column and key.
#[test]
fn a_bad_file_is_refused_with_every_place_and_reason() {
    let (_folder, path) =
        written("[log]\nformat = \"xml\"\n[[listen]]\naddress = \"127.0.0.1:1\"\n mode = \"froward\"\n");

    let (text, code) = check(&path, false);

    let lines: Vec<&str> = text.lines().collect();
    let file = path.display();
    assert_eq!(code, REFUSED);
    assert!(lines[0].starts_with(&format!("{file}:1:1: upstream: is missing — ")), "{text}");
    assert!(lines[1].starts_with(&format!("{file}:2:1: log.format: \"xml\" is none of its values — ")), "{text}");
    assert!(lines[2].starts_with(&format!("{file}:5:2: listen[1].mode: \"froward\" is none")), "{text}");
    assert_eq!(lines[4], format!("{file}: refused, 3 faults"));
}

#[test]
fn the_file_at_the_projects_root_fits_a_terminal_of_a_hundred_columns() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");

    let (text, code) = check(&path, false);

    assert_eq!(code, GOOD);
    let head = text.split_once("Upstreams").unwrap().1;
    assert!(head.lines().all(|line| line.ends_with("no warnings") || line.chars().count() <= 100), "{text}");
    assert!(text.contains(" assistant-legacy    enforce  derive   refuse   rewrite"), "{text}");
    assert!(text.contains("/team2/assistant/api → http://127.0.0.1:9102\n"), "{text}");
    assert!(text.contains(": good, 7 upstreams, "));
    assert_eq!(crate::config::load(&path).unwrap().warnings, [], "{text}");
}

/// P10: how far one credential reaches is printed.
#[test]
fn who_can_erase_what_is_said_group_by_group() {
    let (_folder, path) = written(TWO_GROUPS);

    let (text, code) = check(&path, false);

    assert_eq!(code, GOOD, "{text}");
    let row = |group: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!(" {group} ")));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("default"), "default assistant assistant, old-assistant");
    assert_eq!(row("search"), "search discovery all of them");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let admin = "At every upstream: whoever uses the admin API at 127.0.0.1:8081, with its token (in file ";
    assert!(words.contains(admin), "{text}");
    assert!(words.contains("idle_timeout 10m (default 5m)"), "{text}");
    assert_eq!(words.matches("watson-discovery, Web Chat in its pages opts out").count(), 1, "{text}");
    assert!(text.contains("assistant derives from header x-user-id, then jwt sub (unverified)\n"), "{text}");
}

/// P11: a machine that builds has no secrets, and sees every fault that needs none.
#[test]
fn p11_without_secrets_everything_is_checked_that_needs_none() {
    let text = "[[listen]]\naddress = \"192.0.2.1:8080\"\ntls = { cert = \"none.pem\", key = \"none.key\" }\n\
        [store]\nkey = { file = \"none\" }\n[[upstream]]\nname = \"one\"\nprofile = \"watson-discovery\"\nurl = \"https://a.example\"\n\
        route = { path = \"/one\" }\ncredentials = { apikey = { file = \"none\" } }\n";
    let (_folder, path) = written(text);
    assert_eq!(check(&path, false).1, REFUSED);
    let (said, code) = without_secrets(&path, false);
    assert_eq!(code, GOOD, "{said}");
    std::fs::write(&path, text.replace("watson-discovery", "watson-discovry")).unwrap();
    let (said, code) = without_secrets(&path, false);
    assert!(code == REFUSED && said.contains("did you mean \"watson-discovery\"?"), "{said}");
}

/// P5: a customer's ID belongs to an instance, and what is not told apart waits.
#[test]
fn p5_how_many_instances_an_upstream_can_have_is_said() {
    let (_folder, path) = written(&format!(
        "{TWO_GROUPS}[[upstream]]\nname = \"closed\"\nprofile = \"watson-discovery\"\nurl = \"http://127.0.0.1:9102\"\n\
         route = {{ path = \"/closed\" }}\ninstances = \"closed\"\n\
         instance = [{{ name = \"team-a\", credentials = {{ apikey = {{ file = \"token\" }} }} }}, {{ name = \"team-b\", path = \"/instances/B\" }}]\n"
    ));
    let (text, code) = check(&path, false);
    assert_eq!(code, GOOD, "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        "one instance: its URL names it",
        "nothing is said of keys: a single one is the upstream's own; from the second that the service takes erasures wait until [[upstream.instance]] names them",
        "instances: team-a by its key, team-b at /instances/B; one for each path before the service's own, such as /instances/GUID; a key that no instance names is refused",
    ] {
        assert!(words.contains(sentence), "{sentence:?} is not in {text}");
    }
}

/// P11: what is verified, by whom, and what then counts.
#[test]
fn whose_tokens_are_verified_is_said() {
    let keys = include_str!("../../../tests/spec/tokens/vectors.json");
    let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
    let verified = |jwks: &str, more: &str| {
        let place =
            format!("{{ jwt = \"sub\", jwks = {jwks}, issuer = \"https://issuer.test\", audience = \"gate\" }}");
        let policy = format!("policy = {{ missing = \"derive\", derive = [{place}]{more} }}");
        let (before, after) = TWO_GROUPS.split_once("policy = ").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        let (folder, path) = written(&format!("{before}{policy}\n{after}"));
        std::fs::write(folder.path().join("keys.json"), keys["keys"].to_string()).unwrap();
        std::fs::write(folder.path().join("none.json"), "{\"keys\":[]}").unwrap();
        let (text, code) = check(&path, false);
        (text.split_whitespace().collect::<Vec<_>>().join(" "), code)
    };
    let (words, code) = verified("{ url = \"https://issuer.test/jwks?p=1\" }", ", override = true");
    assert_eq!(code, GOOD, "{words}");
    let said = "assistant derives from jwt sub (verified by https://issuer.test/jwks?p=1, issuer https://issuer.test, audience gate)";
    assert!(words.contains(said), "{words}");
    assert!(words.contains("assistant puts that customer in place of whatever callers' labels name"), "{words}");
    let (words, code) = verified("{ file = \"keys.json\" }", "");
    assert_eq!(code, GOOD, "{words}");
    assert!(words.contains("(verified by ") && !words.contains("puts that customer"), "{words}");
    for (file, reason) in [("none.json", "it holds no public key"), ("missing.json", "the file cannot be read")] {
        let (words, code) = verified(&format!("{{ file = \"{file}\" }}"), "");
        assert_eq!(code, REFUSED, "{words}");
        assert!(words.contains("upstream[1].policy.derive[1].jwks.file:") && words.contains(reason), "{words}");
    }
}

/// P11: keys that are not there are noticed before a caller brings a token.
#[test]
fn keys_of_tokens_that_are_not_there_are_said() {
    let keys: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/spec/tokens/vectors.json")).unwrap();
    // Nobody listens there any more.
    let (gone, admin) = {
        let both = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        (both[0].local_addr().unwrap(), both[1].local_addr().unwrap())
    };
    let live = |jwks: &str| {
        let place = format!("{{ jwt = \"sub\", jwks = {jwks}, issuer = \"i\", audience = \"a\" }}");
        let (folder, path) = written(&format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"{admin}\"\n[[upstream]]\nname = \"one\"\n\
             profile = \"watson-assistant\"\nurl = \"http://{gone}/\"\nroute = {{ path = \"/one\" }}\n\
             policy = {{ missing = \"derive\", derive = [{place}] }}\n"
        ));
        std::fs::write(folder.path().join("keys.json"), keys["keys"].to_string()).unwrap();
        let answer = super::with_services(&path, true);
        let said: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(said["good"], true, "{said}");
        said["live"]["upstreams"][0]["token_keys"].clone()
    };
    let found = live(&format!("{{ url = \"http://{gone}/keys\" }}"));
    assert_eq!(found["good"], false, "{found}");
    assert!(
        found["detail"].as_str().unwrap().contains("/keys: no answer: no connection: connection refused"),
        "{found}"
    );
    let found = live("{ file = \"keys.json\" }");
    assert_eq!((&found["good"], &found["detail"]), (&true.into(), &"4 known".into()), "{found}");
}

#[test]
fn anyone_who_reaches_an_open_gate_is_named() {
    let (_folder, path) = written(&format!("[erasure]\nauthorize = \"open\"\n{TWO_GROUPS}"));

    let (text, _) = check(&path, false);

    assert!(text.contains("At every upstream: anyone who reaches 127.0.0.1:8080."), "{text}");
}

/// P10: what is shown and asked for at the listeners is said, also where it is the only guard.
#[test]
fn tls_and_what_it_asks_for_is_said() {
    let tls = "tls = { cert = \"gate.pem\", key = \"gate.key\", client_ca = \"gate.pem\" }";
    let text = TWO_GROUPS.replace("127.0.0.1:8080\"", &format!("0.0.0.0:8443\"\n{tls}"));
    let (folder, path) = written(&format!("[erasure]\nauthorize = \"open\"\n{text}"));
    let made = rcgen::generate_simple_self_signed(vec!["gate.test".to_owned()]).unwrap();
    for (name, content) in [("gate.pem", made.cert.pem()), ("gate.key", made.signing_key.serialize_pem())] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let (text, code) = check(&path, false);

    assert_eq!(code, GOOD, "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let at = folder.path().join("gate.pem");
    let listens = format!(
        "listens at 0.0.0.0:8443 over TLS 1.2 and newer with {0}, for certificates signed by {0}",
        at.display()
    );
    assert!(words.contains(&listens), "{text}");
    let open = format!("anyone who reaches 0.0.0.0:8443 with a certificate signed by one in {}.", at.display());
    assert!(words.contains(&open), "{text}");
    assert!(words.contains("names a key file that every user of this machine can read"), "{text}");

    let json: serde_json::Value = serde_json::from_str(&check(&path, true).0).unwrap();
    assert_eq!(json["config"]["listen"][0]["tls"]["client_ca"], at.display().to_string());
    assert_eq!(json["config"]["listen"][0]["tls"]["min_version"], "1.2");
}

/// P7: a secret is shown by its place only.
#[test]
fn no_secret_is_printed() {
    let (_folder, path) = written(TWO_GROUPS);

    for json in [false, true] {
        let (text, _) = check(&path, json);
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("token"), "{text}");
    }
}

#[test]
fn the_same_is_said_to_programs() {
    let (_folder, path) = written(TWO_GROUPS);
    let (text, code) = check(&path, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();

    assert_eq!((code, json["good"].as_bool()), (GOOD, Some(true)));
    assert_eq!(json["config"]["limits"]["connections_max"], 10_000);
    assert_eq!(json["config"]["limits"]["idle_timeout"], "10m");
    assert_eq!(json["config"]["upstream"][0]["policy"]["missing"], "derive");
    assert_eq!(json["config"]["upstream"][0]["policy"]["derive"][1]["jwt"], "sub");
    assert_eq!(json["config"]["upstream"][1]["route"]["hosts"][0], "gateway.example");
    assert_eq!(json["config"]["upstream"][1]["webchat_opt_out"], true);

    let (text, code) = check(Path::new("no-such-file.toml"), true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, json["good"].as_bool()), (REFUSED, Some(false)));
    assert_eq!(json["faults"][0]["line"], 1);
}

/// P12: every limit that an operator can set stands in the document, with its default.
#[test]
fn the_table_of_limits_is_whole_and_right() {
    let document = include_str!("../../../docs/limits.md");
    let rows = crate::config::Limits::default().rows();
    assert_eq!(rows.len(), 17);
    for (key, default) in rows {
        let row = format!("| `{key}` | {default} |");
        assert!(document.contains(&row), "docs/limits.md has no row that begins {row:?}");
    }
}
