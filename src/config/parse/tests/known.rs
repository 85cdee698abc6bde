//! P11: every key that the reference names is either used or refused with "not yet"; none is ignored.

use super::{LEAST, around, read};

/// What becomes of a key.
enum Fate {
    /// The configuration is another one for it.
    Used,
    /// It is refused, in so many words.
    NotYet,
    /// It says what this version does anyway, and is taken.
    AsToday,
}
use Fate::{AsToday, NotYet, Used};

/// Keys that stand above the upstream.
const SECTIONS: &[(&str, Fate)] = &[
    ("[[listen]]\naddress = \"127.0.0.1:8888\"", Used),
    ("[[listen]]\naddress = \"unix:/run/gate.sock\"", Used),
    ("[process]\nworkers = \"auto\"", AsToday),
    ("[process]\nworkers = 3", Used),
    ("[log]\nformat = \"json\"", Used),
    ("[log]\nlevel = \"forgetgate=debug\"", Used),
    ("[log]\naccess = false", Used),
    ("[log]\notlp = { url = \"http://127.0.0.1:4317\" }", NotYet),
    ("[admin]\naddress = \"127.0.0.1:9\"", Used),
    ("[admin]\naddress = \"unix:/run/admin.sock\"", Used),
    ("[admin]\ntoken = { file = \"token\" }", Used),
    ("[admin]\nmetrics = \"open\"", Used),
    ("[admin]\ntls = { cert = \"a\", key = \"b\" }", Used),
    ("[store]\nengine = \"memory\"", Used),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"DATABASE_URL\" }", Used),
    ("[store]\npath = \"elsewhere\"", Used),
    ("[store]\nengine = \"postgres\"\nurl = { file = \"url\" }\nschema = \"erasures\"", Used),
    ("[store]\nengine = \"postgres\"\nurl = { file = \"url\" }\nttl = \"10s\"", Used),
    ("[store]\nengine = \"postgres\"\nurl = { file = \"url\" }\nnotify_url = { file = \"direct\" }", Used),
    ("[store]\nengine = \"postgres\"\nurl = { file = \"url\" }\ntls = { ca = \"db.pem\" }", Used),
    ("[store]\nkey = { file = \"elsewhere\" }", Used),
    ("[store]\nlease = \"1m\"", Used),
    ("[store]\ncache_entries = 5", Used),
    ("[store]\ncache_bytes = \"1MiB\"", Used),
    ("[store]\nsnapshot = \"24h\"", Used),
    ("[store]\nsnapshot = { every = \"1h\", keep = 2, path = \"elsewhere\" }", Used),
    ("[policy]\nmode = \"observe\"", Used),
    ("[policy]\nmissing = \"derive\"\nderive = [{ cookie = \"uid\" }]", Used),
    ("[policy]\ninvalid = \"rewrite\"", Used),
    ("[policy]\npersonal = \"allow\"", Used),
    ("[policy]\nseveral = \"all\"", Used),
    ("[policy]\nalias = \"always\"", Used),
    ("[policy]\nopt_out = \"default\"", Used),
    ("[policy]\nbeta = \"refuse\"", Used),
    ("[policy]\ntraining = \"allow\"", AsToday),
    ("[policy]\ntraining = \"inspect\"", NotYet),
    ("[policy]\nunknown = \"refuse\"", Used),
    ("[policy]\nrequire = [\"gdpr\"]", Used),
    ("[erasure]\nauthorize = \"open\"", Used),
    ("[erasure]\nauthorize = \"token\"\ntoken = { file = \"t\" }", Used),
    ("[erasure]\ndeadline = \"1d\"", Used),
    ("[erasure]\nerasures_per_minute = 1", Used),
    ("[erasure]\nbarrier_timeout = \"1s\"", Used),
    ("[erasure]\nopen_websockets = \"wait\"", AsToday),
    ("[erasure]\nopen_websockets = \"close\"", Used),
    ("[erasure]\nwebhook = { url = \"https://a.example\" }", NotYet),
    ("[erasure]\nsmtp = { url = \"smtp://127.0.0.1:25\", from = \"a@b.example\" }", NotYet),
    ("[limits]\nconnections_max = 1", Used),
    ("[limits]\nin_flight_max = 1", Used),
    ("[limits]\nheaders_max = 16", Used),
    ("[limits]\nheader_bytes_max = \"8KiB\"", Used),
    ("[limits]\ninspected_body_bytes_max = \"8KiB\"", Used),
    ("[limits]\nheader_timeout = \"1s\"", Used),
    ("[limits]\nidle_timeout = \"1s\"", Used),
    ("[limits]\nbody_stall_timeout = \"1s\"", Used),
    ("[limits]\nconnect_timeout = \"1s\"", Used),
    ("[limits]\nresponse_timeout = \"1s\"", Used),
    ("[limits]\nanswer_stall_timeout = \"1s\"", Used),
    ("[limits]\nevent_stream_timeout = \"1s\"", Used),
    ("[limits]\ndrain_timeout = \"1s\"", Used),
];

/// Further keys of `[[listen]]`.
const LISTENER: &[(&str, Fate)] = &[
    ("mode = \"reverse\"", AsToday),
    ("mode = \"transparent\"", Used),
    ("mode = \"forward\"", Used),
    ("mode = \"forward\"\nca = { cert = \"ca.pem\", key = \"ca.key\" }", Used),
    ("mode = \"transparent\"\nothers = \"tunnel\"", Used),
    ("mode = \"forward\"\nothers = \"tunnel\"\ntunnel_ports = [443, 8443]", Used),
    ("tls = { cert = \"gate.pem\", key = \"gate.key\", client_ca = \"clients.pem\" }", Used),
    ("proxy_protocol = false", AsToday),
    ("proxy_protocol = true", Used),
    ("proxy_protocol = { from = [\"10.0.0.0/8\"] }", Used),
    ("http2 = false", Used),
    ("http2 = true", AsToday),
];

