//! Whether an ID looks like personal data. IBM asks for random or generic IDs: never an e-mail address or a Twitter
//! name.
//!
//! What is looked for can stand anywhere in the ID: behind a scheme (`tel:`), behind the name of a connection
//! (`auth0|`), between separators, percent-encoded or in wide characters.

mod numbers;

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::careless;
use super::glance::{Characters, Glance};

/// Bytes of a compiled expression: what an operator writes is bounded, too (P12).
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A kind of personal identifier that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// An e-mail address, also one of a name without a domain behind it: `bob@host`.
    Email,
    /// A name behind an `@`.
    Handle,
    /// A name or number at a social network: an ID that says of which, as a word of its own.
    Social,
    /// A telephone number: behind a `+` or a word such as `tel`, or divided as numbers are written in a country.
    Phone,
    /// A US Social Security number, divided, or behind the word `ssn`.
    Ssn,
    /// The number of a payment card, divided into groups, with the right check digit.
    Card,
    /// An international bank account number with the right check digits.
    Iban,
}

impl Known {
    /// All of them, by their names in `policy.personal_patterns`.
    pub const NAMED: [(&str, Self); 7] = [
        ("email", Self::Email),
        ("handle", Self::Handle),
        ("social", Self::Social),
        ("phone", Self::Phone),
        ("ssn", Self::Ssn),
        ("card", Self::Card),
        ("iban", Self::Iban),
    ];

    fn is_in(self, text: &Glance<'_>) -> bool {
        // What most IDs do not hold is seen at once.
        let possible = match self {
            Self::Email | Self::Handle => text.characters.hold(*AT),
            Self::Social => SOCIAL_CHARACTERS.iter().any(|network| text.characters.hold(*network)),
            Self::Phone | Self::Ssn | Self::Card => text.digits >= DIGITS_MIN,
            Self::Iban => text.digits >= IBAN_DIGITS_MIN,
        };
        possible && self.is_found_in(&text.lower)
    }

    fn is_found_in(self, text: &str) -> bool {
        match self {
            Self::Email => has_at(text, true),
            Self::Handle => has_at(text, false),
            Self::Social => words(text).any(|word| SOCIAL_LENGTHS.contains(&word.len()) && SOCIAL.contains(&word)),
            Self::Phone => numbers::has_phone(text),
            Self::Ssn => numbers::has_ssn(text),
            Self::Card => numbers::has_card(text),
            Self::Iban => numbers::has_iban(text),
        }
    }
}

/// Digits of the shortest number of a person's.
const DIGITS_MIN: usize = 7;
/// Those of an account's number that are there in every country: the check digits.
const IBAN_DIGITS_MIN: usize = 2;

/// Networks whose names or numbers lead to a person.
const SOCIAL: [&str; 14] = [
    "twitter",
    "facebook",
    "instagram",
    "linkedin",
    "tiktok",
    "snapchat",
    "telegram",
    "whatsapp",
    "mastodon",
    "bluesky",
    "reddit",
    "discord",
    "skype",
    "github",
];

/// What a text holds that has one of them in it.
static SOCIAL_CHARACTERS: LazyLock<[Characters; SOCIAL.len()]> =
    LazyLock::new(|| SOCIAL.map(|network| Characters::of(network.bytes())));
static AT: LazyLock<Characters> = LazyLock::new(|| Characters::of([b'@'].into_iter()));

/// How long these are.
const SOCIAL_LENGTHS: RangeInclusive<usize> = 5..=9;

/// One thing that is looked for.
#[derive(Clone, Debug)]
enum Pattern {
    Known(Known),
    Own(Regex),
}

/// What counts as personal: `policy.personal_patterns`.
#[derive(Clone, Debug)]
#[expect(clippy::module_name_repetitions, reason = "it is named as the key is")]
pub struct PersonalPatterns(Vec<Pattern>);

impl Default for PersonalPatterns {
    fn default() -> Self {
        let mut all = Self::none();
        Known::NAMED.into_iter().for_each(|(_, known)| all.add(known));
        all
    }
}

impl PartialEq for PersonalPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.names().eq(other.names())
    }
}

impl Eq for PersonalPatterns {}

impl PersonalPatterns {
    /// Nothing is personal.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a known kind.
    pub fn add(&mut self, known: Known) {
        self.0.push(Pattern::Known(known));
    }

    /// Adds an expression of the operator's, which is looked for anywhere in the ID, in any case of letters.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn add_regex(&mut self, expression: &str) -> Result<(), String> {
        let built = RegexBuilder::new(expression).case_insensitive(true).size_limit(REGEX_BYTES_MAX).build();
        self.0.push(Pattern::Own(built.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// The names of the kinds, and the expressions as they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| match pattern {
            Pattern::Own(regex) => regex.as_str(),
            Pattern::Known(known) => {
                Known::NAMED.iter().find(|(_, named)| named == known).map_or("", |(name, _)| *name)
            }
        })
    }

    /// Whether one of them is in the ID. Looked at as it is and as a careless reader would see it, since an encoded
    /// address is one all the same.
    #[must_use]
    pub fn are_in(&self, id: &str) -> bool {
        self.are_seen_in(&Glance::of(id))
    }

    /// The same of one that was looked at.
    pub(super) fn are_seen_in(&self, id: &Glance<'_>) -> bool {
        if self.find(id) {
            return true;
        }
        if id.is_ascii && !id.lower.contains('%') {
            return false;
        }
        // A text without an end of decoding may be anything.
        careless::decoded(id.written, true).is_none_or(|plain| self.find(&Glance::of(&plain)))
    }

    fn find(&self, id: &Glance<'_>) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Known(known) => known.is_in(id),
            Pattern::Own(regex) => regex.is_match(id.written),
        })
    }
}

