//! Connections of which no request was read.

/// Why a connection was closed before anything was asked over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// It does not begin with a PROXY header where it must.
    ProxyHeader,
    /// The header did not come in time.
    ProxyTimeout,
    /// It comes from where no PROXY header is believed.
    ProxyUntrusted,
    /// It was redirected, and the system does not know where it was going.
    Undirected,
    /// Its TLS was to be opened, and the client broke the handshake off: most do not trust the listener's `ca`.
    NotOpened,
}

impl Rejected {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::ProxyHeader, Self::ProxyTimeout, Self::ProxyUntrusted, Self::Undirected, Self::NotOpened];

    /// As it is written in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProxyHeader => "proxy_header",
            Self::ProxyTimeout => "proxy_timeout",
            Self::ProxyUntrusted => "proxy_untrusted",
            Self::Undirected => "undirected",
            Self::NotOpened => "tls_not_opened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rejected;

    #[test]
    fn the_place_in_the_list_is_the_number_of_the_column() {
        for (place, why) in Rejected::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
    }
}
