//! What goes wrong towards upstreams, as metrics, logs and the API name it.

/// What went wrong towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Its name was not found.
    Resolve,
    /// No TCP connection.
    Connect,
    /// No tunnel through the HTTP proxy on the way to it.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The connection ended before the answer did.
    BrokeOff,
    /// It took too long.
    Timeout,
    /// What came is not HTTP, or too large a head.
    Protocol,
}

impl FailureKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Resolve, Self::Connect, Self::Proxy, Self::Tls, Self::BrokeOff, Self::Timeout, Self::Protocol];

    /// As it is written in metrics, logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::BrokeOff => "broke_off",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
        }
    }
}
