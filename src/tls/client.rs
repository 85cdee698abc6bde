//! TLS where the gate is the client: whom it believes, and what it shows of itself.

use std::sync::{Arc, OnceLock};

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, crypto};

use super::named::Named;
use super::versions;
use crate::config::pem::LastRead;
use crate::config::{PemFault, UpstreamTls, pem};
use crate::telemetry::{chain, events};

/// What is believed and shown towards a server. Sessions are resumed. `believed` stands in place of `tls.ca`.
///
/// # Errors
/// The first file that cannot be used, and why.
pub fn client_config(
    tls: &UpstreamTls,
    believed: Option<&Arc<RootCertStore>>,
    last: &LastRead,
) -> Result<ClientConfig, PemFault> {
    let roots = match (&tls.ca, believed) {
        (_, Some(believed)) => Arc::clone(believed),
        (Some(file), None) => Arc::new(pem::roots(file)?),
        (None, None) => Arc::new(RootCertStore::empty()),
    };
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.min_version))
        .map_err(PemFault::Setup)?;
    let builder = match (&tls.ca, believed) {
        (Some(file), None) => {
            let named = Named::of(pem::certificates(file)?, roots, provider).map_err(PemFault::Setup)?;
            builder.dangerous().with_custom_certificate_verifier(named)
        }
        (_, _) => builder.with_root_certificates(roots),
    };
    Ok(match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let shown = SingleCertAndKey::from(last.read(identity)?);
            builder.with_client_cert_resolver(Arc::new(shown))
        }
    })
}

/// The roots that this machine believes, if it has any. Read once for the whole process: it is some hundred files on some systems. A
/// failure is not remembered.
#[must_use]
pub fn system_roots() -> Option<Arc<RootCertStore>> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Some(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        events::Warned { what: &format!("some of the system's trusted roots cannot be read: {}", chain(error)) }.emit();
    }
    let mut roots = RootCertStore::empty();
    // Systems ship roots that webpki cannot use; those are nobody's fault here, and the others still count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return None;
    }
    Some(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}
