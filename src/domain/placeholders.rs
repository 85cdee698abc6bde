//! IDs that are mistakes: what a program writes where a customer's ID should be when it has none (`undefined`, `${USER}`),
//! and names that everybody shares. All customers would have one label, and one erasure would take them all.

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
pub struct Placeholders(Vec<Box<str>>);

impl Default for Placeholders {
    fn default() -> Self {
        Self::new(DEFAULT)
    }
}

impl Placeholders {
    /// Takes the list.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().map(|pattern| pattern.to_lowercase().into_boxed_str()).collect())
    }

    /// The list, in lower case.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether the ID is one of them, as it stands or percent-decoded.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let written = id.to_lowercase();
        let found = |text: &str| self.0.iter().any(|pattern| matches(pattern, text));
        let decoded = || percent_encoding::percent_decode_str(&written).decode_utf8_lossy().to_lowercase();
        found(&written) || (written.contains('%') && found(&decoded()))
    }
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
}
