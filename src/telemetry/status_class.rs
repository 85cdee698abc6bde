//! Classes of HTTP statuses.

/// The class of a status (RFC 9110 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// Informational.
    C1xx,
    /// Successful.
    C2xx,
    /// Redirection.
    C3xx,
    /// The client's error.
    C4xx,
    /// The server's error.
    C5xx,
}

impl StatusClass {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::C1xx, Self::C2xx, Self::C3xx, Self::C4xx, Self::C5xx];

    /// The class of a status. One outside 100..=599 is a server's error.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::C1xx,
            2 => Self::C2xx,
            3 => Self::C3xx,
            4 => Self::C4xx,
            _ => Self::C5xx,
        }
    }

    /// As it is written in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::C1xx => "1xx",
            Self::C2xx => "2xx",
            Self::C3xx => "3xx",
            Self::C4xx => "4xx",
            Self::C5xx => "5xx",
        }
    }
}
