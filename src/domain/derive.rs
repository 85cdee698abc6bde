//! Where a legacy client says who its customer is: pure readers of single places.
//!
//! What is found is the operator's word for the customer, not the service's: it is judged like a label afterwards. A place
//! that holds two different values names nobody: which of them the service believes is not known.

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use futures_util::{FutureExt, stream};

use super::base64::padded_base64;
use super::json::{self, Fault};
use super::refusal::{Code, Refusal};
use super::token::Claims;
use super::{CustomerId, NotAnId, query};

/// What a place gives: an ID, nothing, or the reason why it may not be used.
pub type Derived = Result<Option<CustomerId>, Refusal>;

/// Parts of a multipart body that are looked at. Each costs more than its bytes.
const PARTS_MAX: usize = 256;

const TWO_VALUES: &str =
    "The place from which the customer ID is taken holds two different values: send one customer's ID, once";

const TWO_TOKENS: &str = "The request has two different bearer tokens: send one, once";

/// The lines of a request header.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_header<'a>(values: impl Iterator<Item = &'a [u8]>) -> Derived {
    one(values.map(Cow::Borrowed))
}

/// A query parameter, form-decoded.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_query(raw_query: &str, name: &str) -> Derived {
    let named = query::pairs(raw_query).filter(|pair| &*query::decoded(pair.name) == name.as_bytes());
    one(named.map(|pair| query::decoded(pair.value)))
}

/// A cookie of any of the `Cookie` lines.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_cookies<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Derived {
    let cookies = lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(|cookie| {
        let equals = memchr::memchr(b'=', cookie)?;
        let (written, value) = cookie.split_at_checked(equals)?;
        (written.trim_ascii() == name.as_bytes()).then(|| unquoted(value.get(1..).unwrap_or_default().trim_ascii()))
    });
    one(cookies.map(Cow::Borrowed))
}

/// A cookie's value may stand between quotes, which are no part of it (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] if !inner.iter().any(|byte| matches!(byte, b'"' | b'\\')) => inner,
        _ => value,
    }
}

/// The user name of `Authorization: Basic`.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_basic<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Derived {
    let names = lines.filter_map(|line| {
        let mut pair = padded_base64(after_scheme(line, b"basic")?)?;
        pair.truncate(memchr::memchr(b':', &pair).unwrap_or(pair.len()));
        Some(Cow::Owned(pair))
    });
    one(names)
}

/// A claim of the bearer token. Its signature is not verified: the service does that with the same token.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_jwt<'a>(lines: impl Iterator<Item = &'a [u8]>, claim: &str) -> Derived {
    let claims = lines.filter_map(|line| {
        let payload = after_scheme(line, b"bearer")?.split(|byte| *byte == b'.').nth(1)?;
        let end = payload.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let payload = BASE64URL_NOPAD.decode(payload.get(..end)?).ok()?;
        match json::find(&payload, &[Cow::Borrowed(claim)]) {
            // A token of another kind, of which nothing can be read.
            Err(Fault::NotJson | Fault::Wide) => None,
            found => found.transpose(),
        }
    });
    one_of_json(claims)
}

/// The bearer token of a request.
///
/// # Errors
/// Two different tokens: which of them the service believes is not known.
pub fn bearer<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, Refusal> {
    let mut tokens = lines.filter_map(|line| after_scheme(line, b"bearer"));
    let first = tokens.next();
    if tokens.any(|token| Some(token) != first) {
        return Err(Refusal::new(Code::LabelConflict, TWO_TOKENS));
    }
    Ok(first)
}

/// A claim of a token that was verified.
///
/// # Errors
/// Two different values, or one that is no ID.
pub fn from_claims(claims: &Claims, claim: &str) -> Derived {
    one_of_json(json::find(claims.text(), &[Cow::Borrowed(claim)]).transpose().into_iter())
}

/// What stands behind the scheme of an `Authorization` line.
fn after_scheme<'a>(line: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let space = memchr::memchr(b' ', line)?;
    let (first, rest) = line.split_at_checked(space)?;
    first.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// Whether this content type says that the body is JSON.
///
/// # Errors
/// `LabelInvalid` for JSON in another encoding than UTF-8.
pub fn is_json(content_type: &str) -> Result<bool, Refusal> {
    let Ok(kind) = content_type.parse::<mime::Mime>() else { return Ok(false) };
    if kind.subtype() != mime::JSON && kind.suffix() != Some(mime::JSON) {
        return Ok(false);
    }
    let utf8 = |charset: mime::Name<'_>| charset == mime::UTF_8 || charset == "us-ascii" || charset == "utf8";
    if kind.get_param(mime::CHARSET).is_none_or(utf8) { Ok(true) } else { Err(of_json(Fault::Wide)) }
}

