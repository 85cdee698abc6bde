//! A customer ID: the one function from a text to an ID, and the proof that an ID is never printed.
//!
//! Whatever way a text came in (header, query, cookie, token, body, filter, admin API, command line), [`CustomerId::read`]
//! makes an ID of it or says why it is none. So what was labelled in one way is found again in every other (P6).

use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use zeroize::{Zeroize, Zeroizing};

use super::refusal::{Code, Refusal};

/// One customer's ID: never blank, at most [`CustomerId::BYTES_MAX`] bytes of UTF-8.
///
/// It has no `Display`, and its `Debug` prints a placeholder: an ID must not reach a log, a metric or an error (P7).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerId(Box<str>);

impl CustomerId {
    /// The longest ID that is accepted anywhere, in bytes: the gate's own bound, wider than any service's.
    pub const BYTES_MAX: usize = 4096;

    /// Reads a text as an ID: the only way to one from outside.
    ///
    /// The text is kept as it is, except that canonically equivalent spellings (é and e with an accent) become one, NFC.
    /// Nothing is cut off: two texts that differ otherwise are two customers, or none.
    ///
    /// # Errors
    /// [`NotAnId`] says what is wrong with the text.
    pub fn read(text: &str) -> Result<Self, NotAnId> {
        if text.len() > Self::BYTES_MAX {
            return Err(NotAnId::TooLong);
        }
        if text.trim().is_empty() {
            return Err(NotAnId::Blank);
        }
        if text.chars().any(char::is_control) {
            return Err(NotAnId::Control);
        }
        if text.starts_with(BYTE_ORDER_MARK) || text.ends_with(BYTE_ORDER_MARK) {
            return Err(NotAnId::ByteOrderMark);
        }
        if text.trim().len() < text.len() {
            return Err(NotAnId::BlankAtEnd);
        }
        if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
            return Ok(Self(text.into()));
        }
        // Written into one allocation that is large enough, and wiped: nothing of the ID stays behind.
        let mut normal = Zeroizing::new(String::with_capacity(text.len().saturating_mul(NFC_GROWTH_MAX)));
        normal.extend(text.nfc());
        if normal.len() > Self::BYTES_MAX { Err(NotAnId::TooLong) } else { Ok(Self(normal.as_str().into())) }
    }

    /// The same of bytes, which must be UTF-8.
    ///
    /// # Errors
    /// [`NotAnId`] says what is wrong with them.
    pub fn read_bytes(bytes: &[u8]) -> Result<Self, NotAnId> {
        std::str::from_utf8(bytes).map_err(|_| NotAnId::NotText).and_then(Self::read)
    }

    /// [`Self::read`] for those to whom the reason says nothing.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Self::read(text).ok()
    }

    /// Takes a text that was an ID when it was stored, as it is: what could once be read stays erasable. `None` when it is
    /// blank or too long, which no ID ever was.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        let usable = !text.trim().is_empty() && text.len() <= Self::BYTES_MAX;
        usable.then(|| Self(text.into()))
    }

    /// The text that a service reads in this one which decodes it, as often as it can be, and trims it. Whether a service
    /// does is documented nowhere: what must hold for a customer however an ID is read asks about this text, too.
    #[must_use]
    pub fn read_loosely(&self) -> Self {
        let mut read = self.clone();
        while let Ok(decoded) = percent_encoding::percent_decode_str(read.expose()).decode_utf8()
            && let Some(next) = Self::stored(decoded.trim())
            && next != read
        {
            read = next;
        }
        read
    }

    /// The text itself. Whoever calls this is responsible for where it goes: the wire, a hash or a seal, never a sink.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The sign by which some programs mark the beginning of a text; it is no part of one.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// How many times longer a text's UTF-8 can become by NFC (UAX #15).
const NFC_GROWTH_MAX: usize = 3;

/// Why a text is no customer ID. Nothing in it is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnId {
    /// Empty, or nothing but blanks: it names nobody.
    Blank,
    /// More than [`CustomerId::BYTES_MAX`] bytes.
    TooLong,
    /// A blank at its beginning or end. One reader would trim it and another would not.
    BlankAtEnd,
    /// A control character.
    Control,
    /// A byte-order mark at its beginning or end.
    ByteOrderMark,
    /// Not UTF-8.
    NotText,
}

