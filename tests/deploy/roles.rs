//! The roles of deploy/kubernetes: one makes the tables, the other does all that a gate does and cannot change them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forgetgate::config::{Engine, Postgres as Server, Secret, Store, UpstreamTls};
use forgetgate::domain::Tag;
use forgetgate::store::{FenceWrite, Joining, Opened, Told, open, open_or_make};
use serde_json::Value;
use uuid::Uuid;

use crate::kustomize::{build, list, text};
use crate::references::{self, containers, object};
use crate::root;
use crate::server::{Postgres, program};

const OWNER: &str = "owner-made-up";
const GATE: &str = "gate-made-up";

/// A store of this role's, in a schema of that name.
fn store(folder: &Path, postgres: &Postgres, role: &str, password: &str, schema: &str) -> Store {
    let url = folder.join(format!("{role}-url"));
    fs::write(&url, format!("postgres://{role}:{password}@127.0.0.1:{}/gates", postgres.port())).unwrap();
    let server = Server {
        url: Secret::file(url),
        schema: schema.to_owned(),
        ttl: Duration::from_secs(5),
        notify_url: None,
        tls: UpstreamTls::default(),
    };
    let key_file = folder.join("key");
    Store { engine: Engine::Postgres, key_file, postgres: Some(server), ..Store::default() }
}

/// What the job of deploy/kubernetes runs, with its files here.
fn migrate(folder: &Path, postgres: &Postgres) {
    let made = build(&references::folder("database/migrate"));
    let config = folder.join("config.toml");
    fs::write(&config, text(object(&made, "ConfigMap"), "/data/config.toml")).unwrap();
    store(folder, postgres, "forgetgate_owner", OWNER, "forgetgate");
    let args = list(containers(object(&made, "Job"))[0], "/args").iter().filter_map(Value::as_str);
    let args = args.map(|arg| match arg {
        "/etc/forgetgate/config.toml" => config.clone(),
        "/secrets/DATABASE_URL" => folder.join("forgetgate_owner-url"),
        word => word.into(),
    });

    let output = Command::new(env!("CARGO_BIN_EXE_forgetgate")).args(args).output().expect("forgetgate can be run");

    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("Schema forgetgate is made"), "{said}");
}

/// Becomes a member and raises a fence.
async fn takes_part(opened: &Opened) {
    let members = &opened.together.as_ref().expect("there can be several gates").members;
    let me = Uuid::now_v7();
    let second = Duration::from_secs(1);
    members.join(Joining { id: me, name: "made up".into(), ttl: second, straggle: second }).await.unwrap();
    let fence = FenceWrite { id: Uuid::now_v7(), tag: Tag([1; 16]), version: 1, body: vec![1], life: second };
    let told = Told { fences: vec![fence], acks: vec![(Uuid::now_v7(), vec![1])], ..Told::default() };
    assert!(members.exchange(me, told).await.unwrap().is_some());
    members.leave(me, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn the_gates_role_does_what_gates_do_and_changes_no_tables() {
    let postgres = Postgres::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    // As where a database is managed: somebody who may make roles and owns the database, and no superuser.
    postgres.sql("CREATE ROLE somebody LOGIN CREATEROLE PASSWORD 'made-up'");
    postgres.sql("CREATE DATABASE gates OWNER somebody");
    let mut psql = Command::new(program("psql"));
    psql.env("OWNER_PASSWORD", OWNER).env("GATE_PASSWORD", GATE);
    psql.arg(format!("postgres://somebody:made-up@127.0.0.1:{}/gates", postgres.port()));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(root().join("deploy/kubernetes/database/trial/roles.sql"));

    let output = psql.output().expect("psql can be run");

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    migrate(folder.path(), &postgres);
    let opened = open(&store(folder.path(), &postgres, "forgetgate", GATE, "forgetgate")).expect("a gate starts");
    takes_part(&opened).await;
    let rights = "SELECT count(*), bool_and(has_table_privilege('forgetgate', oid, right_)) FROM pg_class, \
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_ WHERE relkind = 'r' AND relname = ANY (ARRAY \
        ['placements', 'jobs', 'holds', 'upstreams', 'instances', 'meta', 'members', 'fences', 'acks', 'seq'])";
    assert_eq!(in_database(&postgres, rights), "40|t");
    let rights = "SELECT has_sequence_privilege('forgetgate', 'forgetgate.numbers', 'USAGE'), \
        has_schema_privilege('forgetgate', 'forgetgate', 'CREATE'), has_database_privilege('forgetgate', 'gates', 'CREATE')";
    assert_eq!(in_database(&postgres, rights), "t|f|f");
    let other = open_or_make(&store(folder.path(), &postgres, "forgetgate", GATE, "another"));
    assert!(other.is_err(), "a gate's role made a schema");
}

fn in_database(postgres: &Postgres, statement: &str) -> String {
    let mut psql = Command::new(program("psql"));
    psql.arg(format!("postgres://somebody:made-up@127.0.0.1:{}/gates", postgres.port()));
    let output = psql.args(["-X", "-A", "-t", "-c", statement]).output().expect("psql can be run");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
