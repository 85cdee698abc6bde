//! What one look at a text tells of it. Nearly every ID is told from nearly everything that it could be mistaken for by a
//! character that it does not hold, which costs one pass over it however many things there are.

use std::borrow::Cow;

/// A text in lower case, with what is known of it.
#[derive(Debug)]
pub(super) struct Glance<'t> {
    /// The text as it was written.
    pub(super) written: &'t str,
    pub(super) lower: Cow<'t, str>,
    /// Of the text in lower case.
    pub(super) characters: Characters,
    /// How many of them are digits.
    pub(super) digits: usize,
    pub(super) is_ascii: bool,
}

impl<'t> Glance<'t> {
    pub(super) fn of(written: &'t str) -> Self {
        // No early end, and one thing at a time: looked at in strides.
        let characters = Characters::of(written.bytes());
        let digits = written.bytes().map(|byte| usize::from(byte.is_ascii_digit())).sum();
        let is_lower = |byte: u8| byte.is_ascii() & !byte.is_ascii_uppercase();
        if written.bytes().fold(true, |all, byte| all & is_lower(byte)) {
            return Self { written, lower: Cow::Borrowed(written), characters, digits, is_ascii: true };
        }
        let lower: Cow<'_, str> = Cow::Owned(written.to_lowercase());
        let characters = Characters::of(lower.bytes());
        Self { written, lower, characters, digits, is_ascii: written.is_ascii() }
    }
}

/// Which bytes a text holds: a bit for each, which some of them share. Letters in lower case share theirs with no digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Characters(u64);

impl Characters {
    pub(super) fn of(bytes: impl Iterator<Item = u8>) -> Self {
        bytes.fold(Self::default(), |mut all, byte| {
            all.add(byte);
            all
        })
    }

    fn add(&mut self, byte: u8) {
        self.0 |= BITS.get(usize::from(byte)).copied().unwrap_or_default();
    }

    /// Whether a text of these may hold one of those: `false` only where it cannot.
    pub(super) const fn hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }
}

/// The bit of each byte. The upper half is for letters in lower case and what stands beside them.
static BITS: [u64; 256] = {
    let mut bits = [0; 256];
    let (mut left, mut byte) = (bits.as_mut_slice(), 0_u32);
    while let [first, rest @ ..] = left {
        let half = if byte & 0x60 == 0x60 { 32 } else { 0 };
        *first = 1 << (half + byte % 32);
        (left, byte) = (rest, byte + 1);
    }
    bits
};

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Characters, Glance};

    proptest! {
        #[test]
        fn p6_a_glance_says_what_a_closer_look_says(text in any::<String>(), part in 0_usize..20, length in 0_usize..4) {
            let glance = Glance::of(&text);
            assert_eq!(glance.lower, text.to_lowercase());
            assert_eq!(glance.is_ascii, text.is_ascii());
            assert_eq!(glance.digits, text.bytes().filter(u8::is_ascii_digit).count());
            let part = Characters::of(glance.lower.bytes().skip(part).take(length));
            assert!(glance.characters.hold(part), "nothing that it holds is ruled out");
        }
    }

    #[test]
    fn letters_digits_and_what_programs_write_around_names_are_told_apart() {
        let letters = Characters::of("abcdefghijklmnopqrstuvwxyz".bytes());
        for other in "0123456789@%$#[]<>()".bytes() {
            assert!(!letters.hold(Characters::of([other].into_iter())), "{}", char::from(other));
        }
    }
}
