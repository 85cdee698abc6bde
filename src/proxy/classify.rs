//! Classifies a request: which call of the service it is, and its path there.

use std::borrow::Cow;

use http::Method;
use smallvec::SmallVec;

use super::governed_headers::Gathered;
use super::governed_query::QueryOrders;
use super::names::METHOD_OVERRIDES;
use crate::domain::decide::{Rules, names_one, text_of, todays_label};
use crate::domain::policy::{Mode, Policy};
use crate::domain::profile::{Ambiguous, Match, Profile, climbs_out};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::{CustomerId, NotAnId, log_filter, query};
use crate::http1::Head;
use crate::upstream::Site;

/// The query parameter that holds a log query's filter.
const FILTER: &str = "filter";

/// The target of `OPTIONS *`, which means the server as a whole (RFC 9112 §3.2.4).
const ASTERISK: &str = "*";

/// A classed request.
#[derive(Debug)]
pub(super) struct Target<'p> {
    pub(super) found: Match<'p>,
    /// What the index remembers of the path.
    pub(super) resource: String,
    /// Whether it is passed on as a WebSocket's handshake. A governed call that is none goes on without its upgrade: it
    /// would be another call than the one that was judged.
    pub(super) upgrades: bool,
    /// Whether the call reads label and opt-out in its query, as handshakes do.
    pub(super) says_in_query: bool,
    /// Whether it reads them in headers.
    pub(super) says_in_headers: bool,
    prefix_len: usize,
}

impl<'p> Target<'p> {
    /// Classes a request by its path below the route.
    pub(super) fn of(
        head: &Head,
        prefix_len: usize,
        profile: &'p Profile,
        gathered: &Gathered<'_>,
    ) -> Result<Self, Refusal> {
        let path = head.uri.path().get(prefix_len..).unwrap_or_default();
        if head.uri.path() == ASTERISK && head.method != Method::OPTIONS {
            return Err(Refusal::new(Code::PathAmbiguous, "Only OPTIONS may have * as its target"));
        }
        if climbs_out(path) {
            return Err(Refusal::new(
                Code::PathAmbiguous,
                "The path leads out of the service: send it without dot segments",
            ));
        }
        let classify =
            |method: &str| profile.classify(method, path, head.uri.query(), gathered.websocket).map_err(ambiguous);
        let found = classify(head.method.as_str())?;
        for other in other_methods(head, profile, gathered) {
            // What no profile's call has as its method is no other call, and the path need not be looked at for it.
            let meant = other.map_or(Ok(Match::UNKNOWN), classify)?;
            if !found.classes.with(meant.classes).governed().is_empty() {
                return Err(Refusal::new(
                    Code::HeaderAmbiguous,
                    "The request's method and its method override name different calls",
                ));
            }
        }
        let says_in_query = gathered.websocket && found.endpoint.is_some_and(|each| each.classes.websocket());
        let upgrades = gathered.websocket && (says_in_query || found.classes.governed().is_empty());
        // A service that does not take the upgrade answers the ordinary call of the same path.
        let ordinary = |found: Match<'_>| found.classes.labelled() || found.classes.opt_out();
        let says_in_headers = !says_in_query
            || profile.classify(head.method.as_str(), path, head.uri.query(), false).map_or(true, ordinary);
        let resource = if found.classes.labelled() { found.resource(path) } else { String::new() };
        Ok(Self { found, resource, upgrades, says_in_query, says_in_headers, prefix_len })
    }

    /// Writes where the request goes at the upstream: the caller's bytes behind the upstream's own path.
    pub(super) fn write(&self, head: &Head, site: &Site, policy: &Policy, orders: &QueryOrders, out: &mut Vec<u8>) {
        let (path, query) = (head.uri.path(), head.uri.query());
        if path == ASTERISK {
            out.extend_from_slice(ASTERISK.as_bytes());
            return;
        }
        let base = site.upstream.url.path.as_str();
        let rest = path.get(self.prefix_len..).unwrap_or_default();
        out.extend_from_slice(base.as_bytes());
        out.extend_from_slice(rest.as_bytes());
        if base.is_empty() && rest.is_empty() {
            out.push(b'/');
        }
        let rewritten = match query {
            Some(query) if self.found.classes.log_query() => rewrite_filter(query, site.rules_under(policy)),
            _ => None,
        };
        let query = rewritten.as_deref().or(query);
        let governed = orders.apply(query, &site.upstream.profile);
        if let Some(query) = governed.as_deref().or(query).filter(|text| !text.is_empty() || governed.is_none()) {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// What stands in that path before the profile's own: the instance, where paths name it.
    pub(super) fn prefix<'h>(&self, head: &'h Head) -> &'h str {
        self.found.prefix(head.uri.path().get(self.prefix_len..).unwrap_or_default())
    }

    /// The path below the route, as it was sent.
    pub(super) fn path(&self, head: &Head) -> String {
        head.uri.path().get(self.prefix_len..).unwrap_or_default().to_owned()
    }
}

