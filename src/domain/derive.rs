//! Where a legacy client says who its customer is: pure readers of single values.
//!
//! What is found is the operator's word for the customer, not the service's: it is judged like a label afterwards.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::query;

/// A query parameter, form-decoded.
#[must_use]
pub fn from_query(raw_query: &str, name: &str) -> Option<String> {
    let found = query::pairs(raw_query).find(|pair| &*query::decoded(pair.name) == name.as_bytes())?;
    text(&query::decoded(found.value))
}

/// A cookie of a `Cookie` header.
#[must_use]
pub fn from_cookie(header: &str, name: &str) -> Option<String> {
    let mut cookies = cookie::Cookie::split_parse(header).flatten();
    cookies.find(|cookie| cookie.name() == name).and_then(|cookie| text(cookie.value_trimmed().as_bytes()))
}

/// The user name of `Authorization: Basic`.
#[must_use]
pub fn from_basic(authorization: &str) -> Option<String> {
    let encoded = after_scheme(authorization, "basic")?;
    let pair = STANDARD.decode(encoded).ok()?;
    let name = pair.split(|byte| *byte == b':').next()?;
    text(name)
}

/// A claim of the bearer token. Its signature is not verified: the service does that with the same token.
#[must_use]
pub fn from_jwt(authorization: &str, claim: &str) -> Option<String> {
    let token = after_scheme(authorization, "bearer")?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    scalar(claims.get(claim)?)
}

/// What a JSON pointer points to, if it is a text or a number.
#[must_use]
pub fn from_json(document: &Value, pointer: &str) -> Option<String> {
    scalar(document.pointer(pointer)?)
}

fn after_scheme<'a>(authorization: &'a str, scheme: &str) -> Option<&'a str> {
    let (first, rest) = authorization.split_once(' ')?;
    first.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(found) => text(found.as_bytes()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text that is not blank.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    use super::{from_basic, from_cookie, from_json, from_jwt, from_query};

    #[test]
    fn p1_each_place_is_read_as_clients_write_it() {
        assert_eq!(from_query("a=1&user=u%201", "user").as_deref(), Some("u 1"));
        assert_eq!(from_query("user=", "user"), None);
        assert_eq!(from_cookie("a=1; uid=u-1; b=2", "uid").as_deref(), Some("u-1"));
        assert_eq!(from_cookie("uid=\"u-1\"", "uid").as_deref(), Some("u-1"));
        assert_eq!(from_basic("Basic dXNlcjpwYTpzcw==").as_deref(), Some("user"));
        assert_eq!(from_basic("Bearer dXNlcjpwYTpzcw=="), None);
        // {"alg":"none"} . {"sub":"u-1","n":7}
        let token = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEiLCJuIjo3fQ.";
        assert_eq!(from_jwt(token, "sub").as_deref(), Some("u-1"));
        assert_eq!(from_jwt(token, "n").as_deref(), Some("7"));
        assert_eq!(from_jwt(token, "x"), None);
        let document = json!({"context": {"user_id": "u-1", "n": 7, "o": {}}});
        assert_eq!(from_json(&document, "/context/user_id").as_deref(), Some("u-1"));
        assert_eq!(from_json(&document, "/context/n").as_deref(), Some("7"));
        assert_eq!(from_json(&document, "/context/o"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>()) {
            let _ = (from_query(&text, "a"), from_cookie(&text, "a"), from_basic(&text), from_jwt(&format!("Bearer {text}"), "a"));
        }
    }
}