impl NotAnId {
    /// What is wrong, and what would be right.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Blank => "The customer ID is blank",
            Self::TooLong => "The customer ID is longer than 4096 bytes",
            Self::BlankAtEnd => "The customer ID begins or ends with a blank: send it without",
            Self::Control => {
                "The customer ID holds a control character, which no label can hold and at which some services cut it"
            }
            Self::ByteOrderMark => "The customer ID begins or ends with a byte-order mark: send it without",
            Self::NotText => "The customer ID is not UTF-8 text",
        }
    }
}

impl From<NotAnId> for Refusal {
    fn from(why: NotAnId) -> Self {
        let code = if why == NotAnId::Blank { Code::LabelMissing } else { Code::LabelInvalid };
        Self::new(code, why.sentence())
    }
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerId(…)")
    }
}

impl Drop for CustomerId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{CustomerId, NotAnId};

    #[track_caller]
    fn check(text: &str, expected: Result<&str, NotAnId>) {
        assert_eq!(
            CustomerId::read(text).map(|id| id.expose().to_owned()),
            expected.map(ToOwned::to_owned),
            "{text:?}"
        );
    }

    #[test]
    fn p6_a_text_is_an_id_as_it_is_or_none() {
        for text in ["a", "a b", "a;b=c", "100%", "a%41", "日本", "हिन्दी", "தமிழ்", "a\u{feff}b", "\u{1f600}", "\"a\""]
        {
            check(text, Ok(text));
        }
        for text in ["", " ", "\t", "\u{a0}\u{3000}", "\r\n"] {
            check(text, Err(NotAnId::Blank));
        }
        for text in [" a", "a ", "a\u{a0}", "\u{3000}a", "\u{2028}a"] {
            check(text, Err(NotAnId::BlankAtEnd));
        }
        for text in ["a\tb", "a\n", "a\0", "\u{85}a", "a\u{7f}"] {
            check(text, Err(NotAnId::Control));
        }
        for text in ["\u{feff}a", "a\u{feff}", "\u{feff}", "\u{feff} a"] {
            check(text, Err(NotAnId::ByteOrderMark));
        }
        assert_eq!(CustomerId::read_bytes(b"\xff"), Err(NotAnId::NotText));
    }

    #[test]
    fn p6_canonically_equivalent_spellings_are_one_customer() {
        check("jose\u{301}", Ok("josé"));
        check("\u{212b}ngstrom", Ok("Ångstrom"));
        check("a\u{37e}b", Ok("a;b"));
    }

    #[test]
    fn p12_an_id_is_bounded_also_when_it_grows() {
        let longest = "x".repeat(CustomerId::BYTES_MAX);
        check(&longest, Ok(&longest));
        check(&format!("{longest}x"), Err(NotAnId::TooLong));
        // U+0958 is three bytes, and six in NFC.
        check(&"\u{958}".repeat(1000), Err(NotAnId::TooLong));
    }

    proptest! {
        #[test]
        fn p6_an_id_read_again_is_itself(text in any::<String>()) {
            if let Ok(id) = CustomerId::read(&text) {
                assert_eq!(CustomerId::read(id.expose()), Ok(id.clone()));
                assert_eq!(CustomerId::stored(id.expose()), Some(id));
            }
        }
    }

    #[test]
    fn p4_the_loose_reading_of_an_id_is_one_for_all_texts_that_a_decoder_or_a_trimmer_takes_for_each_other() {
        let read = |text: &str| CustomerId::stored(text).unwrap().read_loosely().expose().to_owned();
        for text in ["ann b", " ann b", "ann b\t", "ann%20b", "ann%2520b%20", "%61nn b"] {
            assert_eq!(read(text), "ann b", "{text:?}");
        }
        for other in ["Ann b", "ann", "100%", "%zz"] {
            assert_eq!(read(other), other, "an ID of its own");
        }
        assert_eq!(read("%FF"), "%FF");
        assert_eq!(read("%20"), "%20", "never blank");
    }
}
