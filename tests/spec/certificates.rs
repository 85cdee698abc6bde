//! Real certificates: an authority of the tests, what it signs, and either end of TLS made of that.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion, crypto,
};
use tempfile::TempDir;

use crate::client::{Client, PATIENCE};
use crate::upstream::{Connection, Upstream, Wire};

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names, in `file.pem` and `file.key`. Signed again, both are written over.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.issue_until(file, names, 2999)
    }

    pub(crate) fn issue_until(&self, file: &str, names: &[&str], year: i32) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let issued = Issued { cert: self.file(&format!("{file}.pem")), key: self.file(&format!("{file}.key")) };
        // The key first: nobody sees the new certificate with the old key for longer than it takes to write it.
        fs::write(&issued.key, key.serialize_pem()).unwrap();
        fs::write(&issued.cert, certificate.pem()).unwrap();
        issued
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A service that shows a certificate for `name`, and asks for one if it is to.
    pub(crate) fn service(&self, name: &str, asks: bool, serve: fn(&mut Connection)) -> Upstream {
        let issued = self.issue("service", &[name]);
        let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = if asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(issued.chain(), issued.private_key()).unwrap());
        let wrap = move |socket: TcpStream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            Some(Box::new(StreamOwned::new(connection, socket)) as Box<dyn Wire>)
        };
        Upstream::over(wrap, serve)
    }
}

impl Issued {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(&self.cert).unwrap().map(Result::unwrap).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).unwrap()
    }

    /// As a `tls` table names it.
    pub(crate) fn keys(&self) -> String {
        format!("cert = \"{}\", key = \"{}\"", self.cert.display(), self.key.display())
    }
}

/// How a caller does TLS.
pub(crate) struct Caller {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) shows: Option<Issued>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) protocols: Vec<&'static str>,
}

impl Caller {
    pub(crate) fn believing(authority: &Authority) -> Self {
        let roots = authority.roots();
        Self { roots, shows: None, versions: rustls::ALL_VERSIONS.to_vec(), protocols: vec!["http/1.1"] }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match &self.shows {
            Some(issued) => builder.with_client_auth_cert(issued.chain(), issued.private_key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.resumption = Resumption::in_memory_sessions(32);
        Arc::new(config)
    }

    /// The same, and whatever is shown is believed.
    pub(crate) fn trusting_all(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config());
        let algorithms = crypto::ring::default_provider().signature_verification_algorithms;
        config.dangerous().set_certificate_verifier(Arc::new(Anything(algorithms)));
        Arc::new(config)
    }
}

/// Believes whatever is shown, so that a test sees it.
#[derive(Debug)]
struct Anything(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// A connection whose handshake is done.
pub(crate) struct Secured {
    pub(crate) client: Client,
    /// What the gate has shown.
    pub(crate) shown: CertificateDer<'static>,
    pub(crate) resumed: bool,
    pub(crate) protocol: Option<String>,
}

/// Does the handshake; the gate is asked for `name`.
pub(crate) fn secured(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<Secured, std::io::Error> {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut below = socket.try_clone().unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut below)?;
    }
    let shown = connection.peer_certificates().unwrap()[0].clone().into_owned();
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let protocol = connection.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap());
    let client = Client::over(socket, Box::new(StreamOwned::new(connection, below)));
    Ok(Secured { client, shown, resumed, protocol })
}
