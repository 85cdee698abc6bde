//! Who may call the admin API: whoever has the token, and no page of another origin in a browser.
//!
//! Without a token the listener is on loopback or a Unix socket. A page in a browser on the same machine could still
//! call it: by a name that points to 127.0.0.1 (DNS rebinding), or by a plain cross-site POST.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode};

use super::problem::Problem;
use super::refusals::Refused;
use crate::config::{Address, Admin};
use crate::erasure::{bearer, same};

/// Refuses what only a page in a browser would send.
pub(super) fn check_origin(admin: &Admin, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
    let refused = |code, detail| {
        let problem = Problem::new(StatusCode::FORBIDDEN, code, detail);
        Err(Refused { problem, reason: "origin or host".into() })
    };
    let exposed_to_names = admin.token.is_none() && matches!(admin.address, Address::Tcp(_));
    if exposed_to_names && !headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_plain_host)) {
        let detail = "without admin.token the API answers only to an IP address or localhost in the header Host";
        return refused("host_refused", detail);
    }
    if *method != Method::GET && *method != Method::HEAD && is_cross_origin(headers) {
        let detail = "pages of other origins may not change anything here";
        return refused("cross_origin", detail);
    }
    Ok(())
}

/// Refuses a call without the token, where there is one. A token that cannot be read lets nobody in.
pub(super) fn check_token(admin: &Admin, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(token) = &admin.token else { return Ok(()) };
    let wanted = token.read().map_err(|error| Refused {
        problem: Problem::unavailable("token_unreadable", "the gate cannot read its own admin.token"),
        reason: error.to_string().into(),
    })?;
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let token = shown.next().and_then(|value| bearer(value.as_bytes()));
    match (token, shown.next()) {
        (Some(token), None) if same(token, wanted.expose().as_bytes()) => Ok(()),
        _ => Err(Refused { problem: Problem::unauthorised(), reason: "token".into() }),
    }
}

/// An address literal or `localhost`, with or without a port: no name that a stranger's DNS could point here.
fn is_plain_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
        }
        None => host
            .split_once(':')
            .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Browsers say where a request comes from; programs say nothing.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    let site = headers.get_all("sec-fetch-site").iter();
    if !site.map(http::HeaderValue::as_bytes).all(|site| site == b"same-origin" || site == b"none") {
        return true;
    }
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok();
        let authority = origin.and_then(|text| text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")));
        authority.is_none() || authority != own
    })
}

#[cfg(test)]
mod tests {
    use super::{HOST, HeaderMap, ORIGIN, is_cross_origin, is_plain_host};

    #[test]
    fn only_addresses_and_localhost_are_hosts_that_no_dns_can_point_here() {
        for host in ["127.0.0.1", "127.0.0.1:8081", "[::1]:8081", "[::1]", "localhost", "LOCALHOST:80", "10.1.2.3:1"] {
            assert!(is_plain_host(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example",
            "[::1",
            "[evil]:1",
            "",
            "localhost:x",
            "::1",
        ] {
            assert_eq!(is_plain_host(host), host == "::1", "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_known_by_either_header_and_a_program_by_neither() {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8081".parse().unwrap());
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            headers
        };
        assert!(!is_cross_origin(&with(&[])));
        assert!(!is_cross_origin(&with(&[
            (ORIGIN.as_str(), "http://127.0.0.1:8081"),
            ("sec-fetch-site", "same-origin")
        ])));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9999"] {
            assert!(is_cross_origin(&with(&[(ORIGIN.as_str(), origin)])), "{origin}");
        }
        assert!(is_cross_origin(&with(&[("sec-fetch-site", "cross-site")])));
        assert!(is_cross_origin(&with(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")])));
    }
}
