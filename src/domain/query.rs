//! Query strings, pair by pair, without changing what is not ours.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// Characters that no decoder can mistake in a query: a space becomes `%20` and a plus `%2B`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One `name=value`, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Still encoded.
    pub name: &'a str,
    /// Still encoded; `""` if there is no `=`.
    pub value: &'a str,
    /// The whole of it.
    pub whole: &'a str,
}

/// The pairs of a query string, divided by `&`.
pub fn pairs(raw: &str) -> impl Iterator<Item = Pair<'_>> {
    raw.split('&').filter_map(pair)
}

/// `None` for nothing between two `&`.
fn pair(whole: &str) -> Option<Pair<'_>> {
    let (name, value) = whole.split_once('=').unwrap_or((whole, ""));
    (!whole.is_empty()).then_some(Pair { name, value, whole })
}

/// Form-decodes: `+` is a space, `%XX` a byte. Borrowed when there is nothing to decode.
#[must_use]
pub fn decoded(encoded: &str) -> Cow<'_, [u8]> {
    if !encoded.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(encoded.as_bytes());
    }
    let spaced = encoded.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).collect())
}

/// Encodes a value so that form decoders and plain percent decoders read the same.
#[must_use]
pub fn encoded(value: impl AsRef<[u8]>) -> String {
    percent_encode(value.as_ref(), QUERY).to_string()
}

/// Would any reader of queries take this pair, or a part of it, for this name? Some divide pairs at semicolons too, decode
/// twice, or make one name of `a-b`, `a_b` and `a-b[]`.
#[must_use]
pub fn may_spell(part: &str, name: &str) -> bool {
    let written = part.split_once('=').map_or(part, |(name, _)| name);
    // Decoding makes nothing longer: most names are ruled out by that.
    if written.len() < letters(name.as_bytes()).count() {
        return false;
    }
    let once: Cow<'_, [u8]> = percent_decode(written.as_bytes()).into();
    let twice: Cow<'_, [u8]> = percent_decode(&once).into();
    letters(&twice).eq(letters(name.as_bytes()))
}

fn letters(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// The query with the pairs for which `rewrite` gives something replaced by that (an empty text removes the pair).
#[must_use]
pub fn rewritten<'a>(raw: &'a str, rewrite: impl Fn(Pair<'a>) -> Option<String>) -> String {
    let mut written = String::with_capacity(raw.len() + 32);
    let mut first = true;
    for whole in raw.split('&') {
        let new = pair(whole).and_then(&rewrite);
        if new.as_ref().is_some_and(String::is_empty) {
            continue;
        }
        if !first {
            written.push('&');
        }
        first = false;
        written.push_str(new.as_deref().unwrap_or(whole));
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{decoded, encoded, rewritten};

    #[test]
    fn p8_pairs_that_are_not_ours_keep_their_bytes() {
        for raw in ["a=1&b=%7e+x&c&d=", "", "&", "a&&b", "&a=1&", "=&=="] {
            assert_eq!(rewritten(raw, |_| None), raw);
        }
        let raw = "a=1&b=%7e+x&c&d=";
        assert_eq!(rewritten(raw, |pair| (pair.name == "b").then(|| "b=2".into())), "a=1&b=2&c&d=");
        assert_eq!(rewritten(raw, |pair| (pair.name == "a").then(String::new)), "b=%7e+x&c&d=");
    }

    proptest! {
        #[test]
        fn p6_an_encoded_value_decodes_to_itself(value in any::<String>()) {
            assert_eq!(&*decoded(&encoded(&value)), value.as_bytes());
        }
    }
}
