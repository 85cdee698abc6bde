//! One fault each: where it is reported and in what words.

use super::{LEAST, around, check, read};

/// Faults in tables of their own; lines count from the first of the fragment.
#[rustfmt::skip]
const SECTIONS: &[(&str, usize, &str, &str)] = &[
    ("colour = 1\n", 1, "colour", "no key that is known here"),
    ("[polices]\nx = 1\n", 1, "polices", "did you mean `policy`?"),
    ("policy = 1\n", 1, "policy", "wrong type: found a whole number — [policy]"),
    ("[process]\nworkers = 0\n", 2, "process.workers", "from 1 to 1024"),
    ("[process]\nworkers = \"many\"\n", 2, "process.workers", "\"auto\""),
    ("[log]\nformat = \"jsn\"\n", 2, "log.format", "did you mean \"json\"?"),
    ("[log]\nlevel = \"inof\"\n", 2, "log.level", "no log level"),
    ("[log]\nlevel = \"x=loud\"\n", 2, "log.level", "no log level"),
    ("[log]\naccess = \"yes\"\n", 2, "log.access", "wrong type: found a string — true or false"),
    ("[admin]\naddress = \"localhost:1\"\n", 2, "admin.address", "an IP address and a port"),
    ("[admin]\naddress = \"0.0.0.0:8081\"\n", 1, "admin.token", "is missing: the admin API is not on loopback"),
    ("[admin]\naddress = \"127.0.0.1:8080\"\n", 1, "admin", "127.0.0.1:8080 is listened at twice"),
    ("[admin]\nmetrics = \"token\"\n", 2, "admin.metrics", "asks for a token, and there is none"),
    ("[admin]\nmetrics = \"closed\"\n", 2, "admin.metrics", "token"),
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
    ("[store]\nsnapshot = \"1s\"\n", 2, "store.snapshot", "from 1m to"),
    ("[store]\nsnapshot = { keep = 0 }\n", 2, "store.snapshot.keep", "from 1 to 1000"),
    ("[store]\nengine = \"memory\"\nsnapshot = \"24h\"\n", 3, "store.snapshot", "leave it out"),
    ("[store]\nurl = { env = \"U\" }\n", 2, "store.url", "belongs to engine = \"postgres\""),
    ("[store]\nttl = \"5s\"\n", 2, "store.ttl", "belongs to engine = \"postgres\""),
    ("[store]\nengine = \"postgres\"\n", 1, "store.url", "is missing"),
    ("[store]\nengine = \"postgres\"\nurl = \"postgres://u:hunter2@h/d\"\n", 3, "store.url", "a secret never stands in this file"),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\npath = \"x\"\n", 4, "store.path", "belongs to engine = \"sled\""),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\nsnapshot = \"24h\"\n", 4, "store.snapshot", "belongs to engine = \"sled\""),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\nschema = \"a; DROP\"\n", 4, "store.schema", "is no name of a schema"),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\nschema = \"pg_x\"\n", 4, "store.schema", "is no name of a schema"),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\nttl = \"2m\"\n", 4, "store.ttl", "from 1s to 1m"),
    ("[store]\nengine = \"postgres\"\nurl = { env = \"U\" }\nnotify_url = \"x\"\n", 4, "store.notify_url", "a secret never stands in this file"),
    ("[policy]\nmode = \"enforced\"\n", 2, "policy.mode", "did you mean \"enforce\"?"),
    ("[policy]\nmissing = \"derive\"\n", 2, "policy.missing", "lists no place to look in"),
    ("[policy]\nderive = [{ query = \"user\" }]\n", 2, "policy.derive", "is used by nobody"),
    ("[policy]\npersonal = true\n", 2, "policy.personal", "wrong type: found a boolean — \"allow\" or \"refuse\" or \"rewrite\""),
    ("[policy]\nrequire = [\"gpdr\"]\n", 2, "policy.require[1]", "did you mean \"gdpr\"?"),
    ("[policy]\nrequire = \"gdpr\"\n", 2, "policy.require", "a list of"),
    ("[erasure]\nauthorize = \"token\"\n", 1, "erasure.token", "is missing"),
    ("[erasure]\ntoken = { env = \"T\" }\n", 2, "erasure.token", "is read by nobody"),
    ("[erasure]\nauthorise = \"home\"\n", 2, "erasure.authorise", "did you mean `authorize`?"),
    ("[erasure]\nbarrier_timeout = \"1h\"\n", 2, "erasure.barrier_timeout", "from 10ms to 10m"),
    ("[erasure]\ndeadline = 30\n", 2, "erasure.deadline", "wrong type: found a whole number"),
    ("[limits]\nheaders_max = 201\n", 2, "limits.headers_max", "from 16 to 200"),
    ("[limits]\nheader_bytes_max = \"2MiB\"\n", 2, "limits.header_bytes_max", "from 1KiB to 1MiB"),
    ("[limits]\nidle_timeout = 600\n", 2, "limits.idle_timeout", "such as \"10s\""),
    ("[limits]\nconnection_max = 1\n", 2, "limits.connection_max", "did you mean `connections_max`?"),
    ("profiles_dir = \"no-such-folder\"\n", 1, "profiles_dir", "cannot be read"),
];

#[test]
fn each_fault_of_a_section_is_reported_at_its_line_and_key() {
    for (above, line, key, phrase) in SECTIONS {
        check(&around(above, ""), (*line, key, phrase));
    }
}

#[rustfmt::skip]
const NEEDED: &[(&str, &str, (usize, &str, &str))] = &[
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
    ("[[listen]]\n", "[listen]\n", (2, "listen", "wrong type: found a table")),
    ("127.0.0.1:8080", ":8080", (3, "listen[1].address", "no address to listen at")),
];

#[test]
fn each_fault_of_a_needed_key_is_reported() {
    for (from, to, expected) in NEEDED {
        check(&LEAST.replacen(from, to, 1), *expected);
    }
}

#[test]
fn a_misspelt_needed_key_is_reported_as_unknown_and_as_missing() {
    let faults = read(&LEAST.replace("address", "adress")).unwrap_err();

    let seen: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
    assert_eq!(seen, [(2, "listen[1].address"), (3, "listen[1].adress")]);
}
