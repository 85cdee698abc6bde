//! What `tls` names, read from its files: chains with their keys, and roots. Here and not where it is used, so that
//! `check` says of each file what a start would say (P11).
//!
//! An operator's own file is taken whole or not at all.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error as RustlsError, RootCertStore};
use zeroize::Zeroizing;

use super::Identity;

/// What is wrong with a file of certificates or keys. It names the file and quotes nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file is not there, or may not be read.
    #[error("{} cannot be read", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no `BEGIN CERTIFICATE`.
    #[error("{} holds no certificate in PEM", .file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// Something between the PEM lines is not what PEM says it is.
    #[error("{} is not well-formed PEM at certificate {nth}", .file.display())]
    BadPem {
        /// The file.
        file: PathBuf,
        /// Which certificate, from 1.
        nth: usize,
    },
    /// Well-formed PEM around something that is no certificate.
    #[error("{}: certificate {nth} is not a usable X.509 certificate", .file.display())]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// Which certificate, from 1.
        nth: usize,
    },
    /// Nobody would accept it any more.
    #[error("{}: the certificate has expired", .file.display())]
    Expired {
        /// The file.
        file: PathBuf,
    },
    /// Nobody would accept it yet.
    #[error("{}: the certificate is not valid yet", .file.display())]
    NotYetValid {
        /// The file.
        file: PathBuf,
    },
    /// The file has no private key.
    #[error("{} holds no private key in PEM", .file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// Nobody is there to type its password.
    #[error("{} holds an encrypted key, and a gate that starts by itself has no password for it", .file.display())]
    EncryptedKey {
        /// The file.
        file: PathBuf,
    },
    /// A key that is none, or of a kind that is not used here.
    #[error("{} holds no key that can be used: RSA of 2048 bits and more, ECDSA on P-256 or P-384, Ed25519", .file.display())]
    BadKey {
        /// The file.
        file: PathBuf,
    },
    /// They are of two pairs.
    #[error("the key in {} is not that of the certificate in {}", .key.display(), .cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The library refused what is made of the files; it does not with what is given to it here.
    #[error("TLS cannot be set up")]
    Setup(#[source] RustlsError),
}

impl Fault {
    /// Whether it is about the key, rather than about certificates.
    #[must_use]
    pub fn is_of_key(&self, identity: &Identity) -> bool {
        match self {
            Self::NoKey { .. } | Self::EncryptedKey { .. } | Self::BadKey { .. } | Self::Mismatch { .. } => true,
            Self::Unreadable { file, .. } => *file == identity.key,
            _ => false,
        }
    }
}

impl Identity {
    /// Reads both files; the key is that of the first certificate. Whether that is valid now is not asked: a gate that
    /// would not start with an expired one would make of a nuisance an outage, also for callers that do not mind.
    ///
    /// # Errors
    /// The first thing that is wrong with either.
    pub fn load(&self) -> Result<CertifiedKey, Fault> {
        let chain = certificates(&self.cert)?;
        let unusable = || Fault::BadCertificate { file: self.cert.clone(), nth: 1 };
        ParsedCertificate::try_from(chain.first().ok_or_else(unusable)?).map_err(|_| unusable())?;
        let key = private_key(&self.key)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(RustlsError::InconsistentKeys(_)) => {
                Err(Fault::Mismatch { cert: self.cert.clone(), key: self.key.clone() })
            }
            Err(_) => Err(Fault::BadCertificate { file: self.cert.clone(), nth: 1 }),
        }
    }

    /// Whether what was read is valid at this moment.
    ///
    /// # Errors
    /// It has expired, or is not valid yet.
    pub fn is_timely(&self, certified: &CertifiedKey) -> Result<(), Fault> {
        is_valid_now(&certified.cert, &self.cert)
    }
}

/// What each identity was last read as. One whose time is wrong does not take the place of one whose time is right.
#[derive(Debug, Default)]
pub struct LastRead(Mutex<HashMap<Identity, Arc<CertifiedKey>>>);

impl LastRead {
    /// Reads it again.
    ///
    /// # Errors
    /// What is wrong with its files, or with their time where what was read before is better.
    pub fn read(&self, identity: &Identity) -> Result<Arc<CertifiedKey>, Fault> {
        let certified = Arc::new(identity.load()?);
        let mut held = self.0.lock();
        if held.get(identity).is_some_and(|before| identity.is_timely(before).is_ok()) {
            identity.is_timely(&certified)?;
        }
        held.insert(identity.clone(), Arc::clone(&certified));
        Ok(certified)
    }
}

/// Every certificate of a file, as roots.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn roots(file: &Path) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for (nth, certificate) in (1..).zip(certificates(file)?) {
        roots.add(certificate).map_err(|_| Fault::BadCertificate { file: file.to_owned(), nth })?;
    }
    Ok(roots)
}

/// Every certificate of a file; at least one.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = read(file)?;
    let mut certificates = Vec::new();
    for (nth, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        certificates.push(certificate.map_err(|error| match error {
            PemError::NoItemsFound => Fault::NoCertificate { file: file.to_owned() },
            _ => Fault::BadPem { file: file.to_owned(), nth },
        })?);
    }
    if certificates.is_empty() {
        return Err(Fault::NoCertificate { file: file.to_owned() });
    }
    Ok(certificates)
}

/// Asks the verifier, with nobody to trust: what is wrong with the time is said before that is missed.
fn is_valid_now(chain: &[CertificateDer<'static>], file: &Path) -> Result<(), Fault> {
    let unusable = || Fault::BadCertificate { file: file.to_owned(), nth: 1 };
    let leaf = ParsedCertificate::try_from(chain.first().ok_or_else(unusable)?).map_err(|_| unusable())?;
    let WebPkiSupportedAlgorithms { all, .. } = ring::default_provider().signature_verification_algorithms;
    match verify_server_cert_signed_by_trust_anchor(&leaf, &RootCertStore::empty(), &[], UnixTime::now(), all) {
        Err(RustlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Err(Fault::Expired { file: file.to_owned() })
        }
        Err(RustlsError::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err(Fault::NotYetValid { file: file.to_owned() }),
        _ => Ok(()),
    }
}

fn private_key(file: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, Fault> {
    let pem = read(file)?;
    // PKCS#8's own words, and those of the older forms.
    let says = |words: &[u8]| memchr::memmem::find(&pem, words).is_some();
    if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
        return Err(Fault::EncryptedKey { file: file.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => Fault::NoKey { file: file.to_owned() },
        _ => Fault::BadKey { file: file.to_owned() },
    })?;
    ring::sign::any_supported_type(&key).map_err(|_| Fault::BadKey { file: file.to_owned() })
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let pem = std::fs::read(file).map_err(|source| Fault::Unreadable { file: file.to_owned(), source })?;
    Ok(Zeroizing::new(pem))
}
