//! One fault each: where it is reported and in what words.

use super::{LEAST, around, check, read};

/// Faults in tables of their own; lines count from the first of the fragment.
#[test]
fn each_fault_of_a_section_is_reported_at_its_line_and_key() {
    let cases: &[(&str, usize, &str, &str)] = &[
        ("colour = 1\n", 1, "colour", "no key that is known here"),
        ("[polices]\nx = 1\n", 1, "polices", "did you mean `policy`?"),
        ("policy = 1\n", 1, "policy", "is a whole number — [policy]"),
        ("[process]\nworkers = 0\n", 2, "process.workers", "from 1 to 1024"),
        ("[process]\nworkers = \"many\"\n", 2, "process.workers", "\"auto\""),
        ("[log]\nformat = \"jsn\"\n", 2, "log.format", "did you mean \"json\"?"),
        ("[log]\nlevel = \"inof\"\n", 2, "log.level", "no log level"),
        ("[log]\nlevel = \"x=loud\"\n", 2, "log.level", "no log level"),
        ("[log]\naccess = \"yes\"\n", 2, "log.access", "is a string — true or false"),
        ("[admin]\naddress = \"localhost:1\"\n", 2, "admin.address", "an IP address and a port"),
        ("[admin]\naddress = \"0.0.0.0:8081\"\n", 1, "admin.token", "is missing: the admin API is not on loopback"),
        ("[admin]\naddress = \"127.0.0.1:8080\"\n", 1, "admin", "127.0.0.1:8080 is listened at twice"),
        ("[admin]\ntoken = \"hunter2\"\n", 2, "admin.token", "a secret never stands in this file"),
        ("[admin]\ntoken = {}\n", 2, "admin.token", "names no place"),
        ("[admin]\ntoken = { file = \"a\", env = \"B\" }\n", 2, "admin.token", "names two places"),
        ("[admin]\ntoken = { env = \"1B\" }\n", 2, "admin.token.env", "no name of an environment variable"),
        ("[admin]\ntoken = { flie = \"a\", env = \"B\" }\n", 2, "admin.token.flie", "did you mean `file`?"),
        ("[store]\nengine = \"sleD\"\n", 2, "store.engine", "did you mean \"sled\"?"),
        ("[store]\npath = \"\"\n", 2, "store.path", "is empty"),
        ("[store]\nkey = \"s3cret\"\n", 2, "store.key", "a secret never stands in this file"),
        ("[store]\nkey = { env = \"K\" }\n", 2, "store.key.env", "is made by the gate"),
        ("[store]\nlease = \"10 minutes\"\n", 2, "store.lease", "such as \"10s\""),
        ("[store]\nlease = \"2d\"\n", 2, "store.lease", "from 1ms to 1d"),
        ("[store]\ncache_entries = -1\n", 2, "store.cache_entries", "out of bounds"),
        ("[store]\ncache_bytes = \"64MB\"\n", 2, "store.cache_bytes", "such as \"64KiB\""),
        ("[policy]\nmode = \"enforced\"\n", 2, "policy.mode", "did you mean \"enforce\"?"),
        ("[policy]\nmissing = \"derive\"\n", 2, "policy.missing", "lists no place to look in"),
        ("[policy]\nderive = [{ query = \"user\" }]\n", 2, "policy.derive", "is used by nobody"),
        ("[policy]\npersonal = true\n", 2, "policy.personal", "is a boolean — \"allow\" or \"refuse\" or \"rewrite\""),
        ("[policy]\nrequire = [\"gpdr\"]\n", 2, "policy.require[1]", "did you mean \"gdpr\"?"),
        ("[policy]\nrequire = \"gdpr\"\n", 2, "policy.require", "a list of"),
        ("[erasure]\nauthorize = \"token\"\n", 1, "erasure.token", "is missing"),
        ("[erasure]\ntoken = { env = \"T\" }\n", 2, "erasure.token", "is read by nobody"),
        ("[erasure]\nauthorise = \"home\"\n", 2, "erasure.authorise", "did you mean `authorize`?"),
        ("[erasure]\nbarrier_timeout = \"1h\"\n", 2, "erasure.barrier_timeout", "from 10ms to 10m"),
        ("[erasure]\ndeadline = 30\n", 2, "erasure.deadline", "is a whole number"),
        ("[limits]\nheaders_max = 200\n", 2, "limits.headers_max", "from 16 to 100"),
        ("[limits]\nheader_bytes_max = \"1KiB\"\n", 2, "limits.header_bytes_max", "from 8KiB to 1MiB"),
        ("[limits]\nidle_timeout = 600\n", 2, "limits.idle_timeout", "such as \"10s\""),
        ("[limits]\nconnection_max = 1\n", 2, "limits.connection_max", "did you mean `connections_max`?"),
        ("profiles_dir = \"no-such-folder\"\n", 1, "profiles_dir", "cannot be read"),
    ];
    for (above, line, key, phrase) in cases {
        check(&around(above, ""), (*line, key, phrase));
    }
}

