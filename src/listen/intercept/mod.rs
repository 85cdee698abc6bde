//! TLS that is meant for a host which an upstream names: the gate shows a certificate of its own authority for it.
//!
//! Only for such hosts. A certificate is made when it is first asked for, good for days, and made anew long before it
//! ends; its key never leaves the memory. See docs/decisions/045-interception.md.

mod authority;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig, crypto};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use self::authority::{Authority, renewal};
pub use self::authority::{CaError, MadeCa, SecretPem, make_ca};
use crate::config::CaFiles;
use crate::domain::UnixSeconds;
use crate::net::Stream;
use crate::telemetry::{chain, clock, events};

/// Hosts whose certificates are kept. Only configured ones have any, so that this bounds a very long configuration.
const HOSTS_MAX: usize = 4096;

/// How often it is said at most of one host that a handshake failed.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What is spoken in TLS that was opened, by preference (ALPN): the first only where the listener speaks it.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const HTTP2: &[u8] = b"h2";

/// Opens TLS that is meant for others.
#[derive(Debug)]
pub(super) struct Interceptor {
    authority: Authority,
    /// Whether HTTP/2 is offered.
    http2: bool,
    hosts: Mutex<HashMap<Box<str>, Kept>>,
    /// When it was said of a host that a handshake failed.
    said: Mutex<HashMap<Box<str>, Instant>>,
}

/// What is shown for one host.
#[derive(Debug)]
struct Kept {
    config: Arc<ServerConfig>,
    /// A clock that was ahead and is set right makes it useless.
    from: UnixSeconds,
    until: UnixSeconds,
}

impl Interceptor {
    pub(super) fn load(files: &CaFiles, http2: bool) -> Result<Self, CaError> {
        Ok(Self { authority: Authority::load(files)?, http2, hosts: Mutex::default(), said: Mutex::default() })
    }

    /// The hosts about which clients will not believe the authority, each in a sentence. `address` is the listener's.
    pub(super) fn disbelieved<'h>(&self, address: &str, hosts: impl Iterator<Item = &'h str>) -> Vec<String> {
        let sentence = |host: &str| {
            let why = self.objection(host)?;
            Some(format!("at {address} TLS to {host} will fail, since clients will not believe its ca about it: {why}"))
        };
        hosts.filter_map(sentence).collect()
    }

    /// Why clients that believe in the authority will not believe what it says of this host, if they will not.
    fn objection(&self, host: &str) -> Option<String> {
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
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.0));
        if let Some((own, above)) = leaf.chain.split_first() {
            verifier.verify_server_cert(own, above, &name, &[], now)?;
        }
        Ok(())
    }

    /// Shakes hands as this host, and gives whether HTTP/2 was agreed. `None` when the client would not, or there is no
    /// certificate to be had: that is said, but not each time.
    pub(super) async fn accept(&self, stream: Stream, host: &str) -> Option<(Stream, bool)> {
        let config = match self.config(host, clock::unix_now()) {
            Ok(config) => config,
            Err(error) => return self.failed(host, &chain(&error)),
        };
        let stream = match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => stream,
            Err(error) => return self.failed(host, &chain(&error)),
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Some((Stream::Tls(Box::new(stream.into())), is_http2))
    }

    fn failed<T>(&self, host: &str, reason: &str) -> Option<T> {
        let now = Instant::now();
        let mut said = self.said.lock();
        said.retain(|_, at| now < *at + SAID_EVERY);
        if said.len() < HOSTS_MAX && !said.contains_key(host) {
            said.insert(host.into(), now);
            drop(said);
            events::NotOpened { host, reason }.emit();
        }
        None
    }

    fn config(&self, host: &str, now: UnixSeconds) -> Result<Arc<ServerConfig>, CaError> {
        let mut hosts = self.hosts.lock();
        if let Some(kept) = hosts.get(host).filter(|kept| kept.from <= now && now < kept.until) {
            return Ok(Arc::clone(&kept.config));
        }
        let leaf = self.authority.issue(host, now)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(leaf.chain, leaf.key)?;
        config.alpn_protocols = PROTOCOLS.iter().skip(usize::from(!self.http2)).map(|one| one.to_vec()).collect();
        let config = Arc::new(config);
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        hosts.insert(host.into(), Kept { config: Arc::clone(&config), from: now, until: renewal(now) });
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
