//! Which certificate is shown to whom: by the name that is asked for, and the first to everybody else.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::config::pem::LastRead;
use crate::config::{Identity, PemFault};

/// Certificates by the names in them.
#[derive(Debug)]
pub(super) struct SniResolver {
    /// For no name, and for names that none has.
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what is behind `*.`, which stands for one label (RFC 9525 §6.3).
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl SniResolver {
    /// Reads them all. Where two have a name, the one that is written first is shown.
    pub(super) fn load(identities: &[Identity], last: &LastRead) -> Result<Self, PemFault> {
        let mut first = None;
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for identity in identities {
            let certified = last.read(identity)?;
            for name in names(&certified) {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(behind) => (&mut wildcards, behind.to_owned()),
                    None => (&mut exact, name),
                };
                names.entry(name).or_insert_with(|| Arc::clone(&certified));
            }
            first.get_or_insert(certified);
        }
        // The configuration names at least one.
        let none = rustls::Error::NoCertificatesPresented;
        Ok(Self { first: first.ok_or(PemFault::Setup(none))?, exact, wildcards })
    }

    /// Names come in lower case, as the library gives them.
    fn of(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let behind = name.split_once('.').map(|(_, behind)| behind);
            self.exact.get(name).or_else(|| self.wildcards.get(behind?))
        });
        found.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.of(hello.server_name())))
    }
}

/// The DNS names of a certificate, in lower case.
fn names(certified: &CertifiedKey) -> Vec<String> {
    let leaf = certified.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    leaf.map_or_else(Vec::new, |leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
