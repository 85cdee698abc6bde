//! An upstream that leads to several instances of its service.

use std::sync::Arc;

use super::Credentials;
use crate::domain::instance::InstanceRule;

/// `instances` and `[[upstream.instance]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// What holds for keys that have no name.
    pub rule: InstanceRule,
    /// Those with a name.
    pub named: Vec<InstanceEntry>,
}

/// One `[[upstream.instance]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Credentials {
    /// Can a caller be known by them? A bearer's token is another every hour.
    #[must_use]
    pub const fn are_a_key(&self) -> bool {
        !matches!(self, Self::Bearer(_))
    }
}