/// Keys of `[[upstream]]`.
const UPSTREAM: &[(&str, Fate)] = &[
    ("credentials = { apikey = { env = \"A\" } }", Used),
    ("credentials = { iam = { apikey = { env = \"A\" }, url = \"https://iam.example\" } }", Used),
    ("credentials = { basic = { username = \"u\", password = { file = \"p\" } } }", Used),
    ("credentials = { bearer = { file = \"b\" } }", Used),
    ("group = \"other\"", Used),
    ("instances = \"closed\"", Used),
    ("instance = [{ name = \"a\", path = \"/instances/g\" }]", Used),
    ("erase_api = [1]", Used),
    ("retired = true", Used),
    ("forwarded = true", Used),
    ("after_erasure = \"allow\"", AsToday),
    ("after_erasure = \"refuse\"", NotYet),
    ("inject = true\ncredentials = { bearer = { env = \"B\" } }\n[erasure]\nauthorize = \"open\"", Used),
    ("version = \"2021-06-14\"", Used),
    ("held_labels_before = true", Used),
    ("webchat_opt_out = true", Used),
    ("webchat_opt_out = false", AsToday),
    (
        "passes_to = [\"two\"]\n[[upstream]]\nname = \"two\"\nprofile = \"watson-discovery\"\nurl = \"http://[::1]\"\nretired = true",
        Used,
    ),
    ("erase = \"label\"", AsToday),
    ("erase = \"ticket\"", NotYet),
    ("ticket = { to = \"gdprcreq@us.ibm.com\" }", NotYet),
    ("http2 = \"auto\"", AsToday),
    ("http2 = \"prior-knowledge\"", Used),
    ("http2 = \"off\"", Used),
    ("proxy = \"env\"", AsToday),
    ("proxy = \"none\"", Used),
    ("proxy = { url = \"http://proxy.example:3128\" }", Used),
    ("proxy = { url = \"http://proxy.example:3128\", username = \"u\", password = { env = \"P\" } }", Used),
    ("limits = { connect_timeout = \"1s\" }", Used),
    ("limits = { response_timeout = \"1s\" }", Used),
    ("limits = { body_stall_timeout = \"1s\" }", Used),
    ("limits = { answer_stall_timeout = \"1s\" }", Used),
    ("limits = { event_stream_timeout = \"1s\" }", Used),
    ("erasure = { authorize = \"home\" }", Used),
    ("erasure = { authorize = \"open\" }", Used),
    ("erasure = { authorize = \"token\", token = { env = \"T\" } }", Used),
    ("erasure = { open_websockets = \"close\" }", Used),
    ("plan = \"premium\"", Used),
    ("region = \"us-east\"", Used),
    ("created = \"2019-05-02\"", Used),
    ("created = 2019-05-02", Used),
    ("policy.mode = \"observe\"", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ header = \"X-User-Id\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ json = \"/context/metadata/user_id\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ query = \"user\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ multipart = \"metadata\", json = \"/customer_id\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ multipart = \"customer\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ cookie = \"uid\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ jwt = \"sub\" }]", Used),
    ("policy.missing = \"derive\"\npolicy.derive = [{ basic = \"username\" }]", Used),
    (
        "policy.missing = \"derive\"\npolicy.derive = [{ jwt = \"sub\", jwks = { file = \"k\" }, issuer = \"i\", audience = \"a\" }]",
        Used,
    ),
    ("policy.override = false", AsToday),
    ("policy.training = \"inspect\"", NotYet),
];

#[track_caller]
fn check(fragment: &str, text: &str, fate: &Fate) {
    let plain = format!("{:?}", read(LEAST).unwrap().config);
    match (fate, read(text)) {
        (Used, Ok(loaded)) => assert_ne!(format!("{:?}", loaded.config), plain, "{fragment} is ignored"),
        (AsToday, Ok(loaded)) => assert_eq!(format!("{:?}", loaded.config), plain, "{fragment}"),
        (NotYet, Err(faults)) => {
            let all = faults.iter().all(|fault| fault.what.contains("not yet supported"));
            assert!(all && !faults.is_empty(), "{fragment}: {faults:?}");
        }
        (Used | AsToday, Err(faults)) => panic!("{fragment}: {faults:?}"),
        (NotYet, Ok(_)) => panic!("{fragment} is taken, but does nothing yet"),
    }
}

#[test]
fn no_key_of_a_section_is_ignored() {
    for (fragment, fate) in SECTIONS {
        check(fragment, &around(&format!("{fragment}\n"), ""), fate);
    }
}

#[test]
fn no_key_of_a_listener_is_ignored() {
    for (fragment, fate) in LISTENER {
        let line = "address = \"127.0.0.1:8080\"\n";
        check(fragment, &LEAST.replace(line, &format!("{line}{fragment}\n")), fate);
    }
}

#[test]
fn no_key_of_an_upstream_is_ignored() {
    for (fragment, fate) in UPSTREAM {
        check(fragment, &around("", &format!("{fragment}\n")), fate);
    }
    let over_tls = LEAST.replace("http:", "https:");
    let with_ca = read(&format!("{over_tls}tls = {{ ca = \"corp.pem\" }}\n")).unwrap().config;
    assert!(format!("{:?}", with_ca.upstreams[0].tls).contains("/etc/forgetgate/corp.pem"));
    for fragment in ["tls = { cert = \"client.pem\", key = \"client.key\" }", "tls = { min_version = \"1.3\" }"] {
        check(fragment, &format!("{over_tls}{fragment}\n"), &Used);
    }
}
