//! The HTTP proxy through which an upstream is reached, and what the usual variables say of it.

use serde::Serialize;

use super::{BaseUrl, IpRange, Secret, UrlFault, canonical_host};

/// `proxy` of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpProxy {
    /// As the environment says: `HTTPS_PROXY`, `http_proxy`, `ALL_PROXY`, and `NO_PROXY`, in either case.
    #[default]
    Env,
    /// None, whatever the environment says.
    None,
    /// This one.
    #[serde(untagged)]
    At {
        /// Where it is; plain http, without a path.
        url: BaseUrl,
        /// As whom the gate goes there.
        #[serde(flatten)]
        login: Option<ProxyLogin>,
    },
}

/// As whom the gate goes to a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProxyLogin {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// A proxy that the environment names. Its password is in it: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct NamedProxy {
    /// Where it is.
    pub url: BaseUrl,
    /// `user:password`, decoded.
    pub login: Option<String>,
}

impl std::fmt::Debug for NamedProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedProxy").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A variable names a proxy that cannot be used. Its value may hold a password, and is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the variable {variable} names a proxy that cannot be used ({fault}); expected http://HOST:PORT, or proxy = \"none\" at \
     the upstream"
)]
pub struct BadProxy {
    variable: &'static str,
    fault: UrlFault,
}

/// The proxy that the environment names for a service. `variable` looks one up. A service on this machine has none.
///
/// # Errors
/// [`BadProxy`] where it names one that is no plain HTTP proxy.
pub fn from_environment(
    service: &BaseUrl,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<NamedProxy>, BadProxy> {
    // `HTTP_PROXY` in capitals is a caller's header `Proxy` to a CGI program; no other tool reads it.
    let names: &[&'static str] = if service.tls {
        &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        &["http_proxy", "ALL_PROXY", "all_proxy"]
    };
    let said = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let Some((name, text)) = names.iter().find_map(|name| Some((*name, said(name)?))) else { return Ok(None) };
    let except = said("NO_PROXY").or_else(|| said("no_proxy")).unwrap_or_default();
    if service.is_loopback() || except.split(',').any(|entry| means(entry.trim(), service)) {
        return Ok(None);
    }
    named(&text).map(Some).map_err(|fault| BadProxy { variable: name, fault })
}

fn named(text: &str) -> Result<NamedProxy, UrlFault> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let url = BaseUrl::parse(&format!("{scheme}://{place}"))?;
    if url.tls {
        return Err(UrlFault::Scheme);
    }
    if !url.path.is_empty() {
        return Err(UrlFault::Path);
    }
    let decoded = |login: &str| percent_encoding::percent_decode_str(login).decode_utf8_lossy().into_owned();
    Ok(NamedProxy { url, login: login.map(decoded) })
}

/// Whether an entry of `NO_PROXY` means the service: `*`, a name and all below it, an address, a range, each perhaps
/// with a port.
fn means(entry: &str, service: &BaseUrl) -> bool {
    let host = canonical_host(&service.host).map_or_else(|| service.host.clone(), std::borrow::Cow::into_owned);
    if let (Ok(range), Ok(ip)) = (entry.trim_matches(['[', ']']).parse::<IpRange>(), service.host.parse()) {
        return range.has(ip);
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse::<u16>().ok()),
        _ => (entry, None),
    };
    let name = name.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']).to_ascii_lowercase();
    let below = || host.strip_suffix(name.as_str()).is_some_and(|before| before.ends_with('.'));
    let is_host = name == "*" || (!name.is_empty() && (name == host || below()));
    is_host && port.is_none_or(|port| port == service.port)
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, NamedProxy, from_environment};

    fn asked(service: &str, variables: &[(&str, &str)]) -> Result<Option<NamedProxy>, super::BadProxy> {
        let service = BaseUrl::parse(service).unwrap();
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        from_environment(&service, of)
    }

    #[test]
    fn the_usual_variables_name_the_proxy() {
        let corp = ("HTTPS_PROXY", "http://bob:p%40ss@proxy.corp:3128/");
        let found = asked("https://api.example", &[corp]).unwrap().unwrap();
        assert_eq!((found.url.host.as_str(), found.url.port), ("proxy.corp", 3128));
        assert_eq!(found.login.as_deref(), Some("bob:p@ss"));
        assert!(!format!("{found:?}").contains("ss"), "{found:?}");
        assert_eq!(asked("http://api.example", &[corp]), Ok(None), "it is for https");
        for (name, service) in
            [("https_proxy", "https://a.b"), ("http_proxy", "http://a.b"), ("ALL_PROXY", "http://a.b")]
        {
            let found = asked(service, &[(name, "proxy.corp:8080")]).unwrap().unwrap();
            assert_eq!((found.url.port, found.login), (8080, None), "{name}");
        }
        for local in ["https://127.0.0.1", "https://localhost:9", "https://[::1]"] {
            assert_eq!(asked(local, &[corp]), Ok(None), "{local}");
        }
        assert_eq!(asked("https://api.example", &[("HTTPS_PROXY", " ")]), Ok(None));
    }

    #[test]
    fn no_proxy_means_names_and_all_below_them_addresses_ranges_and_ports() {
        let is_direct = |except: &str, service: &str| {
            asked(service, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", except)]).unwrap().is_none()
        };
        for (except, service) in [
            ("*", "https://a.b"),
            ("x.y, api.corp", "https://api.corp"),
            ("corp", "https://api.corp"),
            (".corp", "https://api.corp"),
            ("*.CORP", "https://api.corp"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3", "https://10.1.2.3"),
            ("api.corp:8443", "https://api.corp:8443"),
            ("[fd00::1]", "https://[fd00::1]"),
        ] {
            assert!(is_direct(except, service), "{except} {service}");
        }
        for (except, service) in [
            ("", "https://a.b"),
            ("pi.corp", "https://api.corp"),
            ("api.corp:8443", "https://api.corp"),
            ("10.0.0.0/8", "https://11.1.2.3"),
            ("corp", "https://api.corp.example"),
        ] {
            assert!(!is_direct(except, service), "{except} {service}");
        }
    }

    #[test]
    fn p11_a_proxy_that_cannot_be_used_is_said_and_its_password_is_not() {
        for value in ["socks5://u:secret@p:1", "https://u:secret@p:1", "http://u:secret@p:0", "http://u:secret@p/path"]
        {
            let error = asked("https://a.b", &[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
