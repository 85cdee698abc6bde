//! One upstream at run time: what its configuration says, its number in the store, and what is needed to reach it.

use std::sync::Arc;

use super::{Authenticator, Connector, Instances, KeySources, WriteGate};
use crate::config::Upstream;
use crate::domain::UpstreamNumber;
use crate::domain::alias::AliasKey;
use crate::domain::decide::Rules;
use crate::domain::policy::Policy;

/// One upstream at run time. Made once by the application, shared by proxy and erasure.
#[derive(Debug)]
pub struct Site {
    /// Its number in the store.
    pub number: UpstreamNumber,
    /// Its configuration.
    pub upstream: Arc<Upstream>,
    /// The key of its aliases.
    pub aliases: AliasKey,
    /// Makes connections to it.
    pub connector: Connector,
    /// Authenticates the gate's own calls.
    pub authenticator: Authenticator,
    /// The instances that it leads to.
    pub instances: Arc<Instances>,
    /// What tokens are verified with.
    pub keys: KeySources,
    /// Facts that are being recorded about it where it is.
    pub recordings: Arc<WriteGate>,
}

impl Site {
    /// What its requests are judged by where no rule says otherwise.
    #[must_use]
    pub fn rules(&self) -> Rules<'_> {
        self.rules_under(&self.upstream.policy)
    }

    /// The same under the policy of some of its calls.
    #[must_use]
    pub fn rules_under<'a>(&'a self, policy: &'a Policy) -> Rules<'a> {
        Rules { policy, label: &self.upstream.profile.label, aliases: &self.aliases }
    }
}
