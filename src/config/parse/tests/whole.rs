//! Whole files: many faults at once, the file at the project's root, the shape that a benchmark uses.

use std::path::Path;
use std::time::Duration;

use super::{LEAST, around, check, read};
use crate::config::{Address, Authorize, Credentials, Engine, format_duration, load, parse};
use crate::domain::policy::{DeriveFrom, Missing, OptOut};

const TEN_FAULTS: &str = r#"
[[listen]]
address = "localhost"
mode = "transparant"
[log]
format = "xml"
[store]
engine = "postgresql"
[policy]
missing = "drive"
[erasure]
authorize = "token"
[limits]
idle_timeout = "5 minutes"
[[upstream]]
name = "one"
profile = "watson"
url = "http://127.0.0.1/?x"
route = { path = "/one/.." }
"#;

/// P11: ten faults are ten reports, in the order of the file.
#[test]
fn ten_faults_give_ten_reports() {
    let faults = read(TEN_FAULTS).unwrap_err();

    let seen: Vec<(usize, usize, &str)> =
        faults.iter().map(|fault| (fault.line, fault.column, fault.key.as_str())).collect();
    let expected = [
        (3, 1, "listen[1].address"),
        (4, 1, "listen[1].mode"),
        (6, 1, "log.format"),
        (8, 1, "store.engine"),
        (10, 1, "policy.missing"),
        (11, 2, "erasure.token"),
        (14, 1, "limits.idle_timeout"),
        (17, 1, "upstream[1].profile"),
        (18, 1, "upstream[1].url"),
        (19, 11, "upstream[1].route.path"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_is_no_toml_is_reported_with_the_other_faults() {
    let text = format!("[log]\nformat = \"xml\"\nlevel = \n{LEAST}colour = 1\nname = \"two\"\n");
    let faults = read(&text).unwrap_err();

    let seen: Vec<(usize, &str)> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
    assert_eq!(seen, [(2, "log.format"), (3, ""), (12, "upstream[1].colour"), (13, "")], "{faults:#?}");
    assert!(faults[3].what.contains("duplicate key"));
}

#[test]
fn an_empty_file_lacks_what_a_gate_needs() {
    let faults = read("").unwrap_err();

    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["listen", "upstream"]);
    assert_eq!((faults[0].line, faults[0].column), (1, 1));
}

#[test]
fn the_file_at_the_projects_root_has_no_faults_and_no_warnings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let loaded = load(&path).unwrap();

    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.upstreams.len(), 7);
    assert_eq!(config.store.path, path.with_file_name("var/forgetgate"));
    assert_eq!(&*config.upstreams[0].passes_to[0], "discovery");
    assert_eq!(config.upstreams[0].policy.missing, Missing::Refuse);
    assert_eq!(config.upstreams[6].policy.missing, Missing::Derive);
    assert_eq!(config.upstreams[6].policy.derive[0], DeriveFrom::Header("x-user-id".to_owned()));
}

#[test]
fn what_the_root_file_says_of_the_limits_are_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let written = load(&path).unwrap().config;
    let least = parse(LEAST, path.parent().unwrap()).unwrap().config;

    assert_eq!(format!("{:?}", written.limits), format!("{:?}", least.limits));
    assert_eq!(format!("{:?}", written.store), format!("{:?}", least.store));
    assert_eq!(format!("{:?}", written.erasure), format!("{:?}", least.erasure));
    assert_eq!(format!("{:?}", written.log), format!("{:?}", least.log));
    assert_eq!(format!("{:?}", written.upstreams[0].policy), format!("{:?}", least.upstreams[0].policy));
}