/// What a JSON pointer points to in a JSON text, if it is a text or a plain integer.
///
/// # Errors
/// Two different values, one that is no ID, or a text that is not JSON in UTF-8.
pub fn from_json(body: &[u8], pointer: &str) -> Derived {
    one_of_json(json::find(body, &json::names_of(pointer)).transpose().into_iter())
}

/// Whether this content type says that the body is multipart.
#[must_use]
pub fn is_multipart(content_type: &str) -> bool {
    multer::parse_boundary(content_type).is_ok()
}

/// The parts of this name in a multipart body, or what the pointer finds in them.
///
/// # Errors
/// Two different values, one that is no ID, or a body that is not multipart.
pub fn from_multipart(content_type: &str, body: Bytes, part: &str, pointer: Option<&str>) -> Derived {
    let Ok(boundary) = multer::parse_boundary(content_type) else { return Ok(None) };
    let parts = parts_named(body, boundary, part)?;
    match pointer.map(json::names_of) {
        None => one(parts.iter().map(|content| Cow::Borrowed(&**content))),
        Some(names) => one_of_json(parts.iter().filter_map(|content| json::find(content, &names).transpose())),
    }
}

fn parts_named(body: Bytes, boundary: String, part: &str) -> Result<Vec<Bytes>, Refusal> {
    let broken = Refusal::new(
        Code::LabelMissing,
        "The body says that it is multipart and has too many parts, or cannot be read as that",
    );
    let mut multipart = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let reading = async {
        let mut contents = Vec::new();
        for _ in 0..=PARTS_MAX {
            let Some(field) = multipart.next_field().await? else { return Ok(Some(contents)) };
            if field.name() == Some(part) {
                contents.push(field.bytes().await?);
            }
        }
        Ok::<_, multer::Error>(None)
    };
    // All of the body is there, so there is nothing to wait for.
    reading.now_or_never().and_then(Result::ok).flatten().ok_or(broken)
}