/// The methods other than its own that a request could be taken for, each once; `None` stands for those that the profile
/// has no call of. However many are named, there are no more than methods in the profile (P12).
fn other_methods<'p>(head: &Head, profile: &'p Profile, gathered: &Gathered<'_>) -> SmallVec<[Option<&'p str>; 8]> {
    let mut others = SmallVec::new();
    let in_query = head.uri.query().map_or_else(Vec::new, overrides_in_query);
    let in_headers = gathered.method_overrides.iter().map(|line| Cow::Borrowed(*line));
    for line in in_headers.chain(in_query) {
        for named in std::str::from_utf8(&line).unwrap_or_default().split(',').map(str::trim) {
            let other = profile.method_like(named);
            if !named.eq_ignore_ascii_case(head.method.as_str()) && !others.contains(&other) {
                others.push(other);
            }
        }
    }
    others
}

/// The values of the parameters by which frameworks let a `POST` mean another method.
fn overrides_in_query(raw: &str) -> Vec<Cow<'_, [u8]>> {
    if !may_name_a_method(raw.as_bytes()) {
        return Vec::new();
    }
    // What stands behind a semicolon is a parameter of its own with some readers.
    let overrides = raw.split(';').flat_map(query::pairs).filter(|pair| {
        // `method` alone is a word that a service may use for something of its own.
        (pair.name.contains(['_', '%'])
            && query::may_spell(pair.name, "_method")
            && query::decoded(pair.name).contains(&b'_'))
            || METHOD_OVERRIDES.iter().any(|name| query::may_spell(pair.name, name))
    });
    overrides.map(|pair| query::decoded(pair.value)).collect()
}

/// Every one of those names has this word in it, however it is joined to the rest; and escapes hide what they like.
fn may_name_a_method(raw: &[u8]) -> bool {
    let word = |at: usize| raw.get(at..at + 6).is_some_and(|word| word.eq_ignore_ascii_case(b"method"));
    memchr::memchr(b'%', raw).is_some() || memchr::memchr2_iter(b'm', b'M', raw).any(word)
}

fn ambiguous(which: Ambiguous) -> Refusal {
    match which {
        Ambiguous::Path => Code::PathAmbiguous.into(),
        Ambiguous::Method => Refusal::new(Code::PathAmbiguous, "The method is not written in upper case"),
    }
}

/// Refuses a filter that asks for what is no customer's ID: it would not be found under its label, and where IDs are
/// replaced it would leave as it is.
pub(super) fn check_filter(head: &Head, rules: Rules<'_>) -> Result<(), Refusal> {
    if rules.policy.mode == Mode::Observe {
        return Ok(());
    }
    for filter in query::pairs(head.uri.query().unwrap_or_default()).filter(is_filter) {
        let filter = query::decoded(filter.value);
        let filter = match std::str::from_utf8(&filter) {
            Ok(filter) => filter,
            // What names no customer is the service's to judge.
            Err(_) if memchr::memmem::find(&filter, rules.label.field.as_bytes()).is_none() => continue,
            Err(_) => return Err(NotAnId::NotText.into()),
        };
        for text in log_filter::values(filter, &rules.label.field) {
            names_one(rules, &CustomerId::read(&text)?)?;
        }
    }
    Ok(())
}

fn is_filter(pair: &query::Pair<'_>) -> bool {
    query::decoded(pair.name).eq_ignore_ascii_case(FILTER.as_bytes())
}

/// The query with the customer IDs of its filter written as the labels were. `None` when nothing changes.
fn rewrite_filter(raw: &str, rules: Rules<'_>) -> Option<String> {
    let substitute = |text: &str| {
        let id = CustomerId::new(text)?;
        let label = todays_label(rules, &id).ok()?;
        (label.form.is_alias() || id.expose() != text).then(|| text_of(rules.aliases, &id, label.form))
    };
    let rewritten = query::rewritten(raw, |pair| {
        if !is_filter(&pair) {
            return None;
        }
        let filter = query::decoded(pair.value);
        let filter = log_filter::rewritten(std::str::from_utf8(&filter).ok()?, &rules.label.field, substitute)?;
        Some(format!("{}={}", pair.name, query::encoded(&filter)))
    });
    (rewritten != raw).then_some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::{Gathered, Head, other_methods};
    use crate::domain::profile::built_in;

    /// Each of them costs a look at the whole path.
    #[test]
    fn p12_however_many_methods_a_request_names_each_is_judged_once() {
        let profile = built_in("watson-assistant").unwrap();
        let mut head = Head::default();
        let query = "&_method=PUT,DELETE,x".repeat(2_000);
        let text = format!("POST /v1/%2f?a{query} HTTP/1.1\r\n\r\n");
        assert_eq!(head.read(text.as_bytes()), Ok(true));
        let line = "put, DELETE,delete,OTHER,GET,".repeat(2_000);
        let gathered = Gathered { method_overrides: vec![line.as_bytes()], ..Gathered::default() };
        let mut others = other_methods(&head, &profile, &gathered);
        others.sort_unstable();
        let methods = [None, Some("DELETE"), Some("GET"), Some("PUT")];
        assert!(others.iter().all(|other| methods.contains(other)), "{others:?}");
        others.dedup();
        assert!((3..=4).contains(&others.len()), "{others:?}");
    }
}
