//! An upstream that leads to several instances of its service.

use std::sync::Arc;

use serde::Serialize;

use super::{Credentials, Upstream};
use crate::domain::instance::InstanceRule;
use crate::domain::policy::DeriveFrom;

/// `instances` and `[[upstream.instance]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Instances {
    /// What holds for keys that have no name.
    #[serde(rename = "instances")]
    pub rule: InstanceRule,
    /// Those with a name.
    #[serde(rename = "instance")]
    pub named: Vec<InstanceEntry>,
}

/// One `[[upstream.instance]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceEntry {
    /// Its name: in answers, logs and receipts.
    pub name: Arc<str>,
    /// Stands before the profile's own path, where the instance is told by that.
    pub path: Option<String>,
    /// Opens it, for the gate's own calls; and callers who use the same are callers of this instance.
    pub credentials: Option<Credentials>,
    /// Older credentials of the same instance, which callers may still use or have used.
    pub also: Vec<Credentials>,
}

impl InstanceEntry {
    /// Everything by which its callers are known.
    pub fn keys(&self) -> impl Iterator<Item = &Credentials> {
        self.credentials.iter().chain(&self.also)
    }
}

impl Upstream {
    /// Whether callers' user names are customers somewhere in its policy: then they say nothing of an instance.
    #[must_use]
    pub fn has_customers_as_users(&self) -> bool {
        let policies = self.rules.iter().map(|rule| &rule.policy).chain([&self.policy]);
        policies.into_iter().any(|policy| policy.derive.contains(&DeriveFrom::BasicUsername))
    }

    /// What holds for keys that have no name.
    #[must_use]
    pub fn instance_rule(&self) -> InstanceRule {
        let said = self.instances != Instances::default();
        if !said && self.has_customers_as_users() { InstanceRule::One } else { self.instances.rule }
    }
}
