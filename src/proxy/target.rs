//! Which call of the service a request is, and where it goes there.

use http::Method;
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};

use super::gather::Gathered;
use crate::domain::CustomerId;
use crate::domain::decide::{Rules, text_of, todays_label};
use crate::domain::profile::{Ambiguous, Match, Profile, climbs_out};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::{log_filter, query};
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
    prefix_len: usize,
}

impl<'p> Target<'p> {
    /// Classes a request by its path below the route.
    pub(super) fn of(
        parts: &Parts,
        prefix_len: usize,
        profile: &'p Profile,
        gathered: &Gathered,
    ) -> Result<Self, Refusal> {
        let path = parts.uri.path().get(prefix_len..).unwrap_or_default();
        if parts.uri.path() == ASTERISK && parts.method != Method::OPTIONS {
            return Err(Refusal::new(Code::PathAmbiguous, "Only OPTIONS may have * as its target"));
        }
        if climbs_out(path) {
            return Err(Refusal::new(
                Code::PathAmbiguous,
                "The path leads out of the service: send it without dot segments",
            ));
        }
        let classify =
            |method: &str| profile.classify(method, path, parts.uri.query(), gathered.websocket).map_err(ambiguous);
        let found = classify(parts.method.as_str())?;
        for line in &gathered.method_overrides {
            for other in line.to_str().unwrap_or_default().split(',') {
                let other = other.trim().to_ascii_uppercase();
                let governed = found.classes.with(classify(&other)?.classes).governed();
                if other != parts.method.as_str() && !governed.is_empty() {
                    return Err(Refusal::new(
                        Code::HeaderAmbiguous,
                        "The request's method and its method override name different calls",
                    ));
                }
            }
        }
        let resource = if found.classes.labelled() { found.resource(path) } else { String::new() };
        Ok(Self { found, resource, prefix_len })
    }

    /// Where the request goes at the upstream: the caller's bytes behind the upstream's own path.
    pub(super) fn uri(&self, parts: &Parts, site: &Site) -> Result<Uri, Refusal> {
        let (path, query) = (parts.uri.path(), parts.uri.query());
        if path == ASTERISK {
            return Ok(Uri::from_static(ASTERISK));
        }
        let base = site.upstream.url.path.as_str();
        let rewritten = if self.found.classes.log_query() {
            query.and_then(|query| rewrite_filter(query, site.rules()))
        } else {
            None
        };
        let same_prefix = path.get(..self.prefix_len) == Some(base);
        if let (true, None, Some(whole)) = (same_prefix, &rewritten, parts.uri.path_and_query()) {
            return Ok(Uri::from(whole.clone()));
        }
        let rest = path.get(self.prefix_len..).unwrap_or_default();
        join(base, rest, rewritten.as_deref().or(query))
    }

    /// The path below the route, as it was sent.
    pub(super) fn path(&self, parts: &Parts) -> String {
        parts.uri.path().get(self.prefix_len..).unwrap_or_default().to_owned()
    }
}

fn join(base: &str, rest: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let mut text = String::with_capacity(base.len() + rest.len() + query.map_or(0, str::len) + 2);
    text.push_str(base);
    text.push_str(rest);
    if text.is_empty() {
        text.push('/');
    }
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    let whole =
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(text)).map_err(|_| Refusal::from(Code::PathAmbiguous))?;
    Ok(Uri::from(whole))
}

fn ambiguous(which: Ambiguous) -> Refusal {
    match which {
        Ambiguous::Path => Code::PathAmbiguous.into(),
        Ambiguous::Method => Refusal::new(Code::PathAmbiguous, "The method is not written in upper case"),
    }
}

/// The query with the customer IDs of its filter written as the labels were. `None` when nothing changes.
fn rewrite_filter(raw: &str, rules: Rules<'_>) -> Option<String> {
    let substitute = |text: &str| {
        let id = CustomerId::new(text)?;
        let label = todays_label(rules, &id).ok()?;
        label.form.is_alias().then(|| text_of(rules.aliases, &id, label.form))
    };
    let rewritten = query::rewritten(raw, |pair| {
        if !query::decoded(pair.name).eq_ignore_ascii_case(FILTER.as_bytes()) {
            return None;
        }
        let filter = query::decoded(pair.value);
        let filter = log_filter::rewritten(std::str::from_utf8(&filter).ok()?, &rules.label.field, substitute)?;
        Some(format!("{}={}", pair.name, query::encoded(&filter)))
    });
    (rewritten != raw).then_some(rewritten)
}
