//! Paths: no spelling of a governed call that a common server would read as that call passes as an ungoverned one (P9).
//!
//! The readers here are written on their own: what several servers and frameworks do to a path before they look at it.

#![no_main]

use std::sync::{Arc, LazyLock};

use forgetgate::domain::profile::{Profile, Segment, built_in, built_in_names, climbs_out};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

static PROFILES: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| built_in_names().filter_map(built_in).collect());

fuzz_target!(|data: &[u8]| {
    let Some(([profile, endpoint, mode], rest)) = data.split_first_chunk::<3>().map(|(first, rest)| (*first, rest))
    else {
        return;
    };
    let profile = &PROFILES[usize::from(profile) % PROFILES.len()];
    let endpoints = profile.endpoints();
    let endpoint = &endpoints[usize::from(endpoint) % endpoints.len()];
    let path = if mode & 1 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else { return };
        text.to_owned()
    } else {
        let plain: String = endpoint
            .template
            .segments()
            .iter()
            .map(|segment| match segment {
                Segment::Fixed(text) => format!("/{text}"),
                Segment::Variable(_) => "/x1".to_owned(),
            })
            .collect();
        disguised(&plain, rest)
    };
    // Only what can be a target of a request: the head's reader has taken everything else away.
    if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() || path.contains(['?', '#']) {
        return;
    }
    check(profile, &endpoint.method, &path, mode & 2 != 0);
});

/// Puts what some reader leaves out, decodes or folds into a path.
fn disguised(plain: &str, orders: &[u8]) -> String {
    let mut orders = orders.iter().copied();
    let mut out = String::new();
    for c in plain.chars() {
        match (c, orders.next().unwrap_or(0) % 16) {
            ('/', 1) => out.push_str("//"),
            ('/', 2) => out.push_str("/./"),
            ('/', 3) => out.push_str("/y/../"),
            ('/', 4) => out.push_str("%2F"),
            ('/', 5) => out.push('\\'),
            ('/', 6) => out.push_str("%5c"),
            ('/', 7) => out.push_str("/%2e/"),
            ('/', 8) => out.push_str(";a=b/"),
            ('/', 9) => out.push_str("/y/%2e%2E/"),
            ('/', 10) => out.push_str("/y;p/.;q/../"),
            (c, 11) => out.push_str(&format!("%{:02x}", u32::from(c))),
            (c, 12) => out.push_str(&format!("%25{:02X}", u32::from(c))),
            (c, 13) => out.push(c.to_ascii_uppercase()),
            (c, 14) => out.push_str(&format!("{c}%00")),
            (c, _) => out.push(c),
        }
    }
    out
}

/// What readers do to a path, one of each pair or not: decode (once, twice), fold, divide, resolve.
fn readings(path: &str) -> impl Iterator<Item = String> {
    (0_u8..64).map(move |does| {
        let mut text = path.to_owned();
        if does & 1 != 0 {
            text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        }
        if does & 2 != 0 {
            text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        }
        if does & 4 != 0 {
            text = text.replace('\\', "/");
        }
        if does & 8 != 0 {
            text.make_ascii_lowercase();
        }
        if does & 16 != 0 {
            let cut: Vec<&str> = text.split('/').map(|part| part.split(';').next().unwrap_or_default()).collect();
            text = cut.join("/");
        }
        if does & 32 != 0 {
            text = text.replace('\0', "");
        }
        resolved(&text)
    })
}

fn resolved(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn check(profile: &Profile, method: &str, path: &str, websocket: bool) {
    // Such a path is refused whatever it names.
    let (Ok(found), false) = (profile.classify(method, path, None, websocket), climbs_out(path)) else { return };
    drop(found.resource(path));
    for reading in readings(path) {
        let Ok(read) = profile.classify(method, &reading, None, websocket) else { continue };
        let missed = read.classes.governed().without(found.classes);
        assert!(missed.is_empty(), "{method} {path:?} passes as {found:?}, and can be read as {reading:?}, {read:?}");
    }
}
