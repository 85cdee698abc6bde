//! What went wrong in a TLS handshake, on either side of the gate, in words that an operator can act on.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as RustlsError};

use crate::telemetry::HandshakeEnd;

/// What went wrong between the two ends of a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeFault {
    /// The peer was asked for a certificate, and has shown none.
    #[error("no certificate was shown")]
    NoCertificate,
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
    /// What came is not TLS.
    #[error("peer does not speak TLS")]
    NotTls,
    /// The connection ended before the handshake did.
    #[error("closed during the handshake")]
    Closed,
}

impl HandshakeFault {
    /// Sorts what the handshake returned. The library's own text is not kept: it can carry bytes of the peer.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()).map_or(Self::Closed, Self::of_rustls)
    }

    /// As it is counted.
    #[must_use]
    pub const fn counted(self) -> HandshakeEnd {
        match self {
            Self::NoCertificate => HandshakeEnd::NoCertificate,
            Self::UnknownIssuer | Self::WrongName | Self::Expired | Self::NotYetValid | Self::BadCertificate => {
                HandshakeEnd::BadCertificate
            }
            Self::NothingInCommon => HandshakeEnd::NothingInCommon,
            Self::RefusedByPeer => HandshakeEnd::RefusedByPeer,
            Self::NotTls => HandshakeEnd::NotTls,
            Self::Closed => HandshakeEnd::Closed,
        }
    }

    fn of_rustls(error: &RustlsError) -> Self {
        match error {
            RustlsError::InvalidCertificate(what) => Self::of_certificate(what),
            RustlsError::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::NoApplicationProtocol,
            )
            | RustlsError::PeerIncompatible(_)
            | RustlsError::NoApplicationProtocol => Self::NothingInCommon,
            RustlsError::AlertReceived(_) => Self::RefusedByPeer,
            RustlsError::NoCertificatesPresented => Self::NoCertificate,
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
