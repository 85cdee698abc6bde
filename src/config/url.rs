//! The address of a service: `http://` or `https://`, a host, a port if it is not the scheme's own, a path prefix.
//!
//! Written by hand because less is allowed than a URL could be: what is not in [`BaseUrl`] has no meaning for a gate, and
//! is refused rather than dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Serialize, Serializer};

use super::BaseUrl;

/// Why a text is no [`BaseUrl`]. The texts never repeat the URL: it could hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Neither http nor https.
    #[error("it has to begin with http:// or https://")]
    Scheme,
    /// `user:password@`.
    #[error("it holds a user name or password; the gate's own go into `credentials`")]
    UserInfo,
    /// `?…`
    #[error("it holds a query; the gate's own `?version=` goes into `version`")]
    Query,
    /// `#…`
    #[error("it holds a fragment, which is never sent")]
    Fragment,
    /// No host, or none that can be looked up.
    #[error("its host is no name or address (names in ASCII, IPv6 in brackets)")]
    Host,
    /// No port number.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// A path that two readers could read in two ways.
    #[error("its path is not plain: whole segments, no `.`, `..`, `//`, `\\`, `;`, blanks or percent-encoding")]
    Path,
}

impl BaseUrl {
    /// Reads a URL such as `https://api.eu-gb.assistant.watson.cloud.ibm.com/instances/GUID`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let (tls, rest) = strip_scheme(text).ok_or(UrlFault::Scheme)?;
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match (place.contains('@'), query, fragment) {
            (true, _, _) => return Err(UrlFault::UserInfo),
            (_, Some(_), _) => return Err(UrlFault::Query),
            (_, _, Some(_)) => return Err(UrlFault::Fragment),
            (false, None, None) => {}
        }
        let (host, port) = split_port(place)?;
        let own_port = if tls { 443 } else { 80 };
        let written = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let port = port.unwrap_or(own_port);
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            authority: if port == own_port { written } else { format!("{written}:{port}") },
            path: plain_path(path).ok_or(UrlFault::Path)?,
        })
    }

    /// Whether it leads to this machine only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl std::fmt::Display for BaseUrl {
    /// The URL, normalised; nothing in it is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Schemes are compared without regard to case (RFC 3986, 3.1).
fn strip_scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some((false, rest)),
        "https" => Some((true, rest)),
        _ => None,
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), UrlFault> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlFault::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlFault::Host)?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if after.is_empty() => None,
            None => return Err(UrlFault::Port),
        };
        return Ok((host, port));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (place, None),
    };
    if is_host_name(host) { Ok((host, port)) } else { Err(UrlFault::Host) }
}

fn parse_port(text: &str) -> Result<u16, UrlFault> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(UrlFault::Port)
}

/// A host name or an IPv4 address: dots between labels of letters, digits, `-` and `_`. What ends in a number is an address
/// to every resolver (`0x7f000001`, `127.1`, `010.0.0.1`), and there is one way to write one.
pub(super) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let plain = host.len() <= 253 && name.split('.').all(label);
    plain && (!ends_in_a_number(name) || name.parse::<Ipv4Addr>().is_ok())
}

fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    hexadecimal.map_or_else(
        || last.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

/// A path prefix without the slash at its end; `""` for the root. `None` if it could be read in two ways.
pub(super) fn plain_path(path: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(String::new());
    }
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_graphic() && !b"%\\;?#\"<>^`{|}".contains(&b))
    };
    path.strip_prefix('/')?.split('/').all(plain).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, u16, &str, &str), UrlFault>) {
        let url = BaseUrl::parse(text);
        let seen = url.as_ref().map(|u| (u.host.as_str(), u.port, u.authority.as_str(), u.path.as_str()));
        assert_eq!(seen.map_err(|fault| *fault), expected, "{text}");
    }

    #[test]
    fn a_url_is_taken_apart_into_what_a_connection_needs() {
        check("https://a.example/instances/G", Ok(("a.example", 443, "a.example", "/instances/G")));
        check("HTTPS://a.example:443/", Ok(("a.example", 443, "a.example", "")));
        check("http://127.0.0.1:9101", Ok(("127.0.0.1", 9101, "127.0.0.1:9101", "")));
        check("http://[::1]:80/x/", Ok(("::1", 80, "[::1]", "/x")));
        check("https://[2001:db8::1]:8443", Ok(("2001:db8::1", 8443, "[2001:db8::1]:8443", "")));
    }

    #[test]
    fn what_has_no_meaning_for_a_gate_is_refused() {
        check("ftp://a.example", Err(UrlFault::Scheme));
        check("a.example/api", Err(UrlFault::Scheme));
        check("https://user:pass@a.example", Err(UrlFault::UserInfo));
        check("https://a.example/x?version=1", Err(UrlFault::Query));
        check("https://a.example?x", Err(UrlFault::Query));
        check("https://a.example/#top", Err(UrlFault::Fragment));
        check("https:///x", Err(UrlFault::Host));
        check("https://a..example", Err(UrlFault::Host));
        check("https://bücher.example", Err(UrlFault::Host));
        check("https://[::1", Err(UrlFault::Host));
        check("https://a.example:0", Err(UrlFault::Port));
        check("https://a.example:+1", Err(UrlFault::Port));
        check("https://a.example:99999", Err(UrlFault::Port));
        check("https://a.example//x", Err(UrlFault::Path));
        check("https://a.example/a/../b", Err(UrlFault::Path));
        check("https://a.example/%61", Err(UrlFault::Path));
        check("https://a.example/a b", Err(UrlFault::Path));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://LocalHost:1", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(BaseUrl::parse(text).map(|url| url.is_loopback()), Ok(loopback), "{text}");
        }
    }
}
