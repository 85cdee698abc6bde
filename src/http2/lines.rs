//! Header lines of HTTP/2 as lines of HTTP/1.1, and back (RFC 9113 §8.2).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http1::Lines;

/// Lines that are about one connection of HTTP/1.1, and that HTTP/2 does not have.
#[must_use]
pub fn is_for_one_hop(name: &[u8]) -> bool {
    let names: [&[u8]; 5] = [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];
    names.iter().any(|each| each.eq_ignore_ascii_case(name))
}

/// Whether the value begins or ends with a blank. HTTP/1.1 would take it away; a reader of HTTP/2 may not (§8.2.1).
#[must_use]
pub fn has_blank_ends(value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    let bytes = value.as_bytes();
    blank(bytes.first()) || blank(bytes.last())
}

/// Appends the lines, as they are.
pub fn write_lines<'a>(lines: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>, out: &mut Vec<u8>) {
    for (name, value) in lines {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// The lines for which `goes` holds, without those that HTTP/2 does not have. `None` if one cannot be said in HTTP/2.
#[must_use]
pub fn header_map(lines: &Lines, goes: impl Fn(&[u8]) -> bool) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(lines.len());
    for line in lines.iter().filter(|line| !is_for_one_hop(line.name) && goes(line.name)) {
        let name = HeaderName::from_bytes(line.name).ok()?;
        map.try_append(name, HeaderValue::from_bytes(line.value).ok()?).ok()?;
    }
    Some(map)
}
