//! `policy.derive`: the places from which the ID of an unlabelled request is taken.

use super::super::file::{Table, Value};
use super::external_files::Outside;
use super::jwks::Beside;
use crate::domain::policy::DeriveFrom;

const FORM: &str = "a list of { header = \"…\" }, { query = \"…\" }, { cookie = \"…\" }, { jwt = \"sub\" } \
    (verified with jwks, issuer and audience beside it), { basic = \"username\" }, { json = \"/…\" } and { multipart = \"part\", json = \"/…\" }";
/// Each may mean one more look through the body.
const PLACES_MAX: usize = 16;
const ENTRY_FORM: &str =
    "exactly one of header, query, cookie, jwt, basic, json and multipart (with json, if one will)";

/// The entries in their order; the first hit wins.
pub(super) fn derive(value: &Value<'_>, outside: &Outside<'_>) -> Vec<DeriveFrom> {
    let entries = value.list(FORM);
    if value.is_list() && entries.is_empty() {
        value.fault("is empty", FORM);
    }
    if entries.len() > PLACES_MAX {
        value.fault(format!("lists {} places", entries.len()), format!("at most {PLACES_MAX}"));
    }
    entries.iter().filter_map(|entry| place(entry, outside)).collect()
}

fn place(entry: &Value<'_>, outside: &Outside<'_>) -> Option<DeriveFrom> {
    let table = entry.table(ENTRY_FORM)?;
    let [header, query, cookie, jwt, basic, json, multipart] =
        ["header", "query", "cookie", "jwt", "basic", "json", "multipart"].map(|key| table.get(key));
    let beside = Beside::of(&table);
    table.close();
    if let (None, Some(value)) = (&jwt, beside.any()) {
        value.fault("belongs to a claim of a token, and there is no `jwt`", "jwt = \"sub\" beside it");
        return None;
    }
    match (header, query, cookie, jwt, basic, json, multipart) {
        (Some(header), None, None, None, None, None, None) => header_name(&header).map(DeriveFrom::Header),
        (None, Some(query), None, None, None, None, None) => name(&query).map(DeriveFrom::Query),
        (None, None, Some(cookie), None, None, None, None) => token(&cookie).map(DeriveFrom::Cookie),
        (None, None, None, Some(jwt), None, None, None) => {
            let (claim, trust) = (name(&jwt), beside.trust(entry, outside).ok()?);
            Some(match trust {
                None => DeriveFrom::Jwt(claim?),
                Some(trust) => DeriveFrom::VerifiedJwt { claim: claim?, by: Box::new(trust) },
            })
        }
        (None, None, None, None, Some(basic), None, None) => {
            basic.choice(&[("username", ())], &[]).map(|()| DeriveFrom::BasicUsername)
        }
        (None, None, None, None, None, Some(json), None) => pointer(&json).map(DeriveFrom::Json),
        (None, None, None, None, None, json, Some(part)) => multipart_place(&part, json.as_ref()),
        _ => {
            one_place_missing(entry, &table);
            None
        }
    }
}

/// A misspelt key has been reported already, and is all that is wrong then.
fn one_place_missing(entry: &Value<'_>, table: &Table<'_>) {
    let known = table.keys().filter(|key| ENTRY_FORM.contains(key)).count();
    match (known, table.keys().count()) {
        (0, 1..) => {}
        (0, _) => entry.fault("names no place", ENTRY_FORM),
        _ => entry.fault("names several places", ENTRY_FORM),
    }
}

fn multipart_place(part: &Value<'_>, json: Option<&Value<'_>>) -> Option<DeriveFrom> {
    let json = match json {
        Some(json) => Some(pointer(json)?),
        None => None,
    };
    Some(DeriveFrom::Multipart { part: name(part)?, json })
}

/// A JSON pointer (RFC 6901) to something inside the document.
fn pointer(value: &Value<'_>) -> Option<String> {
    let form = "a JSON pointer, such as \"/context/user_id\"";
    let text = value.text(form)?;
    let escaped = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if !text.starts_with('/') || !escaped {
        value.fault("is no JSON pointer", form);
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn header_name(value: &Value<'_>) -> Option<String> {
    token(value).map(|name| name.to_ascii_lowercase())
}

/// Names of headers and of cookies are tokens (RFC 9110, 5.6.2).
fn token(value: &Value<'_>) -> Option<String> {
    let form = "a name of letters, digits and `-` or `_`";
    let text = value.text(form)?;
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        value.fault("is no name of a header or cookie", form);
        return None;
    }
    Some(text.to_owned())
}

fn name(value: &Value<'_>) -> Option<String> {
    let text = value.text("a name")?;
    if text.trim().is_empty() {
        value.fault("is empty", "a name");
        return None;
    }
    Some(text.to_owned())
}
