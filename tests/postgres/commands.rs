//! `store migrate` and `check --live`, as an operator runs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::server::{PASSWORD, Postgres};

/// A configuration whose store is in this schema, with this URL.
fn written(folder: &Path, url: &str, schema: &str) {
    fs::write(folder.join("url"), url).unwrap();
    let text = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[store]\nengine = \"postgres\"\n\
         url = {{ file = \"url\" }}\nschema = \"{schema}\"\nkey = {{ file = \"key\" }}\n[[upstream]]\nname = \"one\"\n\
         profile = \"watson-discovery\"\nurl = \"http://127.0.0.1:1\"\nroute = {{ path = \"/one\" }}\n"
    );
    fs::write(folder.join("config.toml"), text).unwrap();
}

/// Runs the program in the folder and gives its exit code and all that it said, which never holds the password.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_forgetgate")).current_dir(folder).args(arguments).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for piece in PASSWORD.split([':', '/', '@', '?', ' ']).filter(|piece| piece.len() > 2) {
        assert!(!said.contains(piece), "{said}");
    }
    (output.status.code(), said)
}

/// What `check --live --json` says of the store.
fn live(folder: &Path) -> Value {
    let (_, said) = run(folder, &["check", "--live", "--json"]);
    let answer: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    answer["live"]["store"].clone()
}

#[test]
fn p11_the_schema_is_made_by_hand_and_a_role_that_only_runs_the_gate_starts_with_it() {
    let (postgres, folder) = (Postgres::start(&[]), tempfile::tempdir().unwrap());
    let folder = folder.path();
    postgres.sql("CREATE ROLE gate LOGIN PASSWORD 'gate'");
    postgres.sql("REVOKE CREATE ON DATABASE postgres FROM PUBLIC");
    let small = format!("postgres://gate:gate@127.0.0.1:{}/postgres", postgres.port());
    written(folder, &small, "erasures");
    let found = live(folder);
    assert_eq!(found["connection"]["good"], true, "{found}");
    assert_eq!(found["schema"]["good"], false, "{found}");
    let (code, said) = run(folder, &["store", "migrate"]);
    assert!(code == Some(1) && said.contains("the role may not"), "{said}");

    fs::write(folder.join("owner"), postgres.url()).unwrap();
    let (code, said) = run(folder, &["store", "migrate", "--url-file", "owner"]);
    assert!(code == Some(0) && said.contains("Schema erasures is made"), "{said}");
    let (code, again) = run(folder, &["store", "migrate", "--url-file", "owner"]);
    assert!(code == Some(0) && again.contains("nothing to do"), "{again}");
    let found = live(folder);
    assert_eq!((&found["rights"]["good"], &found["schema"]["good"]), (&false.into(), &false.into()), "{found}");

    // The statements that it prints are enough.
    for grant in said.lines().filter(|line| line.starts_with("GRANT ")) {
        postgres.sql(&grant.replace(" TO role", " TO gate"));
    }
    let found = live(folder);
    for (what, outcome) in found.as_object().unwrap() {
        assert_eq!(outcome["good"], true, "{what}: {found}");
    }
    assert!(found["connection"]["detail"].as_str().unwrap().contains("in the clear"), "{found}");
    assert!(found["commits"]["detail"].as_str().unwrap().contains("without a synchronous standby"), "{found}");
    let config = forgetgate::config::load(&folder.join("config.toml")).unwrap().config.store;
    drop(forgetgate::store::open_or_make(&config).unwrap());

    postgres.sql("REVOKE DELETE ON erasures.placements FROM gate");
    let found = live(folder);
    assert!(found["rights"]["detail"].as_str().unwrap().contains("placements"), "{found}");
    postgres.sql("GRANT DELETE ON erasures.placements TO gate; UPDATE erasures.schema_version SET v = 1000");
    let found = live(folder);
    assert!(found["schema"]["detail"].as_str().unwrap().contains("use the newer program"), "{found}");
    let (code, said) = run(folder, &["store", "migrate", "--url-file", "owner"]);
    assert!(code == Some(1) && said.contains("1000"), "{said}");
}

#[test]
fn p11_a_server_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &Postgres::shared().url_at("127.0.0.1:1"), "erasures");
    let (code, said) = run(folder.path(), &["check", "--live"]);
    assert!(code == Some(1) && said.contains("FAILED: no server of the store can be used: 127.0.0.1:1"), "{said}");
    assert!(said.contains("PostgreSQL at the URL in file"), "{said}");
    let (code, said) = run(folder.path(), &["store", "migrate"]);
    assert!(code == Some(1) && said.contains("127.0.0.1:1"), "{said}");
    let of_files = ["restore --from x", "compact", "export --to x", "accept"];
    for command in of_files.map(|command| ["index"].into_iter().chain(command.split(' ')).collect::<Vec<_>>()) {
        let command = &command;
        let (code, said) = run(folder.path(), command);
        assert!(code == Some(1) && said.contains("store.engine is \"postgres\""), "{said}");
    }
    let sled = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"one\"\nprofile = \"watson-discovery\"\n\
                url = \"http://127.0.0.1:1\"\nroute = { path = \"/one\" }\n";
    fs::write(folder.path().join("config.toml"), sled).unwrap();
    let (code, said) = run(folder.path(), &["store", "migrate"]);
    assert!(code == Some(2) && said.contains("has no schema"), "{said}");
}