/// Whether there is an `@` in front of a name. With a name before it, it makes an address.
fn has_at(text: &str, address: bool) -> bool {
    memchr::memchr_iter(b'@', text.as_bytes()).any(|at| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + 1..).and_then(|behind| behind.chars().next());
        let named = before.is_some_and(|c| !c.is_whitespace() && !"<>(),;:\"'|/@".contains(c));
        named == address && behind.is_some_and(|c| c.is_alphanumeric() || c == '_' || (address && c == '['))
    })
}

/// The words of a text: letters and digits, divided by all else, `_` too.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || (!c.is_ascii() && c.is_alphanumeric())))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::proptest;
    use proptest::sample::select;

    use super::{Known, PersonalPatterns};
    use crate::domain::careless;

    #[test]
    fn p7_personal_identifiers_are_found_wherever_they_stand() {
        let all = PersonalPatterns::default();
        let personal = [
            "bob@example.com",
            "Bob <bob@example.com>",
            "mailto:bob@example.com",
            "auth0|bob@example.com",
            "customer/bob@example.com/7",
            "bob%40example.com",
            "bob%2540example.com",
            "bob\u{ff20}example.com",
            "josé@beispiel.de",
            "@bob",
            "team:@bob",
            "bob_twitter",
            "twitter|12345",
            "Twitter-Bob",
            "facebook|10155",
            "+44 20 7946 0958",
            "+442079460958",
            "%2B442079460958",
            "tel:+12025550142",
            "tel:2025550142",
            "sms|+12025550142",
            "auth0|+1-202-555-0142",
            "phone-2025550142",
            "(202) 555-0142",
            "202-555-0142",
            "020 7946 0958",
            "030/1234567",
            "06 12 34 56 78",
            "0044 20 7946 0958",
            "ssn-123-45-6789",
            "123-45-6789",
            "ssn:123456789",
            "4111 1111 1111 1111",
            "3782-822463-10005",
            "DE89370400440532013000",
            "iban-de89 3704 0044 0532 0130 00",
        ];
        for id in personal {
            assert!(all.are_in(id), "{id}");
        }
    }

    #[test]
    fn generic_ids_are_not_personal() {
        let all = PersonalPatterns::default();
        let generic = [
            "442079460958",
            "108204268033311374519",
            "4111111111111111",
            "a+b",
            "+12",
            "user_4711",
            "50%",
            "a b+c/d&e",
            "c@",
            "@",
            "550e8400-e29b-41d4-a716-446655440000",
            "01234567-0716-4466-8544-000012345678",
            "2021-06-14-0001",
            "05-11-2024-0001",
            "2026-11-30 09:26:16",
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "1234-5678",
            "4111 1111 1111 1112",
            "000-12-3456",
            "10.11.12.13",
            "k+1234567x",
            "日本語",
        ];
        for id in generic {
            assert!(!all.are_in(id), "{id}");
        }
    }

    #[test]
    fn patterns_are_added_and_taken_away() {
        let mut patterns = PersonalPatterns::none();
        assert!(!patterns.are_in("bob@example.com"));
        patterns.add(Known::Email);
        patterns.add_regex("^emp[0-9]{5}$").unwrap();
        assert!(patterns.are_in("bob@example.com") && patterns.are_in("EMP00017") && !patterns.are_in("+442079460958"));
        assert!(patterns.names().eq(["email", "^emp[0-9]{5}$"]));
        assert!(patterns.add_regex("(").is_err() && patterns.add_regex("(a{9999}){9999}").is_err());
        assert_ne!(patterns, PersonalPatterns::default());
    }

    const PIECES: [&str; 24] = [
        "bob",
        "@",
        "%40",
        "\u{ff20}",
        "example.com",
        "twitter",
        "TWITTER",
        "tw\u{130}tter",
        "s\u{212a}ype",
        "%53KYPE",
        "s%e2%84%aaype",
        "_",
        "-",
        " ",
        "|",
        "+",
        "tel:",
        "2025550142",
        "123-45-6789",
        "4111 1111 1111 1111",
        "DE89370400440532013000",
        "de89 3704 0044 0532 0130 00",
        "\u{c9}",
        "%c3%89",
    ];

    proptest! {
        /// What one look at an ID rules out is not in it.
        #[test]
        fn p7_each_kind_is_found_where_a_search_of_the_whole_text_finds_it(pieces in vec(select(PIECES.to_vec()), 0..5)) {
            let text = pieces.concat();
            for (name, known) in Known::NAMED {
                let mut patterns = PersonalPatterns::none();
                patterns.add(known);
                let decoded = careless::decoded(&text, true).unwrap();
                let expected = known.is_found_in(&text.to_lowercase()) || known.is_found_in(&decoded.to_lowercase());
                assert_eq!(patterns.are_in(&text), expected, "{name} {text}");
                assert!(!known.is_found_in(&decoded) || expected, "upper case hides nothing: {name} {text}");
            }
        }
    }
}
