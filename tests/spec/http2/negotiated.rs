//! Over TLS the service chooses (ALPN), and what was chosen is spoken.

use std::sync::Arc;

use h2::server::Builder;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::caller::{Caller, Got, request, run};
use super::service::{Service, accept};
use super::world::Gate;
use crate::client;
use crate::world::{LABEL, MESSAGE, Plan};

const ALICE: (&str, &str) = ("x-watson-metadata", "customer_id=alice");

/// A service of HTTP/2 behind TLS that agrees to these protocols, and what its callers must believe in.
fn service(protocols: &[&[u8]]) -> (Service, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let wrap = async move |socket: TcpStream| acceptor.accept(socket).await.ok();
    (Service::over(Builder::new(), wrap, accept), cert.pem())
}

fn gate(service: &Service, pem: &str, http2: &str) -> (Gate, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let upstream = format!("tls = {{ ca = \"{}\" }}\n{http2}", ca.display());
    (Gate::of(service.address, &Plan { scheme: "https", upstream, ..Plan::default() }), folder)
}

#[test]
fn p8_http_2_is_spoken_where_the_service_chooses_it_and_a_burst_makes_one_connection() {
    let (service, pem) = service(&[b"h2", b"http/1.1"]);
    for (round, http2) in ["", "http2 = \"auto\"", "http2 = \"prior-knowledge\""].into_iter().enumerate() {
        let (gate, _folder) = gate(&service, &pem, http2);
        run(async {
            let caller = Caller::to(gate.address).await;
            let asked = (0..50).map(|_| caller.post(request(MESSAGE, &[ALICE]), "{}"));
            let got: Vec<Got> = futures_util::future::join_all(asked).await;
            assert!(got.iter().all(|got| got.status == 200), "{got:?}");
        });
        assert_eq!(service.connections(), round + 1, "{http2}");
    }
    let seen = service.saw(150);
    assert!(seen.iter().all(|seen| seen.head.uri.scheme_str() == Some("https")));
}

/// The service here takes HTTP/2 only: that the gate does not reach it shows that it offered nothing but HTTP/1.1.
#[test]
fn p11_http_2_is_not_offered_where_it_is_off() {
    let (service, pem) = service(&[b"h2"]);
    let (gate, _folder) = gate(&service, &pem, "http2 = \"off\"");
    let answer = gate.client().ask(client::request(MESSAGE, &[LABEL], ""));
    answer.assert_refused(502, "upstream_unreachable");
    assert!(service.seen().is_empty());
}

/// HTTP/1.1 is spoken where the service does not know HTTP/2: its own tests are in `tls.rs`, with the same settings.
#[test]
fn p8_a_service_that_knows_only_http_1_1_is_asked_in_it() {
    let (service, pem) = service(&[b"http/1.1"]);
    let (gate, _folder) = gate(&service, &pem, "");
    // This one takes it for a broken beginning of HTTP/2, and closes.
    let answer = gate.client().ask(client::request(MESSAGE, &[LABEL], ""));
    answer.assert_refused(502, "upstream_unreachable");
    assert!(service.seen().is_empty());
}
