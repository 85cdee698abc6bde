//! TLS towards a service: whom it believes, and what went wrong in words that an operator can act on.
//!
//! Names are always checked and cannot be switched off: what goes over these connections are customers' data and the
//! gate's own credentials. `tls.ca` stands in place of the system's roots, so that a private service can be pinned.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error as RustlsError, RootCertStore, crypto};

use crate::config::UpstreamTls;
use crate::telemetry::{chain, events};

/// The trusted roots could not be had. Said at start, before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is not there, or may not be read.
    #[error("tls.ca {} cannot be read", .file.display())]
    Unreadable {
        /// The file as configured.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no `BEGIN CERTIFICATE`.
    #[error("tls.ca {} holds no certificate in PEM", .file.display())]
    Empty {
        /// The file as configured.
        file: PathBuf,
    },
    /// Something between the PEM lines is not what PEM says it is.
    #[error("tls.ca {} is not well-formed PEM at certificate {nth}", .file.display())]
    BadPem {
        /// The file as configured.
        file: PathBuf,
        /// Which certificate, from 1.
        nth: usize,
    },
    /// Well-formed PEM around something that is no certificate.
    #[error("tls.ca {}: certificate {nth} is not a usable X.509 certificate", .file.display())]
    BadCertificate {
        /// The file as configured.
        file: PathBuf,
        /// Which certificate, from 1.
        nth: usize,
    },
    /// The machine has no roots of its own.
    #[error("no trusted roots were found on this system; set tls.ca or SSL_CERT_FILE")]
    NoSystemRoots,
    /// The host of the URL is neither a DNS name nor an address.
    #[error("{host} is not a name that a certificate could carry")]
    BadName {
        /// The host as configured.
        host: String,
    },
    /// The library refused the settings; it does not with those that it is given here.
    #[error("TLS cannot be set up")]
    Setup(#[source] RustlsError),
}

/// What went wrong between the two ends of a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// No root that is trusted here has signed it.
    #[error("certificate of an unknown issuer")]
    UnknownIssuer,
    /// It is for another host.
    #[error("certificate for another name")]
    WrongName,
    /// It is over.
    #[error("certificate has expired")]
    Expired,
    /// It has not begun.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// Anything else about the certificate.
    #[error("certificate is not acceptable")]
    BadCertificate,
    /// No TLS version, cipher or application protocol in common.
    #[error("nothing in common with the peer")]
    NothingInCommon,
    /// The peer ended the handshake with an alert.
    #[error("refused by the peer")]
    RefusedByPeer,
    /// What came back is not TLS.
    #[error("peer does not speak TLS")]
    NotTls,
    /// The connection ended before the handshake did.
    #[error("closed during the handshake")]
    Closed,
}

impl TlsFault {
    /// Sorts what the handshake returned. The library's own text is not kept: it can carry bytes of the peer.
    pub(super) fn of(error: &io::Error) -> Self {
        error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()).map_or(Self::Closed, Self::of_rustls)
    }

    fn of_rustls(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(what) => Self::of_certificate(what),
            RustlsError::AlertReceived(
                rustls::AlertDescription::HandshakeFailure
                | rustls::AlertDescription::ProtocolVersion
                | rustls::AlertDescription::NoApplicationProtocol,
            )
            | RustlsError::PeerIncompatible(_)
            | RustlsError::NoApplicationProtocol => Self::NothingInCommon,
            RustlsError::AlertReceived(_) => Self::RefusedByPeer,
            RustlsError::NoCertificatesPresented => Self::BadCertificate,
            _ => Self::NotTls,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            // A bad signature is another authority of the same name: a root that was renewed, or an impostor.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            _ => Self::BadCertificate,
        }
    }
}