#[test]
fn a_gate_under_load_is_configured_in_a_few_lines() {
    let text = r#"
[[listen]]
address = "127.0.0.1:18080"
mode    = "reverse"
[admin]
address = "127.0.0.1:18081"
[store]
engine = "sled"
path   = "/tmp/bench/store"
key    = { file = "/tmp/bench/forgetgate.key" }
[policy]
mode    = "enforce"
missing = "refuse"
invalid = "refuse"
opt_out = "force"
[limits]
connections_max = 12288
idle_timeout    = "600s"
[[upstream]]
name    = "bench"
profile = "watson-assistant"
url     = "http://127.0.0.1:19101/assistant/api"
route   = { path = "/assistant/api" }
"#;

    let config = read(text).unwrap().config;

    assert_eq!(config.listen[0].address, Address::Tcp("127.0.0.1:18080".parse().unwrap()));
    assert_eq!(config.store.engine, Engine::Sled);
    assert_eq!(config.store.key_file, Path::new("/tmp/bench/forgetgate.key"));
    assert_eq!((config.limits.connections_max, format_duration(config.limits.idle_timeout)), (12_288, "10m".into()));
    assert_eq!(config.upstreams[0].policy.opt_out, OptOut::Force);
    assert_eq!(config.upstreams[0].url.path, "/assistant/api");
    assert_eq!(config.upstreams[0].route.path.as_deref(), Some("/assistant/api"));
    assert!(matches!(config.erasure.authorize, Authorize::Home));
    assert_eq!(config.erasure.deadline, Duration::from_secs(30 * 86_400));
}

#[test]
fn routes_are_normalised() {
    let route = |written: &str| {
        let text = LEAST.replace("{ path = \"/one\" }", written);
        read(&text).unwrap().config.upstreams[0].route.clone()
    };

    assert_eq!(route("{ path = \"/one/\" }").path.as_deref(), Some("/one"));
    assert_eq!(route("{ path = \"/\" }").path.as_deref(), Some(""));
    assert_eq!(route("{ hosts = [\"Gateway.Example\"] }").path, None);
    assert_eq!(route("{ hosts = [\"Gateway.Example\"] }").hosts, ["gateway.example"]);
}

#[test]
fn single_keys_of_an_upstreams_policy_override_the_common_one() {
    let above = "[policy]\nopt_out = \"off\"\nbeta = \"refuse\"\n";
    let config = read(&around(above, "policy.opt_out = \"default\"\n")).unwrap().config;

    let policy = &config.upstreams[0].policy;
    assert_eq!(policy.opt_out, OptOut::Default);
    assert_eq!(policy.beta, crate::domain::policy::Beta::Refuse);
}

#[test]
fn an_iam_url_may_leave_out_its_path_and_itself() {
    let url = |said: &str| {
        let below = format!("credentials = {{ iam = {{ apikey = {{ env = \"A\" }}{said} }} }}\n");
        let config = read(&around("", &below)).unwrap().config;
        match config.upstreams[0].credentials.clone() {
            Some(Credentials::Iam { url, .. }) => url.to_string(),
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(url(""), "https://iam.cloud.ibm.com/identity/token");
    assert_eq!(url(", url = \"https://iam.example\""), "https://iam.example/identity/token");
    assert_eq!(url(", url = \"https://iam.example/other\""), "https://iam.example/other");
}

#[test]
fn credentials_in_the_clear_are_a_warning_and_no_fault() {
    let text = around("", "credentials = { bearer = { env = \"T\" } }\n").replace("127.0.0.1:9101", "10.0.0.1");
    let warnings = read(&text).unwrap().warnings;

    let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert_eq!((warning.line, warning.key.as_str()), (7, "upstream[1].url"));
    assert!(warning.what.contains("plain http"));
    assert_eq!(read(&text.replace("10.0.0.1", "127.0.0.1")).unwrap().warnings, []);
}

#[test]
fn a_store_that_forgets_says_so() {
    let warnings = read(&around("[store]\nengine = \"memory\"\n", "")).unwrap().warnings;

    assert_eq!(warnings[0].key, "store.engine");
}

/// P11: what guards the gate must be readable; what the gate's own calls need is retried.
#[test]
fn secrets_that_cannot_be_read_are_told_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();

    write(&around("[admin]\ntoken = { file = \"token\" }\n", "credentials = { bearer = { file = \"key\" } }\n"));
    let faults = load(&path).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["admin.token"]);

    std::fs::write(folder.path().join("token"), "t").unwrap();
    let warnings = load(&path).unwrap().warnings;
    assert_eq!(warnings[0].key, "upstream[1].credentials.bearer");

    let ca = "tls.ca = \"token\"\n";
    write(&around("", ca).replace("http:", "https:"));
    let faults = load(&path).unwrap_err();
    assert!(faults[0].what.contains("holds no certificate in PEM"), "{faults:?}");
}

