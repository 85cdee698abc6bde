//! Which upstream a request is for: by path prefix on whole segments, by host, or by both.

use std::sync::Arc;

use super::names::Governed;
use crate::domain::http1::Head;
use crate::domain::refusal::{Code, Refusal};
use crate::upstream::Site;

/// An upstream as the proxy sees it.
#[derive(Debug)]
pub struct Destination {
    /// The upstream.
    pub site: Arc<Site>,
    /// Its place in the configuration: names its counters and its connections.
    pub index: usize,
    pub(super) governed: Governed,
}

/// All routes, the most particular first.
#[derive(Debug)]
pub struct Routes {
    destinations: Vec<Arc<Destination>>,
    /// Does any route look at the host?
    by_host: bool,
}

/// A request's upstream, and what is left of the path behind the route's prefix.
#[derive(Debug)]
pub(super) struct Routed<'a> {
    pub(super) destination: &'a Arc<Destination>,
    /// Begins with a slash, or is empty.
    pub(super) prefix_len: usize,
}

impl Routes {
    /// Takes the upstreams in the order of the configuration. Retired ones get no traffic.
    #[must_use]
    pub fn new(sites: &[Arc<Site>]) -> Self {
        let destination = |(index, site): (usize, &Arc<Site>)| {
            let governed = Governed::of(&site.upstream.profile);
            Arc::new(Destination { site: Arc::clone(site), index, governed })
        };
        let mut destinations: Vec<_> =
            sites.iter().enumerate().filter(|(_, site)| !site.upstream.retired).map(destination).collect();
        // A longer prefix first; on a tie the one that also looks at the host. The sort is stable: then the file's order.
        destinations.sort_by_key(|each| {
            let route = &each.site.upstream.route;
            (std::cmp::Reverse(route.path.as_ref().map_or(0, String::len)), route.hosts.is_empty())
        });
        let by_host = destinations.iter().any(|each| !each.site.upstream.route.hosts.is_empty());
        Self { destinations, by_host }
    }

    /// `server_name` is what the caller asked for in the TLS handshake.
    pub(super) fn find(&self, head: &Head, server_name: Option<&str>) -> Result<Routed<'_>, Refusal> {
        let path = head.uri.path();
        let host = if self.by_host { host_of(head) } else { None };
        if let (Some(host), Some(asked_for)) = (host, server_name) {
            // A name may be written with the root's dot; in a handshake it is not (RFC 6066 §3).
            if !host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(asked_for) {
                let what = "The Host line and the TLS handshake name different hosts";
                return Err(Refusal::new(Code::HeaderAmbiguous, what));
            }
        }
        self.destinations
            .iter()
            .find_map(|destination| {
                let route = &destination.site.upstream.route;
                let on_host = route.hosts.is_empty() || host.is_some_and(|host| is_host(&route.hosts, host));
                let prefix = route.path.as_deref().unwrap_or("");
                (on_host && is_below(path, prefix)).then_some(Routed { destination, prefix_len: prefix.len() })
            })
            .ok_or_else(|| Code::UpstreamUnknown.into())
    }
}

fn host_of(head: &Head) -> Option<&str> {
    let authority = std::str::from_utf8(head.lines.first("host")?).ok()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

fn is_host(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|each| each.eq_ignore_ascii_case(host))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || (prefix.is_empty()))
}
