//! The schema: whose it is, which key belongs to it, who may change it, and how a customer's rows are found in it.

use std::error::Error as _;
use std::fs;

use forgetgate::config::Engine;
use forgetgate::store::seal::key_file::Failure as KeyFailure;
use forgetgate::store::{OpenError, open, open_or_make};

use super::{schema, world_on};
use crate::server::Postgres;
use crate::world::{World, fact, rows_of, wait};

fn with_one_fact() -> World {
    let world = World::new(Engine::Postgres);
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    world
}

fn why(error: &OpenError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn p5_a_schema_that_is_gone_while_its_key_is_there_is_refused_and_made_only_if_told() {
    let world = with_one_fact();
    let schema = schema(&world).to_owned();
    Postgres::shared().sql(&format!("DROP SCHEMA {schema} CASCADE"));
    let refused = open(&world.config).unwrap_err();
    assert!(matches!(refused, OpenError::NoSchema { .. }), "{refused}");
    assert!(refused.to_string().contains("--new-store") && refused.to_string().contains(&schema));
    let store = open_or_make(&world.config).unwrap();
    assert_eq!(wait(rows_of(&store, "anna")), []);
    drop(store);
    drop(world.open());
}

#[test]
fn p5_another_key_or_none_is_refused() {
    let world = with_one_fact();
    let key = fs::read_to_string(&world.config.key_file).unwrap();
    fs::remove_file(&world.config.key_file).unwrap();
    assert!(matches!(open(&world.config).unwrap_err(), OpenError::Key(KeyFailure::Missing { .. })));
    assert!(!world.config.key_file.exists(), "no new one is made");
    let other = World::new(Engine::Postgres);
    drop(other.open());
    fs::copy(&other.config.key_file, &world.config.key_file).unwrap();
    assert!(matches!(open(&world.config).unwrap_err(), OpenError::WrongKey { .. }));
    fs::write(&world.config.key_file, key).unwrap();
    assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 1);
}

#[test]
fn a_newer_schema_is_refused() {
    let world = with_one_fact();
    let set = |version: u32| {
        Postgres::shared().sql(&format!("UPDATE {}.schema_version SET v = {version}", schema(&world)));
    };
    set(99);
    let refused = why(&open(&world.config).unwrap_err());
    assert!(refused.contains("version 99") && refused.contains("use the newer program"), "{refused}");
    // An older one is brought to this version, however far the one before had come.
    for version in [0, 5, 12] {
        set(version);
        assert_eq!(wait(rows_of(&world.open(), "anna")).len(), 1);
    }
}

#[test]
fn a_role_without_rights_on_tables_can_run_and_cannot_migrate() {
    let world = with_one_fact();
    let (server, schema) = (Postgres::shared(), schema(&world));
    server.sql(&format!(
        "CREATE ROLE r{schema} LOGIN PASSWORD 'few'; GRANT USAGE ON SCHEMA {schema} TO r{schema};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO r{schema};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO r{schema}"
    ));
    let url = format!("postgres://r{schema}:few@127.0.0.1:{}/postgres", server.port());
    fs::write(world.config.key_file.with_file_name("url"), url).unwrap();
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "bert", 1, "r"))).unwrap();
    assert_eq!(wait(rows_of(&store, "anna")).len() + wait(rows_of(&store, "bert")).len(), 2);
    assert!(wait(store.index.figures()).unwrap().bytes > 0);
    drop(store);
    server.sql(&format!("UPDATE {schema}.schema_version SET v = 12"));
    let refused = why(&open(&world.config).unwrap_err());
    assert!(refused.contains("forgetgate store migrate"), "{refused}");
}

#[test]
fn how_the_run_before_ended_is_known() {
    let world = World::new(Engine::Postgres);
    let first = world.open();
    assert!(first.ending.was_orderly(), "a new store has had none that did not");
    first.ending.set_orderly(false);
    drop(first);
    let second = world.open();
    assert!(!second.ending.was_orderly());
    second.ending.set_orderly(true);
    drop(second);
    let third = world.open();
    assert!(third.ending.was_orderly());
    let fourth = world.open();
    assert!(!fourth.ending.was_orderly(), "the one before has not ended");
}

/// What the server really did is in its log.
#[test]
fn p12_a_customers_rows_are_found_by_the_primary_key() {
    let server = Postgres::start(&["session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0"]);
    let world = world_on(&server);
    let store = world.open();
    wait(store.index.record(fact(&store.keys, "anna", 1, "r"))).unwrap();
    let schema = schema(&world);
    server.sql(&format!(
        "INSERT INTO {schema}.placements SELECT sha256(n::text::bytea), 1 + n % 3, 0, '\\x00', '\\x00', 1, 1, NULL, 0, 2, '', 1
             FROM generate_series(1, 20000) AS n; ANALYZE {schema}.placements"
    ));
    assert_eq!(wait(rows_of(&store, "anna")).len(), 1);
    wait(store.index.upstream_number("one", "")).unwrap();
    wait(store.index.upstreams()).unwrap();
    drop(store);
    let log = server.log();
    let plan = |statement: &str| {
        let from = log.rfind(statement).unwrap_or_else(|| panic!("{statement} is not in {log}"));
        log[from..].split("LOG:").next().unwrap().to_owned()
    };
    let rows = plan("SELECT upstream, form, resource, instance, first_seen");
    assert!(rows.contains("using placements_pkey") && !rows.contains("Seq Scan"), "{rows}");
    let upstreams = plan("SELECT number, name, identity, named, coalesce");
    assert!(
        upstreams.contains("using placements_upstream") && !upstreams.contains("Seq Scan on placements"),
        "{upstreams}"
    );
}