/// P7 and P11: what is wrong with the URL of the store's server is said at its place, and none of the URL.
#[test]
fn p11_the_url_of_the_stores_server_is_judged_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, around("[store]\nengine = \"postgres\"\nurl = { file = \"url\" }\n", "")).unwrap();
    let judged = |url: &str| {
        std::fs::write(folder.path().join("url"), url).unwrap();
        load(&path)
    };
    let place =
        |key: &str, line, what: &str| assert!(key == "store.url" && line == 3 && !what.contains("hunter2"), "{what}");
    for url in [
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h/d?sslmode=prefer",
        "postgres://u:hunter2@x@h/d",
        "postgres://u:hunter2@/d",
    ] {
        let faults = judged(url).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        place(&faults[0].key, faults[0].line, &faults[0].to_string());
    }
    let warnings = judged("postgres://u:hunter2@h/d?sslmode=disable").unwrap().warnings;
    place(&warnings[0].key, warnings[0].line, &warnings[0].to_string());
    assert!(warnings[0].what.contains("without TLS"));
    for fine in [
        "postgres://u:hunter2@h/d",
        "postgres://u:hunter2@127.0.0.1/d",
        "postgresql://u:hunter2@h,i:6432/d?sslmode=verify-full",
    ] {
        let loaded = judged(fine).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert!(!format!("{:?} {}", loaded.config, loaded.config.describe()).contains("hunter2"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert!(load(&path).unwrap_err()[0].what.contains("cannot be read"));

    std::fs::write(&path, b"\n# \xff\n").unwrap();
    let fault = &load(&path).unwrap_err()[0];
    assert_eq!((fault.line, fault.what.as_str()), (2, "is not UTF-8"));
}

/// The form of a profile that the documentation shows is one.
#[test]
fn the_profile_in_the_documentation_is_read() {
    let document = include_str!("../../../../docs/profiles.md");
    let shown = document.split_once("```toml").unwrap().1.split_once("```").unwrap().0;
    let loaded = read(&around(shown, "").replace("watson-assistant", "transcribe")).unwrap();
    let profile = &loaded.config.upstreams[0].profile;
    assert_eq!((profile.name.as_str(), profile.endpoints().len(), profile.erase.is_some()), ("transcribe", 2, true));
}

#[test]
fn a_profile_of_ones_own_is_used_and_its_faults_are_placed() {
    let profile = |grammar: &str| {
        format!(
            "[[profile]]\nname = \"acme\"\nlabel = {{ header = \"X-Acme\", field = \"customer_id\", grammar = \"{grammar}\" }}\n\
             settle = \"1h\"\n[[profile.endpoint]]\ncall = \"POST /v1/transcribe\"\nis = [\"labelled\"]\n"
        )
    };
    let text = |grammar: &str| around(&profile(grammar), "").replace("watson-assistant", "acme");

    assert_eq!(read(&text("watson")).unwrap().config.upstreams[0].profile.name, "acme");
    check(&text("klingon"), (3, "profile[1].label.grammar", "klingon"));
    let extending = "[[profile]]\nname = \"acme\"\nextends = \"watson-assistant\"\nsettle = \"1h\"\n";
    let own = around(extending, "").replace("profile = \"watson-assistant\"", "profile = \"acme\"");
    assert_eq!(read(&own).unwrap().config.upstreams[0].settle().as_secs(), 3600);
    let probing = "[[profile]]\nname = \"acme\"\nextends = \"watson-assistant\"\n\
                   verify = { call = \"GET /v1/workspaces/{workspace}/logs\", query = { filter = \"customer_id::{id:literal}\" }, absent = \"/logs/0\" }\n";
    check(&around(probing, ""), (4, "profile[1].verify", "is not yet supported"));

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("acme.toml"),
        profile("watson").replace("[[profile]]\n", "").replace("profile.", ""),
    )
    .unwrap();
    let text = format!("profiles_dir = \".\"{}", LEAST.replace("watson-assistant", "acme"));
    assert_eq!(parse(&text, folder.path()).unwrap().config.upstreams[0].profile.name, "acme");
}