/// TLS 1.2 and 1.3 towards one service, HTTP/1.1 by ALPN, sessions resumed.
pub(super) fn client_config(tls: &UpstreamTls) -> Result<Arc<ClientConfig>, RootsError> {
    let roots = match &tls.ca {
        Some(file) => Arc::new(roots_of_file(file)?),
        None => system_roots()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(RootsError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name that the certificate must carry: a DNS name or an address (IPv6 without brackets).
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, RootsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| RootsError::BadName { host: host.to_owned() })
}

/// Read once for the whole process: it is some hundred files on some systems. A failure is not remembered.
fn system_roots() -> Result<Arc<RootCertStore>, RootsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        events::Warned { what: &format!("some of the system's trusted roots cannot be read: {}", chain(error)) }.emit();
    }
    let mut roots = RootCertStore::empty();
    // Systems ship roots that webpki cannot use; those are nobody's fault here, and the others still count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(RootsError::NoSystemRoots);
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

/// Every certificate of a PEM file, or the first thing wrong with it: an operator's own file is taken whole or not.
fn roots_of_file(file: &Path) -> Result<RootCertStore, RootsError> {
    let pem = std::fs::read(file).map_err(|source| RootsError::Unreadable { file: file.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for (nth, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        let certificate = certificate.map_err(|error| match error {
            PemError::NoItemsFound => RootsError::Empty { file: file.to_owned() },
            _ => RootsError::BadPem { file: file.to_owned(), nth },
        })?;
        roots.add(certificate).map_err(|_| RootsError::BadCertificate { file: file.to_owned(), nth })?;
    }
    if roots.is_empty() {
        return Err(RootsError::Empty { file: file.to_owned() });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    //! What is said at start about a `tls.ca` that cannot be used.

    use super::{RootsError, client_config, server_name};
    use crate::config::UpstreamTls;

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(vec!["service.test".to_owned()]).unwrap().cert.pem()
    }

    /// Uses `pem` as `tls.ca`; the error's own text must name the file.
    fn refused(pem: &str) -> RootsError {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, pem).unwrap();
        let error = client_config(&UpstreamTls { ca: Some(file.clone()) }).unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        error
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none.pem");
        let error = client_config(&UpstreamTls { ca: Some(file.clone()) }).unwrap_err();
        assert!(matches!(error, RootsError::Unreadable { .. }));
        assert_eq!(error.to_string(), format!("tls.ca {} cannot be read", file.display()));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for pem in ["", "no PEM at all\n", key.as_str()] {
            assert!(matches!(refused(pem), RootsError::Empty { .. }), "{pem}");
        }
    }

    #[test]
    fn a_damaged_certificate_is_refused_with_its_number() {
        let good = certificate();
        let cut_off = good.replace("-----END CERTIFICATE-----", "");
        let no_base64 = good.replacen("MII", "M!I", 1);
        for bad in [cut_off, no_base64] {
            assert!(matches!(refused(&bad), RootsError::BadPem { nth: 1, .. }), "{bad}");
            assert!(matches!(refused(&format!("{good}{bad}")), RootsError::BadPem { nth: 2, .. }), "{bad}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_whatever_the_lines_around_it_say() {
        let lie = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
        let error = refused(&format!("{}{lie}", certificate()));
        assert!(matches!(error, RootsError::BadCertificate { nth: 2, .. }), "{error}");
    }

    #[test]
    fn every_certificate_of_a_bundle_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, format!("# corporate roots\n{}\n{}", certificate(), certificate())).unwrap();
        assert_eq!(super::roots_of_file(&file).unwrap().len(), 2);
    }

    #[test]
    fn only_http_1_1_is_offered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, certificate()).unwrap();
        let config = client_config(&UpstreamTls { ca: Some(file) }).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    }

    #[test]
    fn names_and_addresses_can_be_checked_and_other_things_cannot() {
        for host in ["service.test", "127.0.0.1", "::1", "xn--bcher-kva.example"] {
            assert!(server_name(host).is_ok(), "{host}");
        }
        for host in ["", "a b", "[::1]"] {
            assert!(matches!(server_name(host), Err(RootsError::BadName { .. })), "{host}");
        }
    }
}
