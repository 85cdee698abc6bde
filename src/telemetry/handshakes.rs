//! How callers' TLS handshakes end: a closed set, as everything that is counted.

/// How a caller's TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeEnd {
    /// With a new session.
    Done,
    /// With an earlier session taken up again.
    Resumed,
    /// What came is not TLS.
    NotTls,
    /// No TLS version, cipher or application protocol in common.
    NothingInCommon,
    /// The caller was asked for a certificate, and has shown none.
    NoCertificate,
    /// The caller's certificate was not accepted.
    BadCertificate,
    /// The caller sent an alert: nearly always it does not believe the gate's certificate.
    RefusedByPeer,
    /// The caller left.
    Closed,
    /// It took too long.
    Timeout,
}

impl HandshakeEnd {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Resumed,
        Self::NotTls,
        Self::NothingInCommon,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::RefusedByPeer,
        Self::Closed,
        Self::Timeout,
    ];

    /// As it is written in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Resumed => "resumed",
            Self::NotTls => "not_tls",
            Self::NothingInCommon => "nothing_in_common",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate => "bad_certificate",
            Self::RefusedByPeer => "refused_by_peer",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
        }
    }
}
