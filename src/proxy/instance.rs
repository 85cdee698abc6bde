//! Which of its upstream's instances a request is for: what stands before the profile's path, and whose key it shows.

use http::header::AUTHORIZATION;

use super::framing::{self, Kinds};
use super::gather::Gathered;
use super::names::Kind;
use crate::domain::Instance;
use crate::domain::http1::Head;
use crate::domain::refusal::{Code, Refusal};
use crate::upstream::Site;

/// Reads the instance off a request that is sent below this prefix.
pub(super) fn instance(
    site: &Site,
    prefix: &str,
    head: &Head,
    kinds: &Kinds,
    gathered: &Gathered<'_>,
) -> Result<Instance, Refusal> {
    let mut caller = None;
    // What a `Connection` line names does not go on.
    if site.instances.key_matters(prefix) && !gathered.nominated.contains(&AUTHORIZATION) {
        let mut lines = framing::of_kind(&head.lines, kinds, Kind::Authorization);
        let line = lines.next();
        if lines.next().is_some() {
            let sentence = "The request has two Authorization lines, and each could be of another instance";
            return Err(Refusal::new(Code::HeaderAmbiguous, sentence));
        }
        caller = line.and_then(|line| site.instances.fingerprint(line));
    }
    Ok(Instance { prefix: prefix.into(), caller })
}

/// Refuses what would be recorded for an instance that nobody can erase from.
pub(super) fn admit(site: &Site, instance: Instance) -> Result<Instance, Refusal> {
    if site.instances.admit(&instance) { Ok(instance) } else { Err(Code::InstanceUnknown.into()) }
}
