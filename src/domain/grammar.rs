//! How a service writes customer IDs: from the bytes on the wire to the canonical text, and back.
//!
//! `read(write(id)) == id` for every legal ID, and two different IDs never share a wire text (P6). Sources: IBM's
//! information-security pages of Assistant, Speech to Text, Text to Speech, Discovery and Visual Recognition.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use unicode_normalization::char::is_combining_mark;

use super::profile::GrammarName;

/// Visual Recognition's IDs on the wire: everything but ASCII letters, digits and `_` is percent-encoded.
const VISUAL_RECOGNITION: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_');

/// Discovery's bound, in characters.
const DISCOVERY_ID_CHARACTERS_MAX: usize = 256;

/// Discovery's bound of the whole header value, in bytes.
const DISCOVERY_HEADER_BYTES_MAX: usize = 4096;

impl GrammarName {
    /// The canonical text of an ID as it stands in a label. `None` when its bytes are no text at all: then not even an
    /// alias can be made of it.
    #[must_use]
    pub fn read(self, wire: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Watson | Self::WatsonDiscovery => std::str::from_utf8(wire).ok().map(Cow::Borrowed),
            Self::WatsonVr => percent_decode(wire).decode_utf8().ok(),
        }
    }

    /// The text of a legal ID or an alias on the wire.
    #[must_use]
    pub fn write(self, canonical: &str) -> Cow<'_, str> {
        match self {
            Self::Watson | Self::WatsonDiscovery => Cow::Borrowed(canonical),
            Self::WatsonVr => utf8_percent_encode(canonical, VISUAL_RECOGNITION).into(),
        }
    }

    /// Whether the service allows this ID as it is.
    #[must_use]
    pub fn allows(self, canonical: &str) -> bool {
        match self {
            Self::Watson => is_watson(canonical),
            Self::WatsonDiscovery => is_watson(canonical) && canonical.len() <= DISCOVERY_ID_CHARACTERS_MAX,
            Self::WatsonVr => is_visual_recognition(canonical),
        }
    }

    /// Whether other fields may stand beside the ID in a label.
    #[must_use]
    pub const fn knows_fields(self) -> bool {
        match self {
            Self::Watson | Self::WatsonDiscovery => true,
            Self::WatsonVr => false,
        }
    }

    /// The longest label header that the service takes, in bytes.
    #[must_use]
    pub const fn header_bytes_max(self) -> usize {
        match self {
            Self::WatsonDiscovery => DISCOVERY_HEADER_BYTES_MAX,
            Self::Watson | Self::WatsonVr => usize::MAX,
        }
    }
}

/// Printable ASCII but `;` and `=`, no blank at either end, and nothing that looks percent-encoded: whether these
/// services decode it is documented nowhere, so such an ID could be two.
fn is_watson(id: &str) -> bool {
    let printable = id.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b';' && byte != b'=');
    printable && !id.is_empty() && !id.starts_with(' ') && !id.ends_with(' ') && !has_percent_escape(id)
}

/// Letters and digits of every script with the marks that are written on them, and `_`. Marks follow what they stand on.
fn is_visual_recognition(id: &str) -> bool {
    let letter = |c: char| (c.is_alphanumeric() && !is_pictogram(c)) || c == '_';
    let mark = |c: char| is_combining_mark(c) && !is_pictogram(c);
    id.starts_with(letter) && id.chars().all(|c| letter(c) || mark(c))
}

/// Letters that are drawn as pictures, and marks that make a picture of what they follow.
const fn is_pictogram(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{2139}' | '\u{20dd}'..='\u{20e0}' | '\u{20e2}'..='\u{20e4}' | '\u{24b6}'..='\u{24e9}'
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f130}'..='\u{1f189}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Whether there is a `%XX` in it.
pub(super) fn has_percent_escape(text: &str) -> bool {
    let escape = |w: &[u8]| matches!(w, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    text.as_bytes().windows(3).any(escape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::GrammarName;

    const ALL: [GrammarName; 3] = [GrammarName::Watson, GrammarName::WatsonDiscovery, GrammarName::WatsonVr];

    #[track_caller]
    fn check(grammar: GrammarName, id: &str, allowed: bool) {
        assert_eq!(grammar.allows(id), allowed, "{grammar:?} {id:?}");
    }

    #[test]
    fn p1_each_grammar_allows_what_the_service_documents() {
        check(GrammarName::Watson, "a b+c/d&e", true);
        check(GrammarName::Watson, "550e8400-e29b-41d4-a716-446655440000", true);
        for bad in ["", "a;b", "a=b", " a", "a ", "a%41", "é", "a\tb", "a\u{7f}"] {
            check(GrammarName::Watson, bad, false);
            check(GrammarName::WatsonDiscovery, bad, false);
        }
        check(GrammarName::Watson, "100%", true);
        check(GrammarName::Watson, &"x".repeat(300), true);
        check(GrammarName::WatsonDiscovery, &"x".repeat(256), true);
        check(GrammarName::WatsonDiscovery, &"x".repeat(257), false);
        check(GrammarName::WatsonVr, "Kunde_4711_é日", true);
        for good in ["हिन्दी", "தமிழ்", "José", "ไทย", "العَرَبِيَّة", "Việt", "日本語", "עִבְרִית", "q\u{323}"]
        {
            check(GrammarName::WatsonVr, good, true);
        }
        for bad in [
            "a\u{1f600}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f170}",
            "\u{24c2}",
            "\u{301}a",
            "a\u{200d}b",
            "\u{1f1e9}\u{1f1ea}",
            "",
        ] {
            check(GrammarName::WatsonVr, bad, false);
        }
        for bad in r#"\|*{}$-[]/'`"~?;<>()!&=%#^@:.,+ "#.chars() {
            check(GrammarName::WatsonVr, &format!("a{bad}"), false);
        }
    }

    proptest! {
        #[test]
        fn p6_what_is_written_is_read_back(id in any::<String>()) {
            for grammar in ALL {
                if grammar.allows(&id) {
                    let written = grammar.write(&id);
                    assert_eq!(grammar.read(written.as_bytes()).as_deref(), Some(&*id));
                }
            }
        }

        #[test]
        fn p6_two_ids_never_share_a_wire_text(a in any::<String>(), b in any::<String>()) {
            for grammar in ALL {
                if a != b && grammar.allows(&a) && grammar.allows(&b) {
                    assert_ne!(grammar.write(&a), grammar.write(&b));
                }
            }
        }
    }
}
