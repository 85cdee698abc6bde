//! What a reload may change: the upstreams and `[erasure]`. One step sees one of these from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::domain::alias::has_alias_form;
use crate::domain::decide::todays_label;
use crate::domain::erasure::{Held, Reach};
use crate::domain::{CustomerId, LabelForm, UpstreamNumber};
use crate::store::{KnownUpstream, Row};
use crate::upstream::Site;

/// The settings in force.
#[derive(Debug)]
pub(super) struct Settings {
    sites: Vec<Arc<Site>>,
    pub(super) erasure: config::Erasure,
    pub(super) response_timeout: Duration,
}

impl Settings {
    pub(super) const fn new(sites: Vec<Arc<Site>>, erasure: config::Erasure, response_timeout: Duration) -> Self {
        Self { sites, erasure, response_timeout }
    }

    /// The upstream of this number, if it is configured.
    pub(super) fn site(&self, number: UpstreamNumber) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| site.number == number)
    }

    /// The upstream of this name, if it is configured.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| &*site.upstream.name == name)
    }

    /// Does another upstream pass its customers' IDs on to this one? Then a delete there must come after that one has
    /// drained, which a probe does not.
    pub(super) fn is_passed_to(&self, upstream: UpstreamNumber) -> bool {
        let name = self.site(upstream).map(|site| &site.upstream.name);
        let passes = |site: &Arc<Site>| name.is_some_and(|name| site.upstream.passes_to.contains(name));
        self.sites.iter().any(passes)
    }

    /// What planning must know, for this customer; and of the upstreams that are not configured any more, their names.
    pub(super) fn reaches(&self, customer: &CustomerId, known: &[KnownUpstream]) -> Vec<Reach> {
        let gone = known.iter().filter(|upstream| self.site(upstream.number).is_none());
        let configured = self.sites.iter().map(|site| self.reach(site, customer));
        configured.chain(gone.map(not_configured)).collect()
    }

    fn reach(&self, site: &Site, customer: &CustomerId) -> Reach {
        let upstream = &site.upstream;
        let text = customer.expose();
        let numbers = upstream.passes_to.iter().filter_map(|name| self.named(name)).map(|site| site.number);
        // An ID of an alias's form that policy does not alias was refused before; it is no label there today.
        let today = todays_label(site.rules(), customer).map_or(LabelForm::alias(site.aliases.epoch()), |l| l.form);
        Reach {
            number: site.number,
            name: upstream.name.to_string(),
            profile: upstream.profile.name.clone(),
            group: Some(upstream.group.clone()),
            held_labels_before: upstream.held_labels_before,
            passes_to: numbers.collect(),
            today,
            raw_possible: upstream.profile.label.grammar.allows(text) && !has_alias_form(text),
            settle: upstream.profile.settle.as_secs(),
        }
    }
}

fn not_configured(upstream: &KnownUpstream) -> Reach {
    Reach {
        number: upstream.number,
        name: upstream.name.clone(),
        profile: String::new(),
        group: None,
        held_labels_before: false,
        passes_to: Vec::new(),
        today: LabelForm::RAW,
        raw_possible: false,
        settle: 0,
    }
}

/// What the index says, in the words of planning.
pub(super) fn held(rows: &[Row]) -> Vec<Held> {
    let held =
        |row: &Row| Held { upstream: row.key.upstream, form: row.key.form, api: row.api, last_seen: row.last_seen };
    rows.iter().map(held).collect()
}
