//! A host as it stands in a `Host` line, a request target, a CONNECT, a certificate or the file: one spelling for each.
//!
//! Who decides by a host's name decides by this spelling: a final dot, capitals, brackets or an IPv4 address in the dress
//! of an IPv6 one must not make another host of it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use super::url::is_host_name;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// In its one spelling: see [`canonical_host`].
    pub host: Cow<'a, str>,
    /// As it was written; 0 is a number, too.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`. A user's name is none of these.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = if text.starts_with('[') {
            let end = text.find(']')? + 1;
            let (host, port) = text.split_at_checked(end)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        } else {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        Some(Self { host: canonical_host(host)?, port })
    }
}

/// A host's one spelling: a name in lower case without the dot at its end, or an address as Rust writes it, IPv6 without
/// brackets. `None` if it is neither. Names are in ASCII.
#[must_use]
pub fn canonical_host(text: &str) -> Option<Cow<'_, str>> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(Cow::Owned(IpAddr::V6(address).to_canonical().to_string()));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Cow::Owned(IpAddr::V6(address).to_canonical().to_string()));
    }
    if !is_host_name(text) {
        return None;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::{Authority, canonical_host};

    #[test]
    fn p9_a_host_has_one_spelling() {
        for (text, expected) in [
            ("a.example", Some("a.example")),
            ("A.Example.", Some("a.example")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[FD00:0::1]", Some("fd00::1")),
            ("fd00::1", Some("fd00::1")),
            ("10.0.0.1.", Some("10.0.0.1")),
            ("0x0a000001", None),
            ("10.0.0.0X1", None),
            ("167772161", None),
            ("10.1", None),
            ("010.0.0.1", None),
            ("10.0.0.1.0x", None),
            ("1.a.example", Some("1.a.example")),
            ("0xa.example", Some("0xa.example")),
            ("[::ffff:10.0.0.1]", Some("10.0.0.1")),
            ("a..example", None),
            ("a.example..", None),
            ("", None),
            (".", None),
            ("[fe80::1%eth0]", None),
            ("user@a.example", None),
            ("b\u{fc}cher.example", None),
        ] {
            assert_eq!(canonical_host(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn p9_an_authority_is_a_host_and_perhaps_a_port_and_nothing_else() {
        for (text, expected) in [
            ("a.example", Some(("a.example", None))),
            ("A.example:443", Some(("a.example", Some(443)))),
            ("[::1]:443", Some(("::1", Some(443)))),
            ("[::1]", Some(("::1", None))),
            ("a.example:0", Some(("a.example", Some(0)))),
            ("a.example:", None),
            ("a.example:+1", None),
            ("a.example:65536", None),
            ("a.example:4:4", None),
            ("user@a.example:443", None),
            ("user:password@a.example:443", None),
            ("[::1]x", None),
            ("[::1", None),
            ("::1:443", None),
            ("", None),
        ] {
            let read = Authority::parse(text);
            assert_eq!(read.as_ref().map(|read| (&*read.host, read.port)), expected, "{text}");
        }
    }
}
