//! TLS as configured: whose certificates are shown, and who is believed.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::describe;

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2, and newer ones.
    #[default]
    V1_2,
    /// 1.3 alone.
    V1_3,
}

impl TlsVersion {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

impl Serialize for TlsVersion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_str().serialize(to)
    }
}

/// A certificate with its intermediates, and its key: two files in PEM, which may be one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Identity {
    /// The certificate, and behind it those that lead to a root.
    #[serde(serialize_with = "describe::path")]
    pub cert: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    #[serde(serialize_with = "describe::path")]
    pub key: PathBuf,
}

impl Identity {
    /// Both files.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        [self.cert.clone(), self.key.clone()].into_iter()
    }
}

/// `tls` of a listener, the admin API's included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenTls {
    /// At least one. The first is shown to whoever asks for no name, or for one that none of them has.
    #[serde(rename = "certs")]
    pub identities: Vec<Identity>,
    /// Who must have signed a caller's certificate; `None` asks for none.
    #[serde(serialize_with = "describe::path_if_any")]
    pub client_ca: Option<PathBuf>,
    /// The oldest version.
    pub min_version: TlsVersion,
}

impl ListenTls {
    /// All files that it names.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.identities.iter().flat_map(Identity::files).chain(self.client_ca.clone()).collect()
    }
}

/// `tls` of an upstream, of IAM, or of the store's server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamTls {
    /// Roots in a PEM file in place of the system's.
    #[serde(serialize_with = "describe::path_if_any")]
    pub ca: Option<PathBuf>,
    /// What the gate shows of itself, if it is asked.
    #[serde(flatten, serialize_with = "describe::identity_if_any")]
    pub identity: Option<Identity>,
    /// The oldest version.
    pub min_version: TlsVersion,
}

impl UpstreamTls {
    /// All files that it names.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.ca.iter().cloned().chain(self.identity.iter().flat_map(Identity::files)).collect()
    }
}