/// Faults in an upstream; lines count from the first of the fragment.
#[test]
fn each_fault_of_an_upstream_is_reported_at_its_line_and_key() {
    let key = |key: &str| format!("upstream[1].{key}");
    let cases: &[(&str, &str, &str)] = &[
        ("colour = 1\n", "colour", "is no key that is known here"),
        ("http2 = \"aut\"\n", "http2", "none of its values"),
        ("retired = 1\n", "retired", "true or false"),
        ("version = \"a b\"\n", "version", "letters, digits"),
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
        ("created = \"yesterday\"\n", "created", "is no date"),
        ("tls = { ca = \"a.pem\" }\n", "tls", "the url is plain http"),
        ("policy.derive = [{ query = \"user\" }]\n", "policy.derive", "is used by nobody"),
        ("policy.missing = \"derive\"\n", "policy.missing", "lists no place to look in"),
        ("policy.colour = 1\n", "policy.colour", "no key that is known here"),
        ("policy.require = [\"hipaa\"]\nplan = \"premium\"\nregion = \"us-east\"\n", "created", "from 2019-04-01 on"),
    ];
    for (below, end, phrase) in cases {
        // What is missing stands at the head of its table.
        let line = if *end == "created" && !below.contains("created") { 4 } else { LEAST.lines().count() + 1 };
        check(&around("", below), (line, &key(end), phrase));
    }
}

#[test]
fn each_fault_of_a_needed_key_is_reported() {
    let cases: &[(&str, &str, (usize, &str, &str))] = &[
        ("name = \"one\"\n", "", (4, "upstream[1].name", "is missing")),
        ("name = \"one\"", "name = \"o n e\"", (5, "upstream[1].name", "letters, digits")),
        ("profile = \"watson-assistant\"\n", "", (4, "upstream[1].profile", "is missing")),
        ("watson-assistant", "watson-asistant", (6, "upstream[1].profile", "did you mean \"watson-assistant\"?")),
        ("url = \"http://127.0.0.1:9101\"\n", "", (4, "upstream[1].url", "is missing")),
        ("http://127", "ftp://127", (7, "upstream[1].url", "http:// or https://")),
        ("http://127", "http://u:p@127", (7, "upstream[1].url", "user name or password")),
        (":9101\"", ":9101/x?version=1\"", (7, "upstream[1].url", "holds a query")),
        ("route = { path = \"/one\" }\n", "", (4, "upstream[1].route", "is missing")),
        ("{ path = \"/one\" }", "{}", (8, "upstream[1].route", "neither a path nor hosts")),
        ("\"/one\"", "\"one\"", (8, "upstream[1].route.path", "can be read in one way only")),
        ("\"/one\"", "\"/a//b\"", (8, "upstream[1].route.path", "can be read in one way only")),
        ("\"/one\"", "\"/a%2Fb\"", (8, "upstream[1].route.path", "can be read in one way only")),
        ("path = \"/one\"", "hosts = []", (8, "upstream[1].route.hosts", "is empty")),
        ("path = \"/one\"", "hosts = [\"a:1\"]", (8, "upstream[1].route.hosts[1]", "no host name")),
        ("[[listen]]\naddress = \"127.0.0.1:8080\"\n", "", (1, "listen", "is missing")),
        ("[[listen]]\n", "[listen]\n", (2, "listen", "is a table")),
        ("127.0.0.1:8080", ":8080", (3, "listen[1].address", "no address to listen at")),
    ];
    for (from, to, expected) in cases {
        check(&LEAST.replacen(from, to, 1), *expected);
    }
}

#[test]
fn a_misspelt_needed_key_is_reported_as_unknown_and_as_missing() {
    let faults = read(&LEAST.replace("address", "adress")).unwrap_err();

    let seen: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
    assert_eq!(seen, [(2, "listen[1].address"), (3, "listen[1].adress")]);
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
        ("\"X-User-Id\"", "", "is a string"),
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
    for apart in ["route.path = \"/one/deeper\"", "route.path = \"/ones\"", "route = { path = \"/one\", hosts = [\"a\"] }", "retired = true"] {
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

    check(&require(vision, "gdpr", "created = 2018-05-21\n"), (at + 2, "upstream[1].created", "made before 2018-05-22"));
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
