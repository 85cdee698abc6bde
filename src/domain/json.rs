//! One value in a JSON document, found by the names that lead to it, without losing what a reader into numbers and maps
//! would: the digits of a number and a member that is there twice.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Why a document gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is written in UTF-16 or UTF-32.
    Wide,
    /// It is not JSON.
    NotJson,
    /// The members on the way are there twice, with different values.
    Ambiguous,
    /// A number that is not a plain integer: `1.10` and `1.1` are one number and two texts.
    NotAnInteger,
    /// A text with half a character in it.
    NotText,
}

/// The bytes of a JSON text in UTF-8, without the mark that some programs begin it with.
///
/// # Errors
/// `Wide` for another encoding, which is told by its mark or by its zeros (RFC 4627 §3).
pub fn utf8(bytes: &[u8]) -> Result<&[u8], Fault> {
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => Ok(text),
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, ..] | [_, 0, ..] => Err(Fault::Wide),
        text => Ok(text),
    }
}

/// The text or the plain integer to which the names lead, as text. `None` for anything else, and for nothing. An empty
/// document holds nothing.
///
/// # Errors
/// [`Fault`].
pub fn find(document: &[u8], names: &[Cow<'_, str>]) -> Result<Option<String>, Fault> {
    let text = utf8(document)?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut from = serde_json::Deserializer::from_slice(text);
    let found = Walk { names }.deserialize(&mut from).and_then(|found| from.end().map(|()| found));
    match found.map_err(|_| Fault::NotJson)? {
        Found::Nothing => Ok(None),
        Found::Text(text) => Ok(Some(text)),
        Found::Fault(fault) => Err(fault),
    }
}

/// The names of a JSON pointer (RFC 6901).
pub fn names_of(pointer: &str) -> Vec<Cow<'_, str>> {
    let name = |part: &'_ str| -> Cow<'_, str> {
        if part.contains('~') { part.replace("~1", "/").replace("~0", "~").into() } else { Cow::Owned(part.to_owned()) }
    };
    pointer.split('/').skip(1).map(name).collect()
}

#[derive(PartialEq, Eq)]
enum Found {
    Nothing,
    Text(String),
    Fault(Fault),
}

/// Goes where the names lead. What lies beside the way is read over.
struct Walk<'n> {
    names: &'n [Cow<'n, str>],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Found, D::Error> {
        if self.names.is_empty() {
            let raw: &RawValue = serde::Deserialize::deserialize(from)?;
            return Ok(scalar(raw.get()));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found: Option<Found> = None;
        while let Some(name) = map.next_key::<String>()? {
            let names = match self.names.split_first() {
                Some((wanted, names)) if **wanted == name => names,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let this = map.next_value_seed(Walk { names })?;
            found = Some(match found {
                Some(other) if other != this => Found::Fault(Fault::Ambiguous),
                _ => this,
            });
        }
        Ok(found.unwrap_or(Found::Nothing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let wanted = self.names.first().and_then(|name| place(name));
        let mut found = Found::Nothing;
        for at in 0_usize.. {
            let names = self.names.get(1..).filter(|_| wanted == Some(at));
            match names {
                Some(names) => match list.next_element_seed(Walk { names })? {
                    Some(this) => found = this,
                    None => break,
                },
                None => {
                    if list.next_element::<IgnoredAny>()?.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::Nothing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::Nothing)
    }
}

/// The place in a list: digits without a zero in front.
fn place(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    (plain && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// A value as it is written.
fn scalar(raw: &str) -> Found {
    match raw.as_bytes() {
        [b'"', ..] => serde_json::from_str(raw).map_or(Found::Fault(Fault::NotText), Found::Text),
        [b'-' | b'0'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => Found::Text(raw.to_owned()),
        [b'-' | b'0'..=b'9', ..] => Found::Fault(Fault::NotAnInteger),
        _ => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, find, names_of};

    #[track_caller]
    fn check(document: impl AsRef<[u8]>, pointer: &str, expected: Result<Option<&str>, Fault>) {
        let found = find(document.as_ref(), &names_of(pointer));
        assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{pointer}");
    }

    #[test]
    fn p6_a_number_keeps_its_digits() {
        for number in ["7", "0", "-7", "108204268033311374519", "108204268033311374520", "18446744073709551616"] {
            check(format!("{{\"id\": {number} }}"), "/id", Ok(Some(number)));
        }
        for number in ["1.10", "1.1", "1e3", "1E400", "-0.0"] {
            check(format!("{{\"id\":{number}}}"), "/id", Err(Fault::NotAnInteger));
        }
    }

    #[test]
    fn p6_the_value_is_found_as_a_pointer_says() {
        let document = r#"{"a":{"b/c":[1,{"~":"x"},true,null]},"n":null,"e":"","t":"caf\u00e9","":"empty"}"#;
        check(document, "/a/b~1c/1/~0", Ok(Some("x")));
        check(document, "/a/b~1c/0", Ok(Some("1")));
        check(document, "/t", Ok(Some("café")));
        check(document, "/e", Ok(Some("")));
        check(document, "/", Ok(Some("empty")));
        for nothing in
            ["/a", "/n", "/a/b~1c/2", "/a/b~1c/3", "/a/b~1c/4", "/a/b~1c/01", "/a/b~1c/-", "/t/x", "/x/y", "/e/0"]
        {
            check(document, nothing, Ok(None));
        }
        check("", "/a", Ok(None));
        check(" \n", "/a", Ok(None));
    }

    #[test]
    fn p6_a_member_that_is_there_twice_with_two_values_is_ambiguous() {
        for twice in [
            r#"{"id":"a","id":"b"}"#,
            r#"{"id":"a","id":null}"#,
            r#"{"id":null,"id":"a"}"#,
            r#"{"id":"a","\u0069d":"b"}"#,
            r#"{"id":7,"id":8}"#,
        ] {
            check(twice, "/id", Err(Fault::Ambiguous));
        }
        check(r#"{"c":{"id":"a"},"c":{}}"#, "/c/id", Err(Fault::Ambiguous));
        check(r#"{"c":{"id":"a"},"c":{"id":"b"}}"#, "/c/id", Err(Fault::Ambiguous));
        check(r#"{"id":"a","id":"\u0061"}"#, "/id", Ok(Some("a")));
        check(r#"{"x":1,"x":2,"id":"a"}"#, "/id", Ok(Some("a")));
    }

    #[test]
    fn p6_other_encodings_are_told_by_name_and_a_mark_is_no_part_of_the_text() {
        check("\u{feff}{\"id\":\"a\"}", "/id", Ok(Some("a")));
        for bytes in [&b"\xff\xfe{\0"[..], b"\xfe\xff\0{", b"{\0\"\0", b"\0{", b"\0\0\xfe\xff"] {
            check(bytes, "/id", Err(Fault::Wide));
        }
        for broken in
            ["{", "{\"id\":\"a\"", "{'id':1}", "{\"id\":\"a\"} x", "id=a", "{\"id\":nan}", "\u{feff}\u{feff}{}"]
        {
            check(broken, "/id", Err(Fault::NotJson));
        }
        check(r#"{"id":"\ud800"}"#, "/id", Err(Fault::NotText));
        check(b"{\"id\":\"\xff\"}", "/id", Err(Fault::NotJson));
    }

    #[test]
    fn p12_a_deep_document_is_read_over() {
        let deep = format!("{{\"x\":{}{},\"id\":\"a\"}}", "[".repeat(100_000), "]".repeat(100_000));
        check(deep, "/id", Ok(Some("a")));
    }
}
