//! How each stand-in reads a label, an opt-out and a path.
//!
//! Lenient on purpose: header names that differ only in `_` and `-` are the same name, a path is decoded and resolved.
//! What slips past a gate must have an effect here, or no test would notice.

use percent_encoding::percent_decode_str;

use crate::Kind;

/// The customer IDs that count for this service, in order; none if the data is unlabelled.
pub(crate) fn customers(
    kind: Kind,
    lines: &[(String, String)],
    query: &[(String, String)],
    body: &[u8],
) -> Vec<String> {
    let header = lines.iter().filter(|(name, _)| is_named(name, "x-watson-metadata"));
    let parameter = query.iter().filter(|(name, _)| is_named(name, "x-watson-metadata"));
    let mut found: Vec<String> = header.chain(parameter).flat_map(|(_, value)| listed(kind, value)).collect();
    if found.is_empty() && kind == Kind::Discovery {
        found.extend(metadata_part(body));
    }
    if kind == Kind::Assistant {
        // Since 2021-11-10 its documentation says that only the first ID counts.
        found.truncate(1);
    }
    found
}

/// The IDs of one `field=value;field=value` list.
fn listed(kind: Kind, value: &str) -> Vec<String> {
    value
        .split(';')
        .filter_map(|field| field.trim().split_once('='))
        .filter(|(field, _)| *field == "customer_id")
        .map(|(_, id)| match kind {
            // Visual Recognition alone documents that the value is percent-encoded.
            Kind::VisualRecognition => percent_decode_str(id.trim()).decode_utf8_lossy().into_owned(),
            _ => id.trim().to_owned(),
        })
        .filter(|id| !id.trim().is_empty())
        .collect()
}

/// Discovery's other way: the field `customer_id` of the multipart part `metadata`.
fn metadata_part(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, part) = text.split_once("name=\"metadata\"")?;
    let (_, content) = part.split_once("\r\n\r\n")?;
    let (json, _) = content.split_once("\r\n--")?;
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let id = value.get("customer_id")?.as_str()?.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// Whether the request opts out of learning. Only `true` counts; on a WebSocket's query also `1`.
pub(crate) fn opted_out(lines: &[(String, String)], query: &[(String, String)]) -> bool {
    let header = lines.iter().find(|(name, _)| is_named(name, "x-watson-learning-opt-out"));
    let parameter = query.iter().find(|(name, _)| is_named(name, "x-watson-learning-opt-out"));
    header.is_some_and(|(_, value)| value.trim() == "true")
        || parameter.is_some_and(|(_, value)| value == "true" || value == "1")
}

/// Compares a header's name as a server behind CGI would: without case, `_` like `-`.
pub(crate) fn is_named(name: &str, wanted: &str) -> bool {
    name.len() == wanted.len()
        && name.bytes().zip(wanted.bytes()).all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
}

/// The segments of a path: decoded, dot segments resolved, empty ones and parameters after `;` dropped.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy().replace('\\', "/");
    let mut kept: Vec<String> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name.to_owned()),
        }
    }
    kept
}

/// The pairs of a query, form-decoded.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