/// The one value among these as an ID. A blank one is nothing.
fn one<'a>(mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Derived {
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|value| value != first) {
        return Err(Refusal::new(Code::LabelConflict, TWO_VALUES));
    }
    match CustomerId::read_bytes(&first) {
        Ok(id) => Ok(Some(id)),
        Err(NotAnId::Blank) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

fn one_of_json(values: impl Iterator<Item = Result<String, Fault>>) -> Derived {
    let texts: Result<Vec<_>, _> = values.map(|value| value.map(|text| Cow::Owned(text.into_bytes()))).collect();
    one(texts.map_err(of_json)?.into_iter())
}

const fn of_json(fault: Fault) -> Refusal {
    match fault {
        Fault::Wide => {
            Refusal::new(Code::LabelInvalid, "The JSON that holds the customer ID is not in UTF-8: send it in UTF-8")
        }
        Fault::NotJson => Refusal::new(
            Code::LabelMissing,
            "What should hold the customer ID says that it is JSON and cannot be read as JSON",
        ),
        Fault::Ambiguous => Refusal::new(Code::LabelConflict, TWO_VALUES),
        Fault::NotAnInteger => Refusal::new(
            Code::LabelInvalid,
            "The customer ID is a number with a fraction or an exponent: send it as a text",
        ),
        Fault::NotText => Refusal::new(Code::LabelInvalid, NotAnId::NotText.sentence()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::{any, proptest};

    use super::{
        Derived, from_basic, from_cookies, from_header, from_json, from_jwt, from_multipart, from_query, is_json,
    };
    use crate::domain::refusal::Code;

    fn lines<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        lines.iter().map(|line| line.as_bytes())
    }

    #[track_caller]
    fn check(found: Derived, expected: Result<Option<&str>, Code>) {
        let found = found.map(|id| id.map(|id| id.expose().to_owned())).map_err(|refusal| refusal.code);
        assert_eq!(found, expected.map(|id| id.map(str::to_owned)));
    }

    /// {"alg":"none"} . {"sub":"u-1","n":7}
    const TOKEN: &str = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEiLCJuIjo3fQ.";

    #[test]
    fn p1_each_place_is_read_as_clients_write_it() {
        check(from_header(lines(&["u-1"])), Ok(Some("u-1")));
        check(from_query("a=1&user=u%201", "user"), Ok(Some("u 1")));
        check(from_query("user=", "user"), Ok(None));
        check(from_cookies(lines(&["a=1; uid=u-1; b=2", "c=d"]), "uid"), Ok(Some("u-1")));
        check(from_cookies(lines(&["uid=\"u-1\""]), "uid"), Ok(Some("u-1")));
        check(from_cookies(lines(&["uid=a=b"]), "uid"), Ok(Some("a=b")));
        check(from_basic(lines(&["Basic dXNlcjpwYTpzcw=="])), Ok(Some("user")));
        check(from_basic(lines(&["Bearer dXNlcjpwYTpzcw=="])), Ok(None));
        // Two texts in a row: a service that stops at the first padding reads another name.
        check(from_basic(lines(&["Basic YWw=aWNlOng="])), Ok(None));
        check(from_jwt(lines(&[TOKEN]), "sub"), Ok(Some("u-1")));
        check(from_jwt(lines(&[TOKEN]), "n"), Ok(Some("7")));
        check(from_jwt(lines(&[TOKEN]), "x"), Ok(None));
        check(from_jwt(lines(&["Bearer opaque.b3BhcXVl.x"]), "sub"), Ok(None));
        let document = br#"{"context": {"user_id": "u-1", "n": 108204268033311374519, "f": 1.10, "o": {}}}"#;
        check(from_json(document, "/context/user_id"), Ok(Some("u-1")));
        check(from_json(document, "/context/n"), Ok(Some("108204268033311374519")));
        check(from_json(document, "/context/f"), Err(Code::LabelInvalid));
        check(from_json(document, "/context/o"), Ok(None));
        check(from_json(b"\xff\xfe{\0}\0", "/a"), Err(Code::LabelInvalid));
    }

    fn multipart(parts: &[&str], pointer: Option<&str>) -> Derived {
        let part = |text: &&str| format!("--b\r\nContent-Disposition: form-data; name=\"m\"\r\n\r\n{text}\r\n");
        let body = parts.iter().map(part).collect::<String>() + "--b--\r\n";
        from_multipart("multipart/form-data; boundary=b", Bytes::from(body), "m", pointer)
    }

    #[test]
    fn p6_two_different_values_in_one_place_are_ambiguous() {
        check(from_header(lines(&["a", "b"])), Err(Code::LabelConflict));
        check(from_header(lines(&["a", ""])), Err(Code::LabelConflict));
        check(from_query("user=a&user=b", "user"), Err(Code::LabelConflict));
        check(from_cookies(lines(&["uid=a", "uid=b"]), "uid"), Err(Code::LabelConflict));
        check(from_cookies(lines(&["uid=a; uid=b"]), "uid"), Err(Code::LabelConflict));
        check(from_basic(lines(&["Basic YTo=", "Basic Yjo="])), Err(Code::LabelConflict));
        check(from_json(br#"{"a":1,"a":2}"#, "/a"), Err(Code::LabelConflict));
        check(multipart(&["a", "b"], None), Err(Code::LabelConflict));
        check(multipart(&["{\"i\":1}", "{\"i\":2}"], Some("/i")), Err(Code::LabelConflict));

        check(from_header(lines(&["a", "a"])), Ok(Some("a")));
        check(from_query("user=a&user=%61", "user"), Ok(Some("a")));
        check(multipart(&["a", "a"], None), Ok(Some("a")));
        check(multipart(&["{\"i\":1}"], Some("/i")), Ok(Some("1")));
        check(multipart(&[], None), Ok(None));
    }

    #[test]
    fn p6_json_is_known_by_its_type_and_read_in_one_encoding() {
        for json in
            ["application/json", "application/ld+json", "application/json; charset=UTF-8", "text/json;charset=utf8"]
        {
            assert_eq!(is_json(json), Ok(true), "{json}");
        }
        for other in ["text/plain", "", "json", "application/x-www-form-urlencoded"] {
            assert_eq!(is_json(other), Ok(false), "{other}");
        }
        for other in ["application/json; charset=utf-16", "application/json;charset=ISO-8859-1"] {
            assert_eq!(is_json(other).unwrap_err().code, Code::LabelInvalid, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let line = || std::iter::once(text.as_bytes());
            drop((from_query(&text, "a"), from_cookies(line(), "a"), from_basic(line()), from_json(&bytes, "/a")));
            let token = format!("Bearer {text}");
            drop((from_jwt(std::iter::once(token.as_bytes()), "a"), is_json(&text)));
            drop(from_multipart("multipart/form-data; boundary=b", Bytes::from(bytes), "m", None));
        }
    }
}
