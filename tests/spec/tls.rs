//! The service behind TLS: whoever cannot show the right certificate gets nothing of a request (P1, P8).

use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::client::request;
use crate::upstream::{Connection, Upstream, Wire};
use crate::world::{LABEL, MESSAGE, Plan, World};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// A service that shows a certificate for `name`.
    fn service(&self, name: &str) -> Upstream {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let wrap = move |socket: TcpStream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Some(Box::new(StreamOwned::new(connection, socket)) as Box<dyn Wire>)
        };
        Upstream::over(wrap, Connection::follow_script)
    }

    fn believed_in(&self) -> Plan {
        let ca = self.folder.path().join("ca.pem");
        Plan { scheme: "https", upstream: format!("tls = {{ ca = \"{}\" }}", ca.display()), ..Plan::default() }
    }
}

fn message() -> String {
    request(MESSAGE, &[LABEL, "Content-Length: 2"], "{}")
}

#[test]
fn p8_a_service_with_the_right_certificate_is_spoken_to() {
    let authority = Authority::new();
    let world = World::before(authority.service("localhost"), authority.believed_in());
    let mut client = world.client();
    for _ in 0..3 {
        let answer = client.ask(message());
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()));
    }
    let seen = world.upstream.saw(3);
    assert!(seen.iter().all(|seen| seen.connection == 0 && seen.body == b"{}"));
    assert_eq!(seen[0].values("host"), [format!("localhost:{}", world.upstream.address.port())]);
    assert_eq!(seen[0].values("x-watson-metadata"), ["customer_id=alice"]);
}

#[test]
fn p1_a_service_that_cannot_prove_who_it_is_sees_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    for service in [other.service("localhost"), authority.service("elsewhere.test")] {
        let world = World::before(service, authority.believed_in());
        world.ask(message()).assert_refused(502, "upstream_unreachable");
        assert_eq!((world.upstream.connections(), world.upstream.seen().len()), (1, 0));
        assert_eq!(world.upstream.bytes(0), b"", "no byte of a request");
    }
}

#[test]
fn p1_plain_text_is_never_spoken_instead() {
    let authority = Authority::new();
    let plain = |connection: &mut Connection| {
        connection.more();
        connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        connection.until_closed();
    };
    let world = World::before(Upstream::serving(plain), authority.believed_in());
    world.ask(message()).assert_refused(502, "upstream_unreachable");
    let bytes = world.upstream.bytes(0);
    assert!(bytes.starts_with(&[0x16, 3]), "a TLS handshake, and nothing else");
    assert!(crate::client::find(&bytes, b"alice").is_none());
}
