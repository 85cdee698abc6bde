//! Which of its upstream's instances a request is for: what stands before the profile's path, and whose key it shows.

use std::borrow::Cow;

use http::header::AUTHORIZATION;

use super::Gate;
use super::framing::{self, Kinds};
use super::governed_headers::Gathered;
use super::names::Kind;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::{Instance, query};
use crate::http1::Head;
use crate::upstream::Site;

/// Reads the instance off a request that is sent below this prefix.
pub(super) fn instance(
    gate: &Gate,
    site: &Site,
    prefix: &str,
    head: &Head,
    (kinds, gathered): (&Kinds, &Gathered<'_>),
) -> Result<Instance, Refusal> {
    let mut caller = None;
    // What a `Connection` line names does not go on.
    if site.instances.key_matters(prefix) && !gathered.nominated.contains(&AUTHORIZATION) {
        let mut lines = framing::of_kind(&head.lines, kinds, Kind::Authorization);
        let mut in_query = keys_in_query(head.uri.query().unwrap_or_default());
        let (line, key) = (lines.next(), in_query.next());
        let shown = line.map(|line| gate.keys_shown().fingerprint(line, |line| site.instances.fingerprint(line)));
        let named = key.map(|key| site.instances.fingerprint_of_key(&String::from_utf8_lossy(&key)));
        let differ = shown.zip(named).is_some_and(|(shown, named)| shown != Some(named));
        if lines.next().is_some() || in_query.next().is_some() || differ {
            let sentence = "The request shows two keys, and each could be of another instance";
            return Err(Refusal::new(Code::HeaderAmbiguous, sentence));
        }
        caller = shown.unwrap_or(named);
    }
    Ok(Instance { prefix: prefix.into(), caller })
}

/// Visual Recognition's first clients send their key in the query of every call, AlchemyAPI's under the other name.
fn keys_in_query(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    // Both names have a `k` in them, which most queries have not, unless an escape hides it.
    let query = if memchr::memchr3(b'k', b'K', b'%', query.as_bytes()).is_some() { query } else { "" };
    let names_one = |pair: &query::Pair<'_>| {
        let name = query::decoded(pair.name);
        name.eq_ignore_ascii_case(b"api_key") || name.eq_ignore_ascii_case(b"apikey")
    };
    query::pairs(query).filter(names_one).map(|pair| query::decoded(pair.value))
}

/// Refuses what would be recorded for an instance that nobody can erase from.
pub(super) fn admit(site: &Site, instance: Instance) -> Result<Instance, Refusal> {
    if site.instances.admit(&instance) { Ok(instance) } else { Err(Code::InstanceUnknown.into()) }
}
