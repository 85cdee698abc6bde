//! What a reload may change: the upstreams and `[erasure]`. One step sees one of these from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::config;
use crate::domain::alias::has_alias_form;
use crate::domain::decide::todays_label;
use crate::domain::erasure::{Held, HeldAt, Instances, Job, Mark, Reach, Target, TargetKey};
use crate::domain::{CustomerId, Instance, InstanceHash, LabelForm, PairKey, UpstreamNumber};
use crate::store::seal::Keys;
use crate::store::{INSTANCES_MAX, KnownUpstream, Row, SeenInstance};
use crate::upstream::Site;

/// The settings in force.
#[derive(Debug)]
pub(super) struct Settings {
    sites: Vec<Arc<Site>>,
    topology: u64,
    pub(super) erasure: config::Erasure,
    pub(super) response_timeout: Duration,
}

impl Settings {
    pub(super) fn new(sites: Vec<Arc<Site>>, erasure: config::Erasure, response_timeout: Duration) -> Self {
        let topology = topology(&sites);
        Self { sites, topology, erasure, response_timeout }
    }

    /// A number for how upstreams pass IDs on to each other: another one when that changes.
    pub(super) const fn topology(&self) -> u64 {
        self.topology
    }

    /// The upstreams that are configured.
    pub(super) fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// The upstream of this number, if it is configured.
    pub(super) fn site(&self, number: UpstreamNumber) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| site.number == number)
    }

    /// The upstream of this name, if it is configured.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| &*site.upstream.name == name)
    }

    /// Whether another upstream passes its customers' IDs on to this one: then a delete there must come after that one
    /// has drained, which a probe does not.
    pub(super) fn is_passed_to(&self, upstream: UpstreamNumber) -> bool {
        let name = self.site(upstream).map(|site| &site.upstream.name);
        let passes = |site: &Arc<Site>| name.is_some_and(|name| site.upstream.passes_to.contains(name));
        self.sites.iter().any(passes)
    }

    /// What planning must know, for this customer; and of the upstreams that are not configured any more, their names.
    pub(super) fn reaches(&self, customer: &CustomerId, known: &[KnownUpstream], seen: &[SeenInstance]) -> Vec<Reach> {
        let gone = known.iter().filter(|upstream| self.site(upstream.number).is_none());
        let configured = self.sites.iter().map(|site| self.reach(site, customer));
        let with_instances =
            |reach: Reach| Reach { instances: with_seen(reach.instances, seen, reach.number), ..reach };
        configured.chain(gone.map(not_configured)).map(with_instances).collect()
    }

    /// The upstreams of one group.
    pub(super) fn group(&self, name: &str) -> Vec<UpstreamNumber> {
        self.sites.iter().filter(|site| site.upstream.group == name).map(|site| site.number).collect()
    }

    /// How fast this upstream takes deletes.
    pub(super) fn deletes_per_minute(&self, upstream: UpstreamNumber) -> Option<u32> {
        self.site(upstream)?.upstream.deletes_per_minute
    }

    fn passes_to(&self, site: &Site) -> Vec<UpstreamNumber> {
        site.upstream.passes_to.iter().filter_map(|name| self.named(name)).map(|site| site.number).collect()
    }

    /// The upstreams to which an ID travels on from these, by however many steps; with these.
    pub(super) fn passed_on_from(&self, upstreams: &[UpstreamNumber]) -> Vec<UpstreamNumber> {
        let mut all = upstreams.to_vec();
        let mut at = 0;
        while let Some(from) = all.get(at).copied() {
            let to = self.site(from).map(|site| self.passes_to(site)).unwrap_or_default();
            all.extend(to.into_iter().filter(|to| !all.contains(to)).collect::<Vec<_>>());
            at += 1;
        }
        all
    }

    /// Whether this erasure has gone, since the request of this mark, or will go, wherever the upstream of this target
    /// passes the target's text on to. If not, rows at the upstream are the only trace of what is there. Where it
    /// passes nothing on there is nothing to ask.
    pub(super) fn goes_on_from(&self, from: TargetKey, job: &Job, mark: Option<Mark>) -> bool {
        let since = |target: &Target| !target.is_accepted() || Mark::is_as_late(job.mark_of(target), mark);
        let goes_to = |to: &UpstreamNumber| {
            // A raw ID is the same text everywhere; an alias stays that of whoever it was sent to first.
            let label_of = if from.form.is_alias() { from.label_of } else { *to };
            let same_text = |key: &TargetKey| (key.upstream, key.form, key.label_of) == (*to, from.form, label_of);
            let mut there = job.targets.iter().filter(|target| same_text(&target.key)).peekable();
            there.peek().is_some() && there.all(since)
        };
        self.passed_on_from(&[from.upstream]).iter().all(|to| *to == from.upstream || goes_to(to))
    }

    /// Whether this upstream passes on to another what it gets.
    pub(super) fn passes_on(&self, upstream: UpstreamNumber) -> bool {
        self.passed_on_from(&[upstream]).len() > 1
    }

    /// These upstreams and all that pass IDs on to them.
    pub(super) fn with_passers(&self, upstreams: &[UpstreamNumber]) -> Vec<UpstreamNumber> {
        let mut all = upstreams.to_vec();
        let mut at = 0;
        while let Some(to) = all.get(at).copied() {
            let passes = |site: &&Arc<Site>| self.passes_to(site).contains(&to);
            let from: Vec<_> = self.sites.iter().filter(passes).map(|site| site.number).collect();
            all.extend(from.into_iter().filter(|from| !all.contains(from)).collect::<Vec<_>>());
            at += 1;
        }
        all
    }

    fn reach(&self, site: &Site, customer: &CustomerId) -> Reach {
        let upstream = &site.upstream;
        let text = customer.expose();
        // An ID of an alias's form that policy does not alias was refused before; it is no label there today.
        let today = todays_label(site.rules(), customer).map_or(LabelForm::alias(site.aliases.epoch()), |l| l.form);
        Reach {
            number: site.number,
            name: upstream.name.to_string(),
            profile: upstream.profile.name.clone(),
            held_labels_before: upstream.held_labels_before,
            passes_to: self.passes_to(site),
            today,
            raw_possible: upstream.profile.label.grammar.allows(text) && !has_alias_form(text),
            settle: upstream.settle.as_secs(),
            instances: site.instances.known().as_ref().clone(),
            apis: upstream.profile.erase.as_ref().map(|rule| rule.apis.to_vec()).unwrap_or_default(),
            api: upstream.profile.erase.as_ref().and_then(|rule| rule.api),
            erase_api: upstream.erase_api.clone(),
        }
    }
}

