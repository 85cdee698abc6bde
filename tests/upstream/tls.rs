//! Whom the gate believes: certificates, names, protocols. Real handshakes with real certificates.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use forgetgate::config::{BaseUrl, UpstreamTls};
use forgetgate::net::Stream;
use forgetgate::tls::HandshakeFault;
use forgetgate::upstream::{Bounds, ConnectError, Connector, RootsError, Stage, call};
use http::Request;
use http_body_util::Full;
use rcgen::date_time_ymd;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::service::{Authority, LONG, SHORT, listen, request, url};

/// What a server saw of one connection: `None` if the handshake failed.
type Seen = Option<(Option<ProtocolVersion>, Option<Vec<u8>>, Option<HandshakeKind>, Option<String>)>;

/// Serves `config` under the name `host`, answering every request, and reports each connection.
async fn served(config: rustls::ServerConfig, host: &str) -> (BaseUrl, mpsc::UnboundedReceiver<Seen>) {
    let (listener, url) = listen(true, host).await;
    let (report, seen) = mpsc::unbounded_channel();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else {
                drop(report.send(None));
                continue;
            };
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
            let connection = stream.get_ref().1;
            let saw = (
                connection.protocol_version(),
                connection.alpn_protocol().map(<[u8]>::to_vec),
                connection.handshake_kind(),
                connection.server_name().map(str::to_owned),
            );
            drop(report.send(Some(saw)));
        }
    });
    (url, seen)
}

async fn ask(connector: &Connector) -> u16 {
    let bounds = Bounds { within: LONG, body_bytes_max: 100 };
    let request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    call(connector, request, bounds, crate::call::always()).await.unwrap().response.status().as_u16()
}

/// The connection is refused for `fault`, and no request got through.
async fn assert_refused(connector: &Connector, mut seen: mpsc::UnboundedReceiver<Seen>, fault: HandshakeFault) {
    assert_eq!(connector.connect().await.unwrap_err(), ConnectError::Tls(fault));
    assert_eq!(seen.recv().await, Some(None));
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_believed() {
    let authority = Authority::new();
    let mut config = authority.server(&["localhost"], |_| {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (url, mut seen) = served(config, "localhost").await;

    assert_eq!(ask(&authority.connector(&url)).await, 200);
    let (version, protocol, _, name) = seen.recv().await.unwrap().unwrap();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(name.as_deref(), Some("localhost"));
}

/// Also not if it gives itself the same name.
#[tokio::test]
async fn another_authority_is_not_believed() {
    for other in [Authority::named("Another"), Authority::new()] {
        let (url, seen) = served(other.server(&["localhost"], |_| {}), "localhost").await;
        assert_refused(&Authority::new().connector(&url), seen, HandshakeFault::UnknownIssuer).await;
    }
}

/// A machine without any roots refuses at start, which is as good.
#[tokio::test]
async fn without_tls_ca_a_private_authority_is_not_believed() {
    let (url, seen) = served(Authority::new().server(&["localhost"], |_| {}), "localhost").await;
    match Connector::to(&url, &UpstreamTls::default(), LONG) {
        Ok(connector) => assert_refused(&connector, seen, HandshakeFault::UnknownIssuer).await,
        Err(error) => assert!(matches!(error, RootsError::NoSystemRoots), "{error}"),
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    for (names, host) in [(["other.test"], "localhost"), (["localhost"], "127.0.0.1"), (["127.0.0.2"], "127.0.0.1")] {
        let (url, seen) = served(authority.server(&names, |_| {}), host).await;
        assert_refused(&authority.connector(&url), seen, HandshakeFault::WrongName).await;
    }
}

#[tokio::test]
async fn a_certificate_for_the_address_itself_is_believed() {
    let authority = Authority::new();
    let (url, mut seen) = served(authority.server(&["127.0.0.1"], |_| {}), "127.0.0.1").await;
    assert_eq!(ask(&authority.connector(&url)).await, 200);
    assert!(seen.recv().await.unwrap().is_some());
}

#[tokio::test]
async fn a_certificate_outside_its_time_is_refused() {
    let authority = Authority::new();
    let over = authority.server(&["localhost"], |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let (url, seen) = served(over, "localhost").await;
    assert_refused(&authority.connector(&url), seen, HandshakeFault::Expired).await;

    let early = authority.server(&["localhost"], |params| params.not_before = date_time_ymd(3000, 1, 1));
    let (url, seen) = served(early, "localhost").await;
    assert_refused(&authority.connector(&url), seen, HandshakeFault::NotYetValid).await;
}

#[tokio::test]
async fn a_second_connection_resumes_the_session_also_from_a_clone() {
    let authority = Authority::new();
    let (url, mut seen) = served(authority.server(&["localhost"], |_| {}), "localhost").await;
    let connector = authority.connector(&url);

    ask(&connector).await;
    assert_eq!(seen.recv().await.unwrap().unwrap().2, Some(HandshakeKind::Full));
    ask(&connector.clone()).await;
    assert_eq!(seen.recv().await.unwrap().unwrap().2, Some(HandshakeKind::Resumed));
}

#[tokio::test]
async fn a_service_that_only_speaks_http_2_is_refused_in_the_handshake() {
    let authority = Authority::new();
    let mut config = authority.server(&["localhost"], |_| {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (url, seen) = served(config, "localhost").await;
    assert_refused(&authority.connector(&url), seen, HandshakeFault::NothingInCommon).await;
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_called_that() {
    let (listener, url) = listen(true, "localhost").await;
    let connector = Authority::new().connector(&url);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Held open until the other side leaves: an early close could be seen as a reset.
        request(&mut socket).await;
    });
    assert_eq!(connector.connect().await.unwrap_err(), ConnectError::Tls(HandshakeFault::NotTls));
}

#[tokio::test]
async fn a_peer_that_hangs_up_in_the_handshake_is_no_timeout() {
    let (listener, url) = listen(true, "localhost").await;
    let connector = Authority::new().connector(&url);
    tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
    assert_eq!(connector.connect().await.unwrap_err(), ConnectError::Tls(HandshakeFault::Closed));
}

#[tokio::test]
async fn a_peer_that_never_answers_the_handshake_costs_no_more_than_connect_timeout() {
    let (listener, url) = listen(true, "localhost").await;
    let authority = Authority::new();
    let connector =
        Connector::to(&url, &UpstreamTls { ca: Some(authority.ca()), ..UpstreamTls::default() }, SHORT).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let began = Instant::now();
    assert_eq!(connector.connect().await.unwrap_err(), ConnectError::Timeout(Stage::Tls));
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG / 4, "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn the_stream_says_that_it_is_tls() {
    let authority = Authority::new();
    let (url, _seen) = served(authority.server(&["localhost"], |_| {}), "localhost").await;
    assert!(matches!(authority.connector(&url).connect().await.unwrap(), Stream::Tls(_)));
}

#[test]
fn a_host_that_no_certificate_could_name_is_refused_at_start() {
    let authority = Authority::new();
    let error = Connector::to(
        &url(true, "no name", 443),
        &UpstreamTls { ca: Some(authority.ca()), ..UpstreamTls::default() },
        LONG,
    )
    .unwrap_err();
    assert!(matches!(error, RootsError::BadName { .. }), "{error}");
}
