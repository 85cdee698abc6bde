//! TLS with a server: who is believed, for which name, and that nothing goes out without it where it was asked for.

use std::path::Path;

use forgetgate::config::{Identity, UpstreamTls};
use forgetgate::store::{Server, Session};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519};

use crate::connect::{config, connect, said};
use crate::server::{PASSWORD, Postgres, USER};

/// An authority of the test's own.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, and its key.
    fn signed(&self, name: &str, key: &KeyPair) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn ecdsa() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// A server that shows this certificate.
fn showing((cert, key): &(String, String), more: &[(&str, &str)], settings: &[&str]) -> Postgres {
    let files = [&[("server.crt", cert.as_str()), ("server.key", key.as_str())], more].concat();
    Postgres::start_with(&files, &[&["ssl = on"], settings].concat())
}

/// Connects to `host`, whatever it is called, at the server's address, believing what is in `ca`.
async fn believing(ca: &str, postgres: &Postgres, host: &str, parameters: &str) -> Result<Session, String> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}?hostaddr=127.0.0.1&{parameters}", postgres.url_at(&format!("{host}:{}", postgres.port())));
    let mut config = config(folder.path(), &url);
    std::fs::write(folder.path().join("ca.pem"), ca).unwrap();
    config.tls = UpstreamTls { ca: Some(folder.path().join("ca.pem")), ..UpstreamTls::default() };
    said(Server::new(&config).connect().await)
}

async fn is_over_tls(session: &Session) -> bool {
    let statement = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    session.client.query_typed_one(statement, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn p11_a_server_is_believed_for_its_name_and_by_its_authority_alone() {
    let authority = Authority::new();
    let postgres = showing(&authority.signed("db.test", &ecdsa()), &[], &[]);
    for parameters in
        ["sslmode=verify-full", "sslmode=verify-ca", "sslmode=require", "sslmode=require&channel_binding=require"]
    {
        let session = believing(&authority.pem, &postgres, "db.test", parameters).await.unwrap();
        assert!(is_over_tls(&session).await, "{parameters}");
        let name = believing(&authority.pem, &postgres, "other.test", parameters).await.unwrap_err();
        assert!(name.contains("other.test") && name.contains("not valid for name"), "{parameters}: {name}");
        let stranger = believing(&Authority::new().pem, &postgres, "db.test", parameters).await.unwrap_err();
        assert!(stranger.contains("certificate"), "{parameters}: {stranger}");
    }
    // This machine's own roots know nothing of it either.
    connect(&format!("{}?sslmode=require", postgres.url())).await.unwrap_err();
    // What is on this machine is not asked for TLS, unless the URL says so.
    assert!(!is_over_tls(&connect(&postgres.url()).await.unwrap()).await);
}

#[tokio::test]
async fn p11_a_server_without_tls_is_refused_where_tls_was_asked_for() {
    let plain =
        believing(&Authority::new().pem, Postgres::shared(), "db.test", "sslmode=verify-full").await.unwrap_err();
    assert!(plain.contains("does not support TLS"), "{plain}");
}

/// What `openssl req -x509` makes is an authority and shown by servers all the same.
#[tokio::test]
async fn a_certificate_that_is_named_itself_is_believed() {
    let mut params = CertificateParams::new(vec!["db.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = ecdsa();
    let own = params.self_signed(&key).unwrap().pem();
    let postgres = showing(&(own.clone(), key.serialize_pem()), &[], &[]);
    assert!(is_over_tls(&believing(&own, &postgres, "db.test", "sslmode=require").await.unwrap()).await);
    believing(&own, &postgres, "other.test", "sslmode=require").await.unwrap_err();
}

/// A binding to the channel needs a hash that the certificate's signature names, and Ed25519 names none.
#[tokio::test]
async fn the_password_is_bound_to_the_channel_where_that_is_required() {
    let authority = Authority::new();
    let postgres = showing(&authority.signed("db.test", &ecdsa()), &[], &[]);
    believing(&authority.pem, &postgres, "db.test", "sslmode=require&channel_binding=require").await.unwrap();
    let without = connect(&format!("{}?channel_binding=require", postgres.url())).await.unwrap_err();
    assert!(without.contains("authentication error"), "{without}");

    let mut params = CertificateParams::new(vec!["db.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let own = params.self_signed(&key).unwrap().pem();
    let postgres = showing(&(own.clone(), without_public_half(&key)), &[], &[]);
    believing(&own, &postgres, "db.test", "sslmode=require").await.unwrap();
    believing(&own, &postgres, "db.test", "sslmode=require&channel_binding=require").await.unwrap_err();
}

#[tokio::test]
async fn a_gate_shows_its_certificate_and_follows_its_files() {
    let authority = Authority::new();
    let files = [("root.crt", authority.pem.as_str()), ("pg_hba.conf", "hostssl all all 127.0.0.1/32 cert\n")];
    let postgres = showing(&authority.signed("db.test", &ecdsa()), &files, &["ssl_ca_file = 'root.crt'"]);
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url_at(&format!("db.test:{}", postgres.port()));
    let url = url.replace(&format!(":{}", encoded(PASSWORD)), "") + "?hostaddr=127.0.0.1&sslmode=verify-full";
    let mut config = config(folder.path(), &url);
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("ca.pem"), &authority.pem).unwrap();
    config.tls.ca = Some(at("ca.pem"));
    config.tls.identity = Some(Identity { cert: at("own.pem"), key: at("own.key") });

    written(folder.path(), &authority.signed("somebody", &ecdsa()));
    let server = Server::new(&config);
    let refused = said(server.connect().await).unwrap_err();
    assert!(refused.contains("certificate authentication failed"), "{refused}");
    written(folder.path(), &authority.signed(USER, &ecdsa()));
    assert!(is_over_tls(&said(server.connect().await).unwrap()).await);
}

/// An Ed25519 key as OpenSSL reads it: the first version of PKCS#8, which has the seed alone.
fn without_public_half(key: &KeyPair) -> String {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&head, &key.serialized_der()[16..48]].concat();
    let body = data_encoding::BASE64.encode(&der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn written(folder: &Path, (cert, key): &(String, String)) {
    std::fs::write(folder.join("own.pem"), cert).unwrap();
    std::fs::write(folder.join("own.key"), key).unwrap();
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
