//! Which upstream a request is for: by path prefix on whole segments, by host, or by both.

use std::sync::Arc;

use super::effective_host::{self, Instance};
use super::names::Governed;
use super::webchat::Pins;
use crate::config::{ListenMode, canonical_host};
use crate::domain::refusal::{Code, Refusal};
use crate::http1::Head;
use crate::net::Peer;
use crate::upstream::{Hosts, Site};

/// An upstream as the proxy sees it.
#[derive(Debug)]
pub struct Destination {
    /// The upstream.
    pub site: Arc<Site>,
    /// Its slot in the registry: names its counters and its connections.
    pub slot: usize,
    pub(super) governed: Governed,
}

/// All routes, the most particular first.
#[derive(Debug)]
pub struct Routes {
    destinations: Vec<Arc<Destination>>,
    /// Whether any route looks at the host.
    by_host: bool,
    /// The hosts of all upstreams and where these are, retired ones included: what goes there is never passed on unseen.
    governed: Vec<Box<str>>,
    /// The same by what their names lead to.
    governed_hosts: Arc<Hosts>,
    instance: Instance,
    /// By which pages have asked for scripts since the start.
    pins: Arc<Pins>,
}

/// A request's upstream, and what is left of the path behind the route's prefix.
#[derive(Debug)]
pub(super) struct Routed<'a> {
    pub(super) destination: &'a Arc<Destination>,
    /// Begins with a slash, or is empty.
    pub(super) prefix_len: usize,
}

impl Routes {
    /// Takes the upstreams in the order of the configuration, and their slots. Retired ones get no traffic.
    #[must_use]
    pub fn new(sites: &[Arc<Site>], slots: &[usize]) -> Self {
        Self::of(sites, slots, Instance::new(), Arc::default())
    }

    /// The same gate's routes under another configuration: it still knows its own requests when they come in again.
    #[must_use]
    pub fn next(&self, sites: &[Arc<Site>], slots: &[usize]) -> Self {
        Self::of(sites, slots, self.instance.clone(), Arc::clone(&self.pins))
    }

    fn of(sites: &[Arc<Site>], slots: &[usize], instance: Instance, pins: Arc<Pins>) -> Self {
        let destination = |(site, slot): (&Arc<Site>, &usize)| {
            let governed = Governed::of(&site.upstream.profile);
            Arc::new(Destination { site: Arc::clone(site), slot: *slot, governed })
        };
        let in_use = sites.iter().zip(slots).filter(|(site, _)| !site.upstream.retired);
        let mut destinations: Vec<_> = in_use.map(destination).collect();
        // A longer prefix first; on a tie the one that also looks at the host. The sort is stable: then the file's order.
        destinations.sort_by_key(|each| {
            let route = &each.site.upstream.route;
            (std::cmp::Reverse(route.path.as_ref().map_or(0, String::len)), route.hosts.is_empty())
        });
        let by_host = destinations.iter().any(|each| !each.site.upstream.route.hosts.is_empty());
        let hosts_of = |site: &Arc<Site>| {
            let upstream = &site.upstream;
            let at = canonical_host(&upstream.url.host).map(|host| host.into_owned().into_boxed_str());
            upstream.route.hosts.iter().map(|host| host.as_str().into()).chain(at).collect::<Vec<_>>()
        };
        let governed: Vec<Box<str>> = sites.iter().flat_map(hosts_of).collect();
        let governed_hosts = Arc::new(Hosts::new(governed.iter().map(|host| &**host)));
        Self { destinations, by_host, governed, governed_hosts, instance, pins }
    }

    /// Whether there is an upstream for this host, in its one spelling.
    #[must_use]
    pub fn leads_to(&self, host: &str) -> bool {
        self.destinations.iter().any(|each| is_host(&each.site.upstream.route.hosts, host))
    }

    /// Whether what goes to this host may not be passed on unseen (P9). Also where the upstreams themselves are.
    #[must_use]
    pub fn governs(&self, host: &str) -> bool {
        self.governed.iter().any(|each| **each == *host)
    }

    /// Those hosts, to be known again under another name.
    #[must_use]
    pub fn governed_hosts(&self) -> &Arc<Hosts> {
        &self.governed_hosts
    }

    /// The hosts for which there is an upstream.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.destinations.iter().flat_map(|each| each.site.upstream.route.hosts.iter().map(String::as_str))
    }

    /// What `Via` says of the gate on a request of this caller's.
    pub(super) fn via_of(&self, peer: &Peer) -> Option<&str> {
        (peer.mode != ListenMode::Reverse).then(|| self.instance.comment())
    }

    pub(super) const fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    pub(super) fn find(&self, head: &Head, peer: &Peer) -> Result<Routed<'_>, Refusal> {
        let path = head.uri.path();
        let means_another = peer.mode != ListenMode::Reverse;
        let host = if self.by_host || means_another { effective_host::host(head, peer, &self.instance)? } else { None };
        self.destinations
            .iter()
            .find_map(|destination| {
                let route = &destination.site.upstream.route;
                // Who means another host than the gate never meant a path of the gate's.
                let on_host = (route.hosts.is_empty() && !means_another)
                    || host.as_deref().is_some_and(|host| is_host(&route.hosts, host));
                let prefix = route.path.as_deref().unwrap_or("");
                (on_host && is_below(path, prefix)).then_some(Routed { destination, prefix_len: prefix.len() })
            })
            .ok_or_else(|| Code::UpstreamUnknown.into())
    }
}

fn is_host(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|each| each == host)
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || (prefix.is_empty()))
}
