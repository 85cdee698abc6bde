//! Charsets in which a byte below 0x80 is not always the ASCII character: a reader of bytes would find quotes and brackets in
//! the middle of letters.

/// Parts of the labels of such charsets (Encoding Standard §4.2).
const PARTS: [&str; 13] =
    ["utf-16", "utf-32", "utf-7", "ucs", "unicode", "2022", "jis", "kanji", "31j", "932", "gb", "chinese", "big5"];

/// Whether this is the name of one.
pub(super) fn hides_ascii(charset: &[u8]) -> bool {
    let lower = charset.to_ascii_lowercase();
    let has = |part: &str| memchr::memmem::find(&lower, part.as_bytes()).is_some();
    PARTS.into_iter().any(has) || lower.trim_ascii().starts_with(b"hz-") || lower.trim_ascii() == b"iso-ir-58"
}

/// Whether a content type names one.
#[must_use]
pub fn type_hides_ascii(kind: &[u8]) -> bool {
    let lower = kind.to_ascii_lowercase();
    let Some(at) = memchr::memmem::find(&lower, b"charset=") else { return false };
    let named = lower.get(at + b"charset=".len()..).unwrap_or_default();
    hides_ascii(named.split(|byte| *byte == b';').next().unwrap_or_default())
}
