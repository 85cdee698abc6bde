//! What a session makes of servers that refuse, poolers that know less, and networks that cut it off.

use std::time::Duration;

use forgetgate::store::{Server, Session};
use tokio_postgres::error::SqlState;

use crate::connect::{config, connect, said};
use crate::server::Postgres;
use crate::wire::{Act, Wire};

fn through(wire: &Wire) -> String {
    Postgres::shared().url_at(&wire.host())
}

/// A table of the test's own.
fn table(name: &str) -> &str {
    Postgres::shared().sql(&format!("CREATE TABLE {name} (n int)"));
    name
}

async fn insert(session: &Session, table: &str) -> Result<u64, SqlState> {
    let done = session.client.execute_typed(&format!("INSERT INTO {table} VALUES (1)"), &[]).await;
    done.map_err(|error| error.code().cloned().unwrap_or(SqlState::CONNECTION_FAILURE))
}

fn rows(table: &str) -> String {
    Postgres::shared().sql(&format!("SELECT count(*) FROM {table}"))
}

#[tokio::test]
async fn a_statement_is_refused_before_or_after_it_was_executed() {
    let (wire, table) = (Wire::before(Postgres::shared().port()), table("refused"));
    let session = connect(&through(&wire)).await.unwrap();
    for code in ["40001", "25006"] {
        wire.once("INSERT INTO refused", Act::Refuse(code));
        assert_eq!(insert(&session, table).await.unwrap_err().code(), code);
    }
    assert_eq!((insert(&session, table).await, rows(table).as_str()), (Ok(1), "1"), "the connection is as it was");
    wire.once("INSERT INTO refused", Act::RefuseAfter("40003"));
    assert_eq!(insert(&session, table).await.unwrap_err().code(), "40003");
    assert_eq!(rows(table), "2", "it was executed");
    wire.once("LISTEN", Act::Refuse("0A000"));
    assert!(session.client.simple_query("LISTEN here").await.is_err());
}

#[tokio::test]
async fn the_order_of_a_pipeline_stays() {
    let (wire, table) = (Wire::before(Postgres::shared().port()), table("pipelined"));
    let session = connect(&through(&wire)).await.unwrap();
    wire.once("'second'", Act::Refuse("40001"));
    wire.once("'third'", Act::Hold);
    let asked = |word: &'static str| {
        let statement = format!("INSERT INTO {table} SELECT 1 WHERE '{word}' <> ''");
        let client = &session.client;
        async move { client.execute_typed(&statement, &[]).await.map_err(|error| error.code().cloned()) }
    };
    let mut statements = wire.statements();
    let let_go = async {
        // The fourth was sent while the third has no answer.
        while !statements.recv().await.unwrap().contains("'fourth'") {}
        wire.release();
    };
    let (first, second, third, fourth, ()) =
        tokio::join!(asked("first"), asked("second"), asked("third"), asked("fourth"), let_go);
    assert_eq!((first, third, fourth), (Ok(1), Ok(1), Ok(1)));
    assert_eq!(second, Err(Some(SqlState::T_R_SERIALIZATION_FAILURE)));
}

#[tokio::test]
async fn a_session_that_was_thrown_out_or_cut_off_is_told() {
    let (wire, table) = (Wire::before(Postgres::shared().port()), table("cut"));
    let session = connect(&through(&wire)).await.unwrap();
    wire.once("INSERT INTO cut", Act::Fatal("57P01"));
    assert_eq!(insert(&session, table).await.unwrap_err().code(), "57P01");
    session.broken().await;
    assert_eq!(rows(table), "0");

    let session = connect(&through(&wire)).await.unwrap();
    wire.cut_all();
    session.broken().await;
    assert!(session.client.is_closed());
}

/// Wherever the network ends, the session is broken and the statement has failed for whoever asked; only the server knows
/// whether it was executed.
#[tokio::test]
async fn p5_a_connection_that_is_cut_at_any_byte_leaves_nobody_waiting() {
    let (wire, table) = (Wire::before(Postgres::shared().port()), table("any_byte"));
    let mut executed = 0;
    for bytes in 0..40 {
        for act in [Act::CutRequest(bytes), Act::CutAnswer(bytes)] {
            let session = connect(&through(&wire)).await.unwrap();
            wire.once("INSERT INTO any_byte", act.clone());
            let done = insert(&session, table).await;
            let whole = matches!(act, Act::CutAnswer(_)) && done.is_ok();
            assert!(done.is_err() || whole, "{act:?}");
            session.broken().await;
            executed += u64::from(matches!(act, Act::CutAnswer(_)));
        }
    }
    assert_eq!(rows(table), executed.to_string(), "what was asked as a whole was executed, and nothing else");
}

#[tokio::test]
async fn p12_a_start_that_is_cut_at_any_byte_is_an_error_and_the_next_one_succeeds() {
    let wire = Wire::before(Postgres::shared().port());
    for bytes in (0..600).step_by(7) {
        wire.cut_next_after(bytes);
        connect(&through(&wire)).await.unwrap_err();
    }
    connect(&through(&wire)).await.unwrap();
}

#[tokio::test]
async fn a_pooler_that_refuses_the_settings_of_a_session_is_used_without_them() {
    let wire = Wire::before(Postgres::shared().port());
    wire.refuse_at_start("options");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&config(folder.path(), &through(&wire)));
    for _ in 0..2 {
        let session = said(server.connect().await).unwrap();
        let row = session.client.query_typed_one("SELECT current_setting('statement_timeout')", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "0");
    }
}

/// The clock is the test's: a host that says nothing is left for the next one.
#[tokio::test(start_paused = true)]
async fn p12_a_host_that_says_nothing_is_left_for_the_next() {
    let (wire, postgres) = (Wire::before(Postgres::shared().port()), Postgres::shared());
    wire.lose_everything(true);
    let only = connect(&through(&wire)).await.unwrap_err();
    assert!(only.contains("no connection within 5 s"), "{only}");
    tokio::time::resume();
    let both =
        format!("{}?connect_timeout=2", postgres.url_at(&format!("{},127.0.0.1:{}", wire.host(), postgres.port())));
    let session = tokio::time::timeout(Duration::from_secs(60), connect(&both)).await.unwrap().unwrap();
    assert!(session.host().ends_with(&postgres.port().to_string()));
}
