//! TLS, mostly where connections come in: what is shown and asked for, sessions that are resumed, and how handshakes end.
//!
//! A session ticket is good at every worker and, since its keys are no certificate's, across a renewal of certificates.
//! It is not good any more once `client_ca` has changed: a resumed session's certificate is not judged again.

mod client;
mod fault;
mod named;
mod sessions;
mod sni_resolver;

use std::sync::Arc;

use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{Error as RustlsError, HandshakeKind, ServerConfig, SupportedProtocolVersion, crypto, version};
use tokio_rustls::TlsAcceptor;

pub use self::client::{client_config, system_roots};
pub use self::fault::HandshakeFault;
use self::sessions::Sessions;
use self::sni_resolver::SniResolver;
use crate::config::pem::LastRead;
use crate::config::{ListenTls, PemFault, Renew, Renewed, TlsVersion, pem};
use crate::net::Stream;

/// What one listener shows and asks for. It follows its files.
#[derive(Debug)]
pub struct ServerIdentity {
    config: Renewed<ServerConfig>,
}

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The name that the caller asked for, in lower case.
    pub server_name: Option<Box<str>>,
    /// Whether HTTP/2 is to be spoken.
    pub http2: bool,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

static FROM_1_2: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
static FROM_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// The versions that are spoken.
#[must_use]
pub fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match min {
        TlsVersion::V1_2 => FROM_1_2,
        TlsVersion::V1_3 => FROM_1_3,
    }
}

impl ServerIdentity {
    /// Reads the files. HTTP/2 is offered if it is to be spoken.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(tls: &ListenTls, http2: bool) -> Result<Self, PemFault> {
        let (files, tls, kept) = (tls.files(), tls.clone(), (Sessions::default(), LastRead::default()));
        Ok(Self { config: Renewed::new(files, move || server_config(&tls, http2, &kept))? })
    }

    /// The handshake. It takes as long as the caller makes it take.
    ///
    /// # Errors
    /// How it failed; the caller has been told by an alert where that was possible.
    pub async fn accept(&self, stream: Stream) -> Result<(Stream, Negotiated), HandshakeFault> {
        let accepted = TlsAcceptor::from(self.config.current()).accept(stream).await;
        let stream = accepted.map_err(|error| HandshakeFault::of(&error))?;
        let (_, connection) = stream.get_ref();
        let agreed = Negotiated {
            server_name: connection.server_name().map(|name| name.to_ascii_lowercase().into()),
            http2: connection.alpn_protocol() == Some(b"h2"),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok((Stream::Tls(Box::new(stream.into())), agreed))
    }
}

impl Renew for ServerIdentity {
    fn look(&self) -> Option<Result<(), PemFault>> {
        self.config.look()
    }
}

/// What is kept from one time to the next is `sessions`, and what was shown `last`.
fn server_config(
    tls: &ListenTls,
    http2: bool,
    (sessions, last): &(Sessions, LastRead),
) -> Result<ServerConfig, PemFault> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.min_version))
        .map_err(PemFault::Setup)?;
    let believed = tls.client_ca.as_deref().map(pem::roots).transpose()?.map(Arc::new);
    let builder = match &believed {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider).build();
            // It refuses an empty list of roots, and this one is none.
            let unusable = |error: VerifierBuilderError| PemFault::Setup(RustlsError::General(error.to_string()));
            builder.with_client_cert_verifier(verifier.map_err(unusable)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SniResolver::load(&tls.identities, last)?));
    let offered: &[&[u8]] = if http2 { &[b"h2", b"http/1.1", b"http/1.0"] } else { &[b"http/1.1", b"http/1.0"] };
    config.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
    sessions.resume(&mut config, believed.as_deref())?;
    Ok(config)
}
