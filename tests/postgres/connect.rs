//! Which server is used, and what is said of those that are not.

use std::path::Path;
use std::time::Duration;

use forgetgate::config::{Postgres as Config, Secret, UpstreamTls};
use forgetgate::store::{ConnectError, Server, ServerKind, Session};

use crate::server::{PASSWORD, Postgres};

/// Keeps a URL in a file, as a secret is.
pub(crate) fn config(folder: &Path, url: &str) -> Config {
    let file = folder.join("url");
    std::fs::write(&file, url).unwrap();
    Config {
        url: Secret::file(file),
        schema: "forgetgate".to_owned(),
        ttl: Duration::from_secs(5),
        notify_url: None,
        tls: UpstreamTls::default(),
    }
}

/// Connects as a gate would. What is said when it fails never holds the password.
pub(crate) async fn connect(url: &str) -> Result<Session, String> {
    let folder = tempfile::tempdir().unwrap();
    said(Server::new(&config(folder.path(), url)).connect().await)
}

pub(crate) fn said(connected: Result<Session, ConnectError>) -> Result<Session, String> {
    connected.map_err(|error| {
        let mut all = format!("{error:?} {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            all = format!("{all} {error:?} {error}");
            cause = error.source();
        }
        for piece in PASSWORD.split([':', '/', '@', '?', ' ']).filter(|piece| piece.len() > 2) {
            assert!(!all.contains(piece), "{all}");
        }
        error.to_string()
    })
}

async fn one(session: &Session, statement: &str) -> String {
    session.client.query_typed_one(statement, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_server_is_reached_over_tcp_and_over_its_socket() {
    let postgres = Postgres::shared();
    for url in [postgres.url(), postgres.socket_url()] {
        let session = connect(&url).await.unwrap();
        assert_eq!(session.facts().kind, ServerKind::Postgres);
        assert_eq!(session.facts().synchronous_commit.as_deref(), Some("on"));
        assert_eq!(one(&session, "SELECT current_setting('application_name')").await, "forgetgate");
        for (setting, expected) in [
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "30s"),
            ("default_transaction_isolation", "read committed"),
        ] {
            assert_eq!(one(&session, &format!("SELECT current_setting('{setting}')")).await, expected);
        }
    }
}

#[tokio::test]
async fn p11_a_server_that_does_not_keep_what_it_acknowledges_is_refused() {
    let postgres = Postgres::shared();
    let with =
        |options: &str| format!("{}?options={}", postgres.url(), options.replace(' ', "%20").replace('=', "%3D"));
    let off = connect(&with("-c synchronous_commit=off")).await.unwrap_err();
    assert!(off.contains("synchronous_commit = off") && off.contains("ALTER ROLE"), "{off}");
    for fine in ["on", "local", "remote_apply"] {
        connect(&with(&format!("-c synchronous_commit={fine}"))).await.unwrap();
    }
    let lossy = Postgres::start(&["fsync = off"]);
    let off = connect(&lossy.url()).await.unwrap_err();
    assert!(off.contains("fsync = off"), "{off}");
    // A standby that commits wait for, and a role that does not wait for it.
    let half = Postgres::start(&["synchronous_standby_names = 'other'", "synchronous_commit = local"]);
    let local = connect(&half.url()).await.unwrap_err();
    assert!(local.contains("synchronous_commit = local") && local.contains("standby"), "{local}");
}

#[tokio::test]
async fn p7_what_is_said_of_a_failure_holds_neither_the_password_nor_the_url() {
    let postgres = Postgres::shared();
    let good = postgres.url();
    let wrong = connect(&good.replace("canary%3A7f", "canary-7f")).await.unwrap_err();
    assert!(wrong.contains("password authentication failed") && wrong.contains("28P01"), "{wrong}");
    let none = connect(&format!("{}none", good.strip_suffix("postgres").unwrap())).await.unwrap_err();
    assert!(none.contains("does not exist") && none.contains("3D000"), "{none}");
    let nobody = connect(&good.replace(&postgres.port().to_string(), "1")).await.unwrap_err();
    assert!(nobody.contains("127.0.0.1:1: ") && nobody.contains("refused"), "{nobody}");
    // A password that was not encoded looks like something else.
    for host in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
        let plain = format!("postgres://postgres:{PASSWORD}@{host}/postgres");
        connect(&plain).await.unwrap_err();
        connect(&plain.replace("3a@b", "3ab")).await.unwrap_err();
    }
    for bad in [
        "canary",
        "mysql://canary@host/db",
        "postgres://host/db?canary=7f",
        "postgres://host:canary/db",
        "postgres://host/db?sslmode=canary",
    ] {
        let said = connect(bad).await.unwrap_err();
        assert!(said.contains("postgres://user:password@host"), "{said}");
    }
}

#[tokio::test]
async fn the_first_host_that_can_be_written_to_is_used() {
    let primary = Postgres::start(&[]);
    let standby = primary.standby();
    let (dead, first, second) =
        ("127.0.0.1:1", format!("127.0.0.1:{}", standby.port()), format!("127.0.0.1:{}", primary.port()));
    for hosts in [format!("{dead},{second}"), format!("{first},{second}"), format!("{dead},{first},{second}")] {
        let session = connect(&primary.url_at(&hosts)).await.unwrap();
        assert_eq!(session.host(), second, "{hosts}");
    }
    let only = connect(&primary.url_at(&format!("{dead},{first}"))).await.unwrap_err();
    assert!(only.contains(&format!("{dead}: ")) && only.contains("does not allow writes"), "{only}");

    // The one that could be written to goes, and the other takes its place.
    let session = connect(&primary.url_at(&format!("{second},{first}"))).await.unwrap();
    primary.kill();
    let fault = session.broken().await;
    assert!(session.client.is_closed(), "{fault}");
    standby.promote();
    let session = connect(&primary.url_at(&format!("{second},{first}"))).await.unwrap();
    assert_eq!(session.host(), first);
}

#[tokio::test]
async fn a_password_that_was_changed_in_its_file_is_used_for_the_next_connection() {
    let postgres = Postgres::shared();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&config(folder.path(), &postgres.url().replace("canary", "old")));
    said(server.connect().await).unwrap_err();
    std::fs::write(folder.path().join("url"), postgres.url()).unwrap();
    said(server.connect().await).unwrap();
}

#[tokio::test]
async fn a_session_is_told_when_its_server_ends() {
    let postgres = Postgres::start(&[]);
    let session = connect(&postgres.url()).await.unwrap();
    postgres.stop();
    let fault = session.broken().await;
    assert_eq!(fault.code().map(|code| code.code()), Some("57P01"), "{fault}");
    postgres.start_again();
    connect(&postgres.url()).await.unwrap();
    postgres.kill();
    postgres.start_again();
    connect(&postgres.url()).await.unwrap();
}

#[tokio::test]
async fn notifications_reach_the_session_that_listens() {
    let postgres = Postgres::shared();
    let session = connect(&postgres.url()).await.unwrap();
    session.client.simple_query("LISTEN here").await.unwrap();
    postgres.sql("NOTIFY here");
    session.notified().await;
}
