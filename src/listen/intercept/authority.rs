//! The gate's own certificate authority: made once by `forgetgate ca init`, and read by each listener that opens TLS.
//!
//! Whoever has its key can pass for any host that its clients believe it about. So its certificate is limited to the hosts
//! that the configuration names (RFC 5280 §4.2.1.10), where the operator does not want it otherwise.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, DnValue, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::config::CaFiles;
use crate::domain::UnixSeconds;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an authority is good for.
const AUTHORITY_DAYS: u32 = 3653;

/// How long a host's certificate is. Clients refuse more than 398 days, some more than 199.
const LEAF_DAYS: u32 = 7;

/// How much earlier both begin: clients' clocks may be behind.
const BACK_DAYS: u32 = 2;

/// The longest common name (X.520); a longer host stands in the alternative names only, where clients look first. So does
/// an address: OpenSSL takes it for a name there, and for one that the authority may not issue.
const COMMON_NAME_MAX: usize = 64;
const NO_COMMON_NAME: &str = "A host behind Forgetgate";

/// What no host is called: it makes a limit of an otherwise empty list.
const NO_HOST: &str = "nothing.invalid";

/// Why there is no authority, or no certificate of it.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file that cannot be read.
    #[error("{} cannot be read", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read the key.
    #[error("{} can be read by others than its owner (mode {mode:04o}); set it to 0600", file.display())]
    Exposed {
        /// Which.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file of the certificate holds none.
    #[error("{} holds no certificate in PEM", file.display())]
    NoCertificate {
        /// Which.
        file: PathBuf,
    },
    /// The certificate and the key are not each other's.
    #[error("{} is not for the key in {}", cert.display(), key.display())]
    OtherKey {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
    },
    /// The library cannot work with what is there.
    #[error("the authority's certificate or key cannot be used")]
    Unusable(#[from] rcgen::Error),
    /// TLS cannot be set up with what was made.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    /// The system gives no randomness.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// A new authority as two texts in PEM.
#[derive(Debug)]
pub struct MadeCa {
    /// For everyone who is to believe it.
    pub certificate: String,
    /// For the gate alone.
    pub key: SecretPem,
}

/// A private key in PEM, wiped when dropped and never shown.
pub struct SecretPem(Zeroizing<String>);

impl SecretPem {
    /// Its text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretPem(…)")
    }
}

/// Makes an authority, from now on for ten years: ECDSA on P-256. With `hosts` (names and addresses in their one spelling)
/// it is good for these only, and for names below them.
///
/// # Errors
/// [`CaError`] when there is no randomness.
pub fn make_ca(hosts: Option<&[String]>, now: UnixSeconds) -> Result<MadeCa, CaError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    let serial = random_serial()?;
    // Two of them in one trust store must not have one name.
    let number: String = serial.to_bytes().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(format!("Forgetgate CA {number}")));
    params.serial_number = Some(serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = hosts.map(only);
    set_validity(&mut params, now, AUTHORITY_DAYS);
    let certificate = params.self_signed(&key)?.pem();
    Ok(MadeCa { certificate, key: SecretPem(Zeroizing::new(key.serialize_pem())) })
}

/// A kind of name of which nothing is listed would be unlimited.
fn only(hosts: &[String]) -> NameConstraints {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for host in hosts {
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                addresses.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits)));
            }
            Err(_) => names.push(GeneralSubtree::DnsName(host.clone())),
        }
    }
    if names.is_empty() {
        names.push(GeneralSubtree::DnsName(NO_HOST.to_owned()));
    }
    let mut excluded = Vec::new();
    if addresses.is_empty() {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)));
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)));
    }
    names.append(&mut addresses);
    NameConstraints { permitted_subtrees: names, excluded_subtrees: excluded }
}

/// A host's certificate, those above it, and its key, which is nowhere but in memory.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// An authority that issues.
pub(super) struct Authority {
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Authority {
    pub(super) fn load(files: &CaFiles) -> Result<Self, CaError> {
        let unreadable = |source| CaError::Unreadable { file: files.key.clone(), source };
        let mode = fs::metadata(&files.key).map_err(unreadable)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(CaError::Exposed { file: files.key.clone(), mode });
        }
        let key = Zeroizing::new(fs::read_to_string(&files.key).map_err(unreadable)?);
        let key = KeyPair::from_pem(&key)?;
        let unreadable = |source| CaError::Unreadable { file: files.cert.clone(), source };
        let pem = fs::read(&files.cert).map_err(unreadable)?;
        let none = || CaError::NoCertificate { file: files.cert.clone() };
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|_| none())?;
        let own = chain.first().ok_or_else(none)?;
        if memchr::memmem::find(own, key.public_key_raw()).is_none() {
            return Err(CaError::OtherKey { cert: files.cert.clone(), key: files.key.clone() });
        }
        let issuer = Issuer::from_ca_cert_der(own, key)?;
        Ok(Self { chain, issuer })
    }

    /// The authority's own certificate: what its clients trust.
    pub(super) fn root(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    /// A certificate for one host, good for some days, with a new key.
    pub(super) fn issue(&self, host: &str, now: UnixSeconds) -> Result<Leaf, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        let named = host.len() <= COMMON_NAME_MAX && host.parse::<IpAddr>().is_err();
        let common_name = if named { host } else { NO_COMMON_NAME };
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(common_name.to_owned()));
        params.serial_number = Some(random_serial()?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params, now, LEAF_DAYS);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = std::iter::once(certificate.der().clone()).chain(self.chain.iter().cloned()).collect();
        Ok(Leaf { chain, key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())) })
    }
}

/// From when on a certificate that was issued then is replaced: long before it ends.
pub(super) const fn renewal(issued: UnixSeconds) -> UnixSeconds {
    UnixSeconds(issued.0 + DAY.as_secs() * LEAF_DAYS as u64 / 2)
}

/// From some days before now, for clients whose clocks are behind, to so many days after it.
fn set_validity(params: &mut CertificateParams, now: UnixSeconds, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.0);
    params.not_before = now - DAY * BACK_DAYS;
    params.not_after = now + DAY * days;
}

/// 127 bits that nobody can guess: positive, as a serial number has to be.
fn random_serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| CaError::NoRandomness)?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}