fn topology(sites: &[Arc<Site>]) -> u64 {
    let passing = sites.iter().flat_map(|site| site.upstream.passes_to.iter().map(|to| (&site.upstream.name, to)));
    let passing = passing.map(|(from, to)| format!("{from}\0{to}"));
    // A key that has a name by now is to be asked for at once.
    let named = sites.iter().map(|site| &site.upstream).filter(|upstream| upstream.instances != Default::default());
    let named = named.map(|up| format!("{}\0{:?}\0{:?}", up.name, up.instances, up.credentials));
    let mut all: Vec<String> = passing.chain(named).collect();
    all.sort();
    let digest = Sha256::digest(all.join("\0\0"));
    digest.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

fn not_configured(upstream: &KnownUpstream) -> Reach {
    Reach {
        number: upstream.number,
        name: upstream.name.clone(),
        profile: String::new(),
        held_labels_before: false,
        passes_to: Vec::new(),
        today: LabelForm::RAW,
        raw_possible: false,
        settle: 0,
        instances: Instances::default(),
        apis: Vec::new(),
        api: None,
        erase_api: Vec::new(),
    }
}

/// With what traffic has shown.
pub(super) fn with_seen(instances: Instances, seen: &[SeenInstance], upstream: UpstreamNumber) -> Instances {
    let there: Vec<&SeenInstance> = seen.iter().filter(|seen| seen.upstream == upstream).collect();
    let (answered, refused): (Vec<_>, Vec<_>) = there.into_iter().partition(|seen| seen.answered);
    let more = answered.len() >= INSTANCES_MAX || answered.iter().any(|seen| seen.instance.is_none());
    let read = |all: Vec<&SeenInstance>| all.into_iter().filter_map(|seen| seen.instance.clone()).collect();
    Instances { seen: read(answered), refused: read(refused), more, ..instances }
}

/// What the index says, in the words of planning: which row it is, and what it stands for. A row that does not say its
/// instance may be of any that was seen and that its key fits.
pub(super) fn held(keys: &Keys, rows: &[Row], reaches: &[Reach]) -> Vec<(PairKey, Held)> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let PairKey { tag, upstream, form, instance: hash, .. } = row.key;
        let mut hold = |at| all.push((row.key, Held { upstream, form, apis: row.apis, at }));
        if let Some(instance) = &row.instance {
            hold(HeldAt::Seen(instance.clone()));
            continue;
        }
        let reach = reaches.iter().find(|reach| reach.number == upstream);
        let seen: Vec<&Instance> = reach.map(|reach| reach.instances.shown().collect()).unwrap_or_default();
        if hash == InstanceHash::DEFAULT {
            // Before there were instances every row had this one, wherever it was sent.
            hold(HeldAt::Seen(Instance::default()));
            seen.into_iter().cloned().map(HeldAt::Seen).for_each(hold);
        } else {
            let fits = seen.into_iter().find(|seen| keys.instance_hash(tag, seen) == hash);
            hold(fits.cloned().map_or(HeldAt::Lost(hash), HeldAt::Seen));
        }
    }
    all
}
