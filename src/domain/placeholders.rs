//! IDs that are mistakes: what a program writes where a customer's ID should be when it has none (`undefined`, `${USER}`),
//! and names that everybody shares. All customers would have one label, and one erasure would take them all.

use super::glance::{Characters, Glance};

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
pub struct Placeholders {
    patterns: Vec<Box<str>>,
    /// Those without a star, and how long they are: a bit for each length, and one for all beyond [`LENGTHS`].
    plain: Vec<usize>,
    lengths: u64,
    /// Those with a star, and what a text holds for which one stands.
    starred: Vec<(Characters, usize)>,
}

/// Lengths that have a bit of their own.
const LENGTHS: usize = 63;

impl Default for Placeholders {
    fn default() -> Self {
        Self::new(DEFAULT)
    }
}

impl Placeholders {
    /// Takes the list.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns: Vec<_> = patterns.into_iter().map(|text| text.to_lowercase().into_boxed_str()).collect();
        let (mut plain, mut lengths, mut starred) = (Vec::new(), 0, Vec::new());
        for (number, pattern) in patterns.iter().enumerate() {
            if pattern.contains('*') {
                starred.push((Characters::of(pattern.bytes().filter(|byte| *byte != b'*')), number));
            } else {
                lengths |= length_bit(pattern);
                plain.push(number);
            }
        }
        Self { patterns, plain, lengths, starred }
    }

    /// The list, in lower case.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|pattern| &**pattern)
    }

    /// Whether the ID is one of them, as it stands or percent-decoded.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.has_seen(&Glance::of(id))
    }

    /// The same of one that was looked at.
    pub(super) fn has_seen(&self, id: &Glance<'_>) -> bool {
        if self.stands_for(&id.lower, id.characters) {
            return true;
        }
        if !id.lower.contains('%') {
            return false;
        }
        let decoded = percent_encoding::percent_decode_str(&id.lower).decode_utf8_lossy().to_lowercase();
        self.stands_for(&decoded, Characters::of(decoded.bytes()))
    }

    /// Nearly every ID is told from all of them by its length and by what it does not hold.
    fn stands_for(&self, text: &str, characters: Characters) -> bool {
        let pattern = |number: usize| self.patterns.get(number).map_or("", |pattern| &**pattern);
        let is_plain = || self.plain.iter().any(|number| pattern(*number) == text);
        let is_starred =
            |(literal, number): &(Characters, usize)| characters.hold(*literal) && matches(pattern(*number), text);
        (self.lengths & length_bit(text) != 0 && is_plain()) || self.starred.iter().any(is_starred)
    }
}

fn length_bit(text: &str) -> u64 {
    1 << text.len().min(LENGTHS)
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
    use proptest::collection::vec;
    use proptest::prelude::proptest;
    use proptest::sample::select;

    use super::{DEFAULT, Placeholders, matches};

    /// Letters that are one in lower case, some of whose lower case is ASCII; escapes of them; and texts about as long as
    /// the lengths that have a bit of their own.
    const PIECES: [&str; 18] = [
        "a",
        "A",
        "%41",
        "%61",
        "k",
        "K",
        "\u{212a}",
        "%E2%84%AA",
        "i",
        "\u{130}",
        "\u{e9}",
        "\u{c9}",
        "%c3%89",
        "\u{3a3}",
        "%",
        "0",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxX",
    ];

    /// Character by character, with nothing ruled out before.
    fn reads(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            ['*', rest @ ..] => (0..=text.len()).any(|skipped| reads(rest, &text[skipped..])),
            [first, rest @ ..] => text.split_first().is_some_and(|(one, behind)| one == first && reads(rest, behind)),
            [] => text.is_empty(),
        }
    }

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
        /// Lengths and characters rule out nothing that matches.
        #[test]
        fn p6_what_a_pattern_stands_for_is_found(pattern in "[a*\u{e9}\u{7f}%]{0,5}", text in "[a\u{e9}\u{7f}%]{0,6}") {
            let found = matches(&pattern, &text);
            let decoded = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
            assert_eq!(Placeholders::new([&*pattern]).has(&text), found || matches(&pattern, &decoded));
        }

        #[test]
        fn p6_a_list_finds_what_a_plain_reading_of_it_finds(
            others in vec(vec(select([PIECES.as_slice(), &["*"]].concat()), 0..3), 0..3),
            pattern in vec((select([PIECES.as_slice(), &["*", "*"]].concat()), select(PIECES.to_vec()), 0..3), 0..5),
            further in vec(select(PIECES.to_vec()), 0..2),
        ) {
            let text = pattern.iter().map(|(piece, for_star, upper)| match (*piece, *upper) {
                ("*", 0) => String::new(),
                ("*", _) => (*for_star).to_owned(),
                (piece, 0) => piece.to_uppercase(),
                (piece, 1) => piece.to_lowercase(),
                (piece, _) => piece.to_owned(),
            });
            let text = text.chain(further.iter().map(|piece| (*piece).to_owned())).collect::<String>();
            let mut patterns: Vec<String> = others.iter().map(|pieces| pieces.concat()).collect();
            patterns.push(pattern.iter().map(|(piece, ..)| *piece).collect());
            let lower = text.to_lowercase();
            let decoded = percent_encoding::percent_decode_str(&lower).decode_utf8_lossy().to_lowercase();
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = patterns.iter().map(|pattern| chars(&pattern.to_lowercase())).any(|pattern| {
                reads(&pattern, &chars(&lower)) || reads(&pattern, &chars(&decoded))
            });
            assert_eq!(Placeholders::new(patterns.iter().map(String::as_str)).has(&text), expected, "{patterns:?} {text}");
        }
    }
}
