//! What became of the Web Chat configurations of one answer.

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It opts out now.
    Set,
    /// It did already.
    Already,
    /// There is one that could not be read, or it is computed somewhere else.
    Unseen,
    /// It may be in a script that is longer than what is held back.
    TooLong,
    /// The answer is in a coding that is not read.
    Encoded,
    /// Its script is pinned by a hash, and would not run if it were changed.
    Pinned,
}

impl Finding {
    /// All findings, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Set, Self::Already, Self::Unseen, Self::TooLong, Self::Encoded, Self::Pinned];

    /// As it is written in metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Already => "already",
            Self::Unseen => "unseen",
            Self::TooLong => "too_long",
            Self::Encoded => "encoded",
            Self::Pinned => "pinned",
        }
    }
}

/// The findings of one answer, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings(u8);

impl Findings {
    /// Adds one.
    pub const fn add(&mut self, finding: Finding) {
        self.0 |= 1 << finding as u8;
    }

    /// Adds those of another part of the same answer.
    pub const fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, finding: Finding) -> bool {
        self.0 & (1 << finding as u8) != 0
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Finding> {
        Finding::ALL.into_iter().filter(move |finding| self.has(*finding))
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        let mut all = Self::default();
        findings.into_iter().for_each(|finding| all.add(finding));
        all
    }
}
