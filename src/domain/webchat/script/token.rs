//! One token of a script, in few bytes: a script may be nothing but tokens of one byte each (P12).

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// A text in quotes.
    Quoted,
    /// A piece of a template, with the marks at its ends.
    Template,
    /// A regular expression.
    Regex,
    /// One character of an operator, or a bracket.
    Mark(u8),
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) from: Place,
    pub(super) to: Place,
    /// The bracket that it stands in.
    pub(super) parent: Place,
    /// What closes it, or what it closes, if it is a bracket.
    pub(super) partner: Place,
}

/// A place in a script, or among its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn of(at: usize) -> Self {
        u32::try_from(at).map_or(Self::NONE, Self)
    }

    pub(super) fn at(self) -> Option<usize> {
        usize::try_from(self.0).ok().filter(|_| self != Self::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Tokens;
    use super::Token;

    #[test]
    fn p12_what_is_kept_of_a_script_is_at_most_twenty_times_its_bytes() {
        assert!(size_of::<Token>() <= 20);
        let text = "(;[{}];)".repeat(1_000);
        assert_eq!(Tokens::of(text.as_bytes()).len(), text.len());
    }
}
