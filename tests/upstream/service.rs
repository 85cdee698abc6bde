//! The other side: a service that reads whole requests and answers with scripted bytes, over TCP or TLS.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forgetgate::config::{BaseUrl, Limits, UpstreamTls};
use forgetgate::upstream::Connector;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far above anything that a test expects; a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// For what is expected not to come.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// A listener on a free port of 127.0.0.1 and its URL under the name `host`.
pub(crate) async fn listen(tls: bool, host: &str) -> (TcpListener, BaseUrl) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, url(tls, host, port))
}

pub(crate) fn url(tls: bool, host: &str, port: u16) -> BaseUrl {
    BaseUrl { tls, host: host.to_owned(), port, authority: format!("{host}:{port}"), path: String::new() }
}

pub(crate) fn plain(url: &BaseUrl) -> Connector {
    Connector::to(url, &UpstreamTls::default(), LONG).unwrap()
}

/// A service that gives each connection to `serve`, one after another, and its connector.
pub(crate) async fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Connector
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, url) = listen(false, "127.0.0.1").await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    plain(&url)
}

/// A service that reads a request, answers with `answer` and closes.
pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Connector {
    let answer = Arc::new(answer.into());
    serving(move |mut socket| {
        let answer = Arc::clone(&answer);
        async move {
            request(&mut socket).await;
            // The gate may have left already, which is what some of the tests are about.
            drop(socket.write_all(&answer).await);
        }
    })
    .await
}

/// Reads one request to its end, by Content-Length; returns its bytes as they came.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// An authority of our own, and `tls.ca` for it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Authority of the tests")
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn connector(&self, url: &BaseUrl) -> Connector {
        Connector::to(url, &UpstreamTls { ca: Some(self.ca()), ..UpstreamTls::default() }, LONG).unwrap()
    }

    /// A server's configuration with a certificate for `names`, changed as the test needs it.
    pub(crate) fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> rustls::ServerConfig {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        connections_max: 100,
        in_flight_max: 100,
        headers_max: 100,
        header_bytes_max: 65_536,
        inspected_body_bytes_max: 65_536,
        header_timeout: LONG,
        idle_timeout: LONG,
        body_stall_timeout: LONG,
        connect_timeout: LONG,
        response_timeout: LONG,
        drain_timeout: LONG,
        ..Limits::default()
    }
}
