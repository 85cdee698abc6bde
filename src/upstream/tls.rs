//! TLS towards a service: whom it believes, and what it shows of itself.
//!
//! Names are always checked and cannot be switched off: what goes over these connections are customers' data and the
//! gate's own credentials. `tls.ca` stands in place of the system's roots, so that a private service can be pinned.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::connect::Offer;
use super::pinned::Pinned;
use crate::config::pem::LastRead;
use crate::config::{PemFault, Renewed, UpstreamTls};
use crate::tls::{client_config, system_roots};

/// TLS cannot be set up. Said at start, before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// A file of the configuration's.
    #[error(transparent)]
    File(#[from] PemFault),
    /// The environment names a proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] crate::config::BadProxy),
    /// The machine has no roots of its own.
    #[error("no trusted roots were found on this system; set tls.ca or SSL_CERT_FILE")]
    NoSystemRoots,
    /// The host of the URL is neither a DNS name nor an address.
    #[error("{host} is not a name that a certificate could carry")]
    BadName {
        /// The host as configured.
        host: String,
    },
}

/// What is needed for TLS towards one service. It follows its files.
pub(super) type ClientTls = Renewed<Offers>;

/// The same, for each of the protocols that may be offered (ALPN).
pub(super) struct Offers {
    http1: Arc<ClientConfig>,
    either: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Offers {
    fn of(config: &ClientConfig) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Self { http1: offering(&[b"http/1.1"]), either: offering(&[b"h2", b"http/1.1"]), http2: offering(&[b"h2"]) }
    }

    pub(super) fn offering(&self, offer: Offer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            Offer::Http1 => &self.http1,
            Offer::Either => &self.either,
            Offer::Http2 => &self.http2,
        })
    }
}

/// Reads `tls.ca`, or else the system's roots, and what the gate shows of itself.
pub(super) fn client_tls(tls: &UpstreamTls) -> Result<ClientTls, RootsError> {
    // Looked for once, and not with every change of a file.
    let system = if tls.ca.is_none() { Some(system_roots().ok_or(RootsError::NoSystemRoots)?) } else { None };
    let (files, tls, last) = (tls.files(), tls.clone(), LastRead::default());
    Ok(Renewed::new(files, move || client_config(&tls, system.as_ref(), &last).map(|config| Offers::of(&config)))?)
}

/// The same, believing the certificates in these files and no others.
pub(super) fn pinned_tls(believed: &[PathBuf], tls: &UpstreamTls) -> Result<ClientTls, RootsError> {
    let (believed, tls) = (believed.to_vec(), tls.clone());
    let make = move || {
        let mut config = client_config(&tls, Some(&Arc::new(RootCertStore::empty())), &LastRead::default())?;
        config.dangerous().set_certificate_verifier(Pinned::to(&believed)?);
        Ok(Offers::of(&config))
    };
    Ok(Renewed::new([], make)?)
}

/// The name that the certificate must carry: a DNS name or an address (IPv6 without brackets).
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, RootsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| RootsError::BadName { host: host.to_owned() })
}

#[cfg(test)]
mod tests {
    //! What is said at start about a `tls.ca` that cannot be used.

    use std::path::Path;

    use super::{Offer, RootsError, client_tls, server_name};
    use crate::config::{PemFault, UpstreamTls};

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(vec!["service.test".to_owned()]).unwrap().cert.pem()
    }

    fn believing(file: &Path) -> UpstreamTls {
        UpstreamTls { ca: Some(file.to_owned()), ..UpstreamTls::default() }
    }

    /// Uses `pem` as `tls.ca`; the error's own text must name the file.
    fn refused(pem: &str) -> RootsError {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, pem).unwrap();
        let error = client_tls(&believing(&file)).unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        error
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none.pem");
        let error = client_tls(&believing(&file)).unwrap_err();
        assert!(matches!(error, RootsError::File(PemFault::Unreadable { .. })));
        assert_eq!(error.to_string(), format!("{} cannot be read", file.display()));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for pem in ["", "no PEM at all\n", key.as_str()] {
            assert!(matches!(refused(pem), RootsError::File(PemFault::NoCertificate { .. })), "{pem}");
        }
    }

    #[test]
    fn a_damaged_certificate_is_refused_with_its_number() {
        let good = certificate();
        let cut_off = good.replace("-----END CERTIFICATE-----", "");
        let no_base64 = good.replacen("MII", "M!I", 1);
        for bad in [cut_off, no_base64] {
            assert!(matches!(refused(&bad), RootsError::File(PemFault::BadPem { nth: 1, .. })), "{bad}");
            assert!(
                matches!(refused(&format!("{good}{bad}")), RootsError::File(PemFault::BadPem { nth: 2, .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_whatever_the_lines_around_it_say() {
        let lie = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
        let error = refused(&format!("{}{lie}", certificate()));
        assert!(matches!(error, RootsError::File(PemFault::BadCertificate { nth: 2, .. })), "{error}");
    }

    #[test]
    fn every_certificate_of_a_bundle_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, format!("# corporate roots\n{}\n{}", certificate(), certificate())).unwrap();
        assert_eq!(crate::config::pem::roots(&file).unwrap().len(), 2);
    }

    #[test]
    fn only_http_1_1_is_offered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corp.pem");
        std::fs::write(&file, certificate()).unwrap();
        let config = client_tls(&believing(&file)).unwrap();
        assert_eq!(config.current().offering(Offer::Http1).alpn_protocols, [b"http/1.1"]);
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
