//! IDs that no upstream takes as a label: a delete of one would be called done, and the customer who was meant would stay.

use super::Eraser;
use crate::domain::CustomerId;
use crate::domain::decide::names_one;
use crate::domain::refusal::Refusal;
use crate::upstream::Site;

impl Eraser {
    /// Whether this ID names one customer at any upstream. What no upstream takes as a label is refused here, too.
    ///
    /// # Errors
    /// The first upstream's refusal if it names nobody anywhere.
    pub fn names_one(&self, id: &CustomerId) -> Result<(), Refusal> {
        let settings = self.settings();
        first_unless_any(settings.sites().iter().map(|site| names_one_at(site, id)))
    }
}

/// Whether it names one customer here, under the policy or a rule for some calls. Whatever can be labelled can be
/// erased.
pub(super) fn names_one_at(site: &Site, id: &CustomerId) -> Result<(), Refusal> {
    let rules = site.upstream.rules.iter().map(|rule| &rule.policy);
    let policies = std::iter::once(&site.upstream.policy).chain(rules);
    first_unless_any(policies.map(|policy| names_one(site.rules_under(policy), id)))
}

/// The first refusal, if all refuse.
fn first_unless_any(mut judged: impl Iterator<Item = Result<(), Refusal>>) -> Result<(), Refusal> {
    let Some(first) = judged.next() else { return Ok(()) };
    if first.is_ok() || judged.any(|other| other.is_ok()) { Ok(()) } else { first }
}
