//! Query strings, pair by pair, without changing what is not ours.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::careless;

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
    let mut rest = Some(raw);
    std::iter::from_fn(move || {
        let (whole, behind) = divided(rest?, b'&').map_or((rest?, None), |(whole, behind)| (whole, Some(behind)));
        rest = behind;
        Some(whole)
    })
    .filter_map(pair)
}

/// `None` for nothing between two `&`.
fn pair(whole: &str) -> Option<Pair<'_>> {
    let (name, value) = divided(whole, b'=').unwrap_or((whole, ""));
    (!whole.is_empty()).then_some(Pair { name, value, whole })
}

/// What stands before and behind the first of this character of ASCII's.
fn divided(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(at, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether each pair of this query is one, and spelt as it is read, with every reader of queries: a name in it is one that
/// is looked for only if both have the same `letters`.
#[must_use]
pub fn is_plain(raw: &str) -> bool {
    // No early end: compared in strides, which is faster than to stop at the first odd byte.
    raw.bytes()
        .fold(true, |plain, byte| plain & (matches!(byte, b'!'..=b'~') & !matches!(byte, b'%' | b'+' | b';' | b'[')))
}

/// How many letters and digits there are in a name: what a name that is plain has at least, to be read as this one.
#[must_use]
pub fn letters_in(name: &str) -> usize {
    letters(name.as_bytes()).count()
}

/// Form-decodes: `+` is a space, `%XX` a byte. Borrowed when there is nothing to decode.
#[must_use]
pub fn decoded(encoded: &str) -> Cow<'_, [u8]> {
    if !encoded.bytes().fold(false, |any, byte| any | matches!(byte, b'%' | b'+')) {
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

/// Whether any reader of queries would take this pair, or a part of it, for this name.
#[must_use]
pub fn may_spell(pair: &str, name: &str) -> bool {
    spellings(pair, name) > 0
}

/// As how many parameters of this name a reader could take the parts of this query. Some divide pairs at semicolons
/// too, decode more than once, end a name at a NUL, or make one name of `a-b`, `a_b` and `a-b[]`. Each part is decoded
/// once, so the work grows with the query's length and not faster (P12).
#[must_use]
pub fn spellings(query: &str, name: &str) -> usize {
    let parts = query.split(DIVIDERS).filter(|part| !part.is_empty());
    parts.map(|part| in_part(part, name)).fold(0, usize::saturating_add)
}

/// What divides the pairs of a query, with one reader or another.
const DIVIDERS: [char; 2] = ['&', ';'];

fn in_part(part: &str, name: &str) -> usize {
    let (written, value) = part.split_once('=').unwrap_or((part, ""));
    let in_name = count(written, |text| text.split(DIVIDERS).filter(|each| is_name(each, name)).count());
    // Whoever decodes a value and divides it then finds further pairs in it.
    let in_value = count(value, |text| {
        // Whoever cuts a name and divides at one of them alone finds the value behind the other.
        let may_end = |c: char| c == '=' || c == '[' || careless::is_dropped(c);
        let pairs = text.split(DIVIDERS).skip(1).filter(|each| each.contains(may_end));
        pairs.filter(|each| is_name(each, name)).count()
    });
    in_name.saturating_add(in_value)
}

/// The most that is found in a text as it is written, and in what careless readers make of it; no end of it if the text
/// has no end.
fn count(written: &str, found_in: impl Fn(&str) -> usize) -> usize {
    if !written.bytes().any(|byte| byte == b'%' || byte.is_ascii_control() || !byte.is_ascii()) {
        return found_in(written);
    }
    let decoded = |drop| careless::decoded(written, drop).map_or(usize::MAX, |text| found_in(&text));
    found_in(written).max(decoded(false)).max(decoded(true))
}

/// Whether this decoded name is the one that is asked for, as a whole or up to where a reader may cut it off.
fn is_name(written: &str, name: &str) -> bool {
    // A second decoding may bring an equals sign with it.
    let written = written.split('=').next().unwrap_or_default();
    // Most names are ruled out by their length.
    if written.len() < letters(name.as_bytes()).count() {
        return false;
    }
    let is = |text: &str| letters(text.as_bytes()).eq(letters(name.as_bytes()));
    let begun = written.trim_start_matches(|c: char| !c.is_alphanumeric());
    let cut = begun.find(|c: char| c == '[' || careless::is_dropped(c));
    is(written) || cut.and_then(|at| begun.get(..at)).is_some_and(is)
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
    use proptest::prelude::{any, prop, proptest};

    use super::super::steps;
    use super::{decoded, encoded, rewritten, spellings};

    #[test]
    fn p8_pairs_that_are_not_ours_keep_their_bytes() {
        for raw in ["a=1&b=%7e+x&c&d=", "", "&", "a&&b", "&a=1&", "=&=="] {
            assert_eq!(rewritten(raw, |_| None), raw);
        }
        let raw = "a=1&b=%7e+x&c&d=";
        assert_eq!(rewritten(raw, |pair| (pair.name == "b").then(|| "b=2".into())), "a=1&b=2&c&d=");
        assert_eq!(rewritten(raw, |pair| (pair.name == "a").then(String::new)), "b=%7e+x&c&d=");
    }

    #[test]
    fn p9_every_spelling_of_a_name_is_counted() {
        let spelt = [
            "customer_id=v",
            "customer_id",
            "Customer-ID=v",
            "customer.id=v",
            "customer+id=v",
            "+customer_id=v",
            "customer%5Fid=v",
            "customer%255fid=v",
            "customer%u005fid=v",
            "customer_id%00=v",
            "customer_id%00x=v",
            "customer_id%0d%0a=v",
            "%00customer_id=v",
            "cust%00omer_id=v",
            "customer_id[]=v",
            "customer_id[x]=v",
            "customer_id%5B0%5D=v",
            "customer_id%3Dv",
            "x%26customer_id=v",
            "x=1%26customer_id%3Dv",
            "x=1%253Bcustomer_id%253Dv",
            "x=1;customer_id=v",
            "x=1%26customer_id%00;y=v",
            "x=1%26customer_id%00%3By=v",
            "x=1%3Bcustomer_id[%26y=v",
            ";customer_id=v",
            "\u{ff43}ustomer_id=v",
            "cu%C5%BFtomer_id=v",
        ];
        for part in spelt {
            assert_eq!(spellings(part, "customer_id"), 1, "{part}");
            assert_eq!(spellings(&format!("a=b&{part}&customer_id=me"), "customer_id"), 2, "{part}");
        }
        let others = [
            "",
            "&;&",
            "customer=v",
            "xcustomer_id=v",
            "customer_ids=v",
            "customer_id_2=v",
            "x=customer_id",
            "x=customer_id=v",
            "x[customer_id]=v",
            "x=a%26customer_id",
            "id=v&customer=v",
        ];
        for part in others {
            assert_eq!(spellings(part, "customer_id"), 0, "{part}");
        }
    }

    #[test]
    fn p12_the_work_of_reading_a_query_grows_with_its_length_and_not_faster() {
        const BYTES: usize = 64 * 1024;
        let whole = ["%", "%41", "%2541", "%252541", "%26", "%3B", "customer_id%3D", "%u0041", "%25\u{ff12}5", "%00"];
        for piece in whole.iter().flat_map(|piece| [format!("{piece}&"), format!("{piece};"), (*piece).to_owned()]) {
            let query = piece.repeat(BYTES / piece.len());
            let steps = steps::of(|| spellings(&query, "customer_id"));
            assert!((1..=64 * query.len()).contains(&steps), "{piece}: {steps} for {}", query.len());
        }
        let mut deep = String::from("%41");
        while deep.len() < BYTES {
            deep = deep.replace('%', "%25");
        }
        assert!(steps::of(|| spellings(&deep, "customer_id")) <= 64 * deep.len());
        for divider in ["&", ";"] {
            assert_eq!(steps::of(|| spellings(&divider.repeat(BYTES), "customer_id")), 0);
        }
    }

    proptest! {
        #[test]
        fn p6_an_encoded_value_decodes_to_itself(value in any::<String>()) {
            assert_eq!(&*decoded(&encoded(&value)), value.as_bytes());
        }

        #[test]
        fn p9_a_plain_query_names_only_what_has_the_letters_of_the_name(
            pairs in prop::collection::vec("[!-~]{0,3}(?i:cust-?om[_.]er_?id)?[!-~]{0,2}=?[!-~]{0,3}", 0..4),
        ) {
            let query = pairs.join("&");
            let is_one = |pair: &super::Pair<'_>| super::letters(pair.name.as_bytes()).eq(super::letters(b"customer_id"));
            if super::is_plain(&query) {
                assert_eq!(spellings(&query, "customer_id"), super::pairs(&query).filter(is_one).count(), "{query}");
            }
        }

        #[test]
        fn p8_pairs_are_what_stands_between_two_ampersands(query in "[a&=\u{e9}]{0,12}") {
            let expected: Vec<_> = query.split('&').filter(|whole| !whole.is_empty()).collect();
            let found: Vec<_> = super::pairs(&query).map(|pair| pair.whole).collect();
            assert_eq!(found, expected);
            for pair in super::pairs(&query) {
                assert_eq!((pair.name, pair.value), pair.whole.split_once('=').unwrap_or((pair.whole, "")));
            }
        }

        /// A value that a service labels with (it holds no `=`) is never taken for a parameter.
        #[test]
        fn p6_no_encoded_value_without_an_equals_sign_counts(value in "[^=%\\PC]{0,40}") {
            assert_eq!(spellings(&format!("a={}", encoded(&value)), "customer_id"), 0);
        }

        #[test]
        fn p9_a_name_is_counted_wherever_bytes_of_it_are_escaped(
            escaped in prop::collection::vec(0_usize..3, 11),
            before in "[a-z]{1,5}=[a-z0-9]{0,5}[&;]",
        ) {
            let escape = |byte: u8, times: usize| match times {
                0 => char::from(byte).to_string(),
                1 => format!("%{byte:02x}"),
                _ => format!("%25{byte:02X}"),
            };
            let name: String = "customer_id".bytes().zip(escaped).map(|(byte, times)| escape(byte, times)).collect();
            assert_eq!(spellings(&format!("{before}{name}=v"), "customer_id"), 1);
        }
    }
}
