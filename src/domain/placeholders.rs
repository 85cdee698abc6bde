//! IDs that are mistakes: what a program writes where a customer's ID should be when it has none (`undefined`, `${USER}`),
//! and names that everybody shares. All customers would have one label, and one erasure would take them all.

use std::borrow::Cow;

/// `policy.placeholders` where the file says nothing. `*` stands for any text.
pub const DEFAULT: [&str; 22] = [
    "undefined",
    "*undefined*",
    "null",
    "(null)",
    "nil",
    "<nil>",
    "none",
    "nan",
    "n/a",
    "[object *",
    "function *(*)*{*",
    "*${*",
    "*{{*",
    "{*}",
    "*<%*%>*",
    "<*>",
    "%s",
    "%(*)s",
    "00000000-0000-0000-0000-000000000000",
    "your_customer_id",
    "customer_id",
    "apikey",
];

/// Texts that are no customer's ID; upper and lower case are alike, and `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholders(Vec<Pattern>);

impl Default for Placeholders {
    fn default() -> Self {
        Self::new(DEFAULT)
    }
}

/// One text, and what every text that it stands for holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: Box<str>,
    /// Bytes of it that are no star.
    least: usize,
    has_star: bool,
    characters: Characters,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let text = text.to_lowercase().into_boxed_str();
        let literal = || text.bytes().filter(|byte| *byte != b'*');
        Self { least: literal().count(), has_star: text.contains('*'), characters: Characters::of(literal()), text }
    }

    /// Nearly every ID is told from nearly every pattern by its length, or by a character that it does not hold.
    fn stands_for(&self, text: &str, characters: Characters) -> bool {
        let long_enough = if self.has_star { text.len() >= self.least } else { text.len() == self.least };
        long_enough && characters.hold(self.characters) && matches(&self.text, text)
    }
}

/// Which bytes a text holds: a bit for each, which four of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Characters(u64);

impl Characters {
    fn of(bytes: impl Iterator<Item = u8>) -> Self {
        Self(bytes.fold(0, |all, byte| all | 1 << (byte % 64)))
    }

    const fn hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }
}

impl Placeholders {
    /// Takes the list.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(Pattern::new).collect())
    }

    /// The list, in lower case.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &*pattern.text)
    }

    /// Whether the ID is one of them, as it stands or percent-decoded.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let written = lowercase(id);
        let found = |text: &str| {
            let characters = Characters::of(text.bytes());
            self.0.iter().any(|pattern| pattern.stands_for(text, characters))
        };
        let decoded = || percent_encoding::percent_decode_str(&written).decode_utf8_lossy().to_lowercase();
        found(&written) || (written.contains('%') && found(&decoded()))
    }
}

/// The text in lower case; most IDs are.
pub(super) fn lowercase(text: &str) -> Cow<'_, str> {
    // No early end: compared in strides, which is faster than to stop at the first odd byte.
    let is_lower = text.bytes().fold(true, |lower, byte| lower & (byte.is_ascii() & !byte.is_ascii_uppercase()));
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// Whether the whole text matches the pattern. Whatever stands between two stars is looked for once, from left to
/// right, so the work grows with the text's length and not faster for each part (P12).
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{DEFAULT, Placeholders, matches};

    #[test]
    fn p6_what_a_program_writes_for_want_of_an_id_is_a_placeholder() {
        let placeholders = Placeholders::default();
        let mistakes = [
            "undefined",
            "Undefined",
            "user-undefined",
            "null",
            "NULL",
            "None",
            "NaN",
            "nil",
            "[object Object]",
            "[object Promise]",
            "${USER_ID}",
            "user-${id}",
            "$%7BUSER_ID%7D",
            "{{ user.id }}",
            "{{user",
            "{customer_id}",
            "<customer_id>",
            "<%= user.id %>",
            "YOUR_CUSTOMER_ID",
            "apikey",
            "00000000-0000-0000-0000-000000000000",
            "function () { return id }",
        ];
        for id in mistakes {
            assert!(placeholders.has(id), "{id}");
        }
        for id in
            ["alice", "nullable-7", "nonet", "apikey-7", "a{b}", "550e8400-e29b-41d4-a716-446655440000", "$7", "%sx"]
        {
            assert!(!placeholders.has(id), "{id}");
        }
        assert!(DEFAULT.iter().all(|pattern| *pattern == pattern.to_lowercase()));
    }

    #[test]
    fn a_star_is_any_text_and_nothing_else_is_special() {
        for (pattern, text) in
            [("a*c", "abc"), ("a*c", "ac"), ("*", ""), ("*b*", "abc"), ("a*b*c", "aXbYc"), ("a.c", "a.c")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a*c", "ab"), ("ab*bc", "abc"), ("a.c", "abc"), ("*b*", "ac"), ("a", "ab")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(!Placeholders::new([]).has("undefined"));
    }

    proptest! {
        /// Length and characters rule out nothing that matches.
        #[test]
        fn p6_what_a_pattern_stands_for_is_found(pattern in "[a*\u{e9}\u{7f}%]{0,5}", text in "[a\u{e9}\u{7f}%]{0,6}") {
            let found = matches(&pattern, &text);
            let decoded = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
            assert_eq!(Placeholders::new([&*pattern]).has(&text), found || matches(&pattern, &decoded));
        }
    }
}
