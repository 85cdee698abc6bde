//! TLS that is meant for a host which an upstream names: the gate shows a certificate of its own authority for it.
//!
//! Only for such hosts. A certificate is made when it is first asked for, good for days, and made anew long before it
//! ends; its key never leaves the memory.

mod authority;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig, crypto};
use tokio_rustls::TlsAcceptor;

use self::authority::{Authority, renewal};
pub use self::authority::{CaError, MadeCa, SecretPem, make_ca};
use crate::config::CaFiles;
use crate::domain::UnixSeconds;
use crate::telemetry::{chain, clock};
use crate::wire::Stream;

/// Hosts whose certificates are kept. Only configured ones have any, so that this bounds a very long configuration.
const HOSTS_MAX: usize = 4096;

/// What is spoken in TLS that was opened, by preference (ALPN).
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// Opens TLS that is meant for others.
#[derive(Debug)]
pub(super) struct Interceptor {
    authority: Authority,
    hosts: Mutex<HashMap<Box<str>, Kept>>,
}

/// What is shown for one host.
#[derive(Debug)]
struct Kept {
    config: Arc<ServerConfig>,
    until: UnixSeconds,
}

impl Interceptor {
    pub(super) fn load(files: &CaFiles) -> Result<Self, CaError> {
        Ok(Self { authority: Authority::load(files)?, hosts: Mutex::default() })
    }

    /// Why clients that believe in the authority will not believe what it says of this host, if they will not.
    pub(super) fn objection(&self, host: &str) -> Option<String> {
        let now = clock::unix_now();
        match self.verify(host, now) {
            Ok(()) => None,
            Err(error) => Some(chain(&error)),
        }
    }

    fn verify(&self, host: &str, now: UnixSeconds) -> Result<(), CaError> {
        let leaf = self.authority.issue(host, now)?;
        let mut roots = RootCertStore::empty();
        if let Some(root) = self.authority.root() {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let name = ServerName::try_from(host).map_err(|error| rustls::Error::General(error.to_string()))?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.0));
        if let Some((own, above)) = leaf.chain.split_first() {
            verifier.verify_server_cert(own, above, &name, &[], now)?;
        }
        Ok(())
    }

    /// Shakes hands as this host. `None` when the client would not, or there is no certificate to be had.
    pub(super) async fn accept(&self, stream: Stream, host: &str) -> Option<Stream> {
        let config = self.config(host, clock::unix_now()).ok()?;
        let stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
        Some(Stream::Tls(Box::new(stream.into())))
    }

    fn config(&self, host: &str, now: UnixSeconds) -> Result<Arc<ServerConfig>, CaError> {
        let mut hosts = self.hosts.lock();
        if let Some(kept) = hosts.get(host).filter(|kept| now < kept.until) {
            return Ok(Arc::clone(&kept.config));
        }
        let leaf = self.authority.issue(host, now)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(leaf.chain, leaf.key)?;
        config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        let config = Arc::new(config);
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        hosts.insert(host.into(), Kept { config: Arc::clone(&config), until: renewal(now) });
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
