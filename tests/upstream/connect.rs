//! Sockets: how they are set, what is tried, and how long.

use forgetgate::config::UpstreamTls;
use forgetgate::net::Stream;
use forgetgate::upstream::{ConnectError, Connector, Stage};
use socket2::SockRef;
use tokio::io::AsyncWrite;

use crate::service::{SHORT, listen, plain, url};

/// A connector goes to every worker thread, and its futures onto any runtime.
#[test]
fn connectors_and_their_futures_cross_threads() {
    fn crosses<T: Send + Sync + Clone + 'static>(_: &T) {}
    fn moves<T: Send>(_: T) {}
    let connector = plain(&url(false, "127.0.0.1", 1));
    crosses(&connector);
    moves(connector.connect());
}

#[tokio::test]
async fn small_writes_are_not_held_back_and_a_dead_peer_is_noticed() {
    let (_listener, url) = listen(false, "127.0.0.1").await;
    let stream = plain(&url).connect().await.unwrap();
    assert!(stream.is_write_vectored());
    let Stream::Tcp(socket) = stream else { panic!("http is plain") };
    assert!(socket.nodelay().unwrap());
    assert!(SockRef::from(&socket).keepalive().unwrap());
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let (_listener, url) = listen(false, "localhost").await;
    plain(&url).connect().await.unwrap();
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let (listener, url) = listen(false, "127.0.0.1").await;
    drop(listener);
    assert_eq!(plain(&url).connect().await.unwrap_err(), ConnectError::Refused);
}

/// Without a name service the lookup may take longer than the test wants to wait; that is said as such.
#[tokio::test]
async fn a_name_without_an_address_is_not_resolved() {
    let connector = Connector::to(&url(false, "nowhere.invalid", 80), &UpstreamTls::default(), SHORT * 5).unwrap();
    let error = connector.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve | ConnectError::Timeout(Stage::Resolve)), "{error}");
}

#[test]
fn the_words_are_short_and_name_no_host() {
    assert_eq!(ConnectError::Refused.to_string(), "connection refused");
    assert_eq!(ConnectError::Timeout(Stage::Tls).to_string(), "timeout in TLS handshake");
    assert!(ConnectError::System(24).to_string().contains("os error 24"));
}
