//! Where an erasure must go: the addressed upstream, those with rows, those that held labels before the gate, and those
//! to which any of these passes its customers' IDs on. See docs/decisions/031-passed-on.md.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::instances::{Instances, Where, WhereId, Which};
use super::intent::{Addressed, Intent, Scope};
use super::made::Mark;
use super::target::{Target, TargetKey};
use crate::domain::{Apis, Instance, InstanceHash, LabelForm, UpstreamNumber};

/// What planning must know of one upstream, for one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its number.
    pub number: UpstreamNumber,
    /// Its name.
    pub name: String,
    /// Its profile's name.
    pub profile: String,
    /// It held labelled data before the gate.
    pub held_labels_before: bool,
    /// To whom it passes IDs on.
    pub passes_to: Vec<UpstreamNumber>,
    /// The form in which this customer's ID would be sent there today.
    pub today: LabelForm,
    /// Whether others than the gate may have sent the ID there as it is.
    pub raw_possible: bool,
    /// Seconds from *accepted* to *settled*.
    pub settle: u64,
    /// The instances that it leads to.
    pub instances: Instances,
    /// Versions of the API that have a delete.
    pub apis: Vec<u8>,
    /// The version of a delete where nobody says another.
    pub api: Option<u8>,
    /// The versions of deletes where none was seen, as the operator says.
    pub erase_api: Vec<u8>,
}

/// What the index says: this customer's data went there in this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub upstream: UpstreamNumber,
    /// In which form.
    pub form: LabelForm,
    /// Versions of the API that were used.
    pub apis: Apis,
    /// At which instance.
    pub at: HeldAt,
}

/// The instance of something that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldAt {
    /// As traffic showed it.
    Seen(Instance),
    /// Nothing that is known has this hash.
    Lost(InstanceHash),
    /// An erasure has gone there.
    Asked(Where),
}

impl Reach {
    /// The version that a delete for this one is sent under.
    fn api_of(&self, wished: u8) -> Option<u8> {
        Some(wished).filter(|wished| self.apis.contains(wished)).or(self.api)
    }

    /// The version of a delete on the data path: also one that the profile does not list.
    fn home_api(&self, addressed: &Addressed) -> Option<u8> {
        addressed.api.filter(|_| !self.apis.is_empty()).or(self.api)
    }

    /// The versions under which deletes are sent for data of these.
    fn apis_of(&self, seen: Apis) -> BTreeSet<Option<u8>> {
        if seen.is_empty() { self.apis_unseen() } else { seen.iter().map(|api| self.api_of(api)).collect() }
    }

    fn apis_unseen(&self) -> BTreeSet<Option<u8>> {
        match self.erase_api.as_slice() {
            [] => [self.api].into(),
            fixed => fixed.iter().map(|api| Some(*api)).collect(),
        }
    }

    /// Where, and under which versions, everything has to be asked that this row stands for.
    #[must_use]
    pub fn needs(&self, held: &Held) -> Vec<(TargetKey, Where)> {
        let places = match &held.at {
            HeldAt::Seen(instance) => self.instances.resolve(instance),
            HeldAt::Lost(hash) => vec![Where { prefix: "".into(), which: Which::Unknown(*hash) }],
            HeldAt::Asked(place) => vec![place.clone()],
        };
        self.keys(&places, held.form, &self.apis_of(held.apis))
    }

    fn keys(&self, places: &[Where], form: LabelForm, apis: &BTreeSet<Option<u8>>) -> Vec<(TargetKey, Where)> {
        let key = |place: &Where, api| TargetKey { instance: place.id(), ..own(self.number, form, api) };
        places.iter().flat_map(|place| apis.iter().map(move |api| (key(place, *api), place.clone()))).collect()
    }

    /// Where a delete on the data path was for. One that proved its authority with credentials of its own was for their
    /// instance.
    fn addressed(&self, addressed: &Addressed) -> Vec<Where> {
        if addressed.probed || addressed.instance.caller.is_some() {
            return self.instances.resolve(&addressed.instance);
        }
        self.instances.addressed(&addressed.instance.prefix)
    }

    /// The target of which a probe is the delete: `None` if it may have been for any of several instances.
    #[must_use]
    pub fn probed(&self, addressed: &Addressed) -> Option<(TargetKey, Where)> {
        let probe = addressed.probe.as_ref()?;
        let [place] = <[Where; 1]>::try_from(self.addressed(addressed)).ok()?;
        let api = self.home_api(addressed);
        Some((TargetKey { instance: place.id(), ..own(self.number, probe.form, api) }, place))
    }
}

/// The targets of what `intents` ask for, in the order of their keys.
#[must_use]
pub fn plan(intents: &[Intent], reaches: &[Reach], held: &[Held]) -> Vec<Target> {
    let mut keys: BTreeMap<TargetKey, (Where, Option<Mark>)> = BTreeMap::new();
    for intent in intents {
        for (key, place) in keys_of(intent, reaches, held, intents) {
            let (_, mark) = keys.entry(key).or_insert((place, None));
            *mark = Mark::wider(*mark, intent.mark);
        }
    }
    let addressed: Vec<&Addressed> = addressed_of(intents).collect();
    let marked = |(key, (place, mark))| Some(Target { mark, ..target(key, place, reaches, &addressed)? });
    keys.into_iter().filter_map(marked).collect()
}

/// Targets for rows of these upstreams: what was sent there since the erasure was planned, in other forms, to other
/// instances, under other versions of the API.
#[must_use]
pub fn plan_at(upstreams: &[UpstreamNumber], reaches: &[Reach], held: &[Held]) -> Vec<Target> {
    let there = held.iter().filter(|row| upstreams.contains(&row.upstream));
    let keys: BTreeMap<TargetKey, Where> = there.flat_map(|row| needs(reaches, row)).collect();
    keys.into_iter().filter_map(|(key, place)| target(key, place, reaches, &[])).collect()
}

fn needs(reaches: &[Reach], row: &Held) -> Vec<(TargetKey, Where)> {
    find(reaches, row.upstream).map(|reach| reach.needs(row)).unwrap_or_default()
}

fn addressed_of(intents: &[Intent]) -> impl Iterator<Item = &Addressed> {
    intents.iter().filter_map(|intent| intent.addressed.as_ref())
}

/// All upstreams from which a customer's ID can travel on to `upstream`, by however many steps; not itself.
#[must_use]
pub fn passers(reaches: &[Reach], upstream: UpstreamNumber) -> BTreeSet<UpstreamNumber> {
    let mut found = BTreeSet::new();
    let mut open = vec![upstream];
    while let Some(to) = open.pop() {
        for from in reaches.iter().filter(|reach| reach.passes_to.contains(&to)) {
            if found.insert(from.number) {
                open.push(from.number);
            }
        }
    }
    found.remove(&upstream);
    found
}

const fn own(upstream: UpstreamNumber, form: LabelForm, api: Option<u8>) -> TargetKey {
    TargetKey { upstream, instance: WhereId([0; 8]), form, label_of: upstream, api }
}

fn find(reaches: &[Reach], number: UpstreamNumber) -> Option<&Reach> {
    reaches.iter().find(|reach| reach.number == number)
}

/// The versions under which deletes are sent where no row says one: what the operator says; else those that this
/// customer's other data there was sent under; else the caller's, if its profile is the same.
fn versions(reach: &Reach, held: &[Held], intents: &[Intent]) -> BTreeSet<Option<u8>> {
    let there = held.iter().filter(|row| row.upstream == reach.number);
    let seen = there.fold(Apis::NONE, |seen, row| seen.with(row.apis));
    if !reach.erase_api.is_empty() || !seen.is_empty() {
        return if reach.erase_api.is_empty() { reach.apis_of(seen) } else { reach.apis_unseen() };
    }
    let same = addressed_of(intents).filter(|addressed| addressed.profile == reach.profile);
    match same.filter_map(|addressed| addressed.api).last() {
        Some(api) => [reach.api_of(api)].into(),
        None => reach.apis_unseen(),
    }
}

/// A target, whether the authority reaches it, and whether what was passed on from there is to be followed.
type Step = ((TargetKey, Where), bool);

/// Everything that the customer's data may have come to is followed, also through upstreams that the authority does not
/// reach: what they have passed on to one that it does reach is there all the same.
fn keys_of(intent: &Intent, known: &[Reach], held: &[Held], intents: &[Intent]) -> Vec<(TargetKey, Where)> {
    let within = |upstream| intent.scope.reaches(upstream);
    let anywhere = |reach: &Reach, form| reach.keys(&reach.instances.anywhere(), form, &versions(reach, held, intents));
    let mut open: VecDeque<Step> = VecDeque::new();
    if let Some(addressed) = &intent.addressed
        && let Some(home) = find(known, addressed.upstream)
    {
        let asked = home.keys(&home.addressed(addressed), home.today, &[home.home_api(addressed)].into());
        open.extend(asked.into_iter().chain(home.probed(addressed)).map(|key| (key, true)));
    }
    if let Scope::Only(chosen) = &intent.scope {
        // A person names these: they are asked, whatever the index knows.
        let chosen = chosen.iter().filter_map(|upstream| find(known, *upstream));
        open.extend(chosen.flat_map(|reach| anywhere(reach, reach.today)).map(|key| (key, true)));
    }
    open.extend(held.iter().flat_map(|row| needs(known, row)).map(|key| {
        let reached = within(key.0.upstream);
        (key, reached)
    }));
    for reach in known.iter().filter(|reach| reach.held_labels_before) {
        let raw = reach.raw_possible.then_some(LabelForm::RAW);
        let keys = [reach.today].into_iter().chain(raw).flat_map(|form| anywhere(reach, form));
        open.extend(keys.map(|key| (key, within(reach.number))));
    }
    let mut found: BTreeMap<TargetKey, (Where, bool)> = BTreeMap::new();
    while let Some(((key, place), reached)) = open.pop_front() {
        if found.get(&key).is_some_and(|(_, before)| *before || !reached) {
            continue;
        }
        found.insert(key, (place, reached));
        // Who chose an upstream chose what it passes on, too: it would stay behind otherwise.
        let follows = reached && matches!(intent.scope, Scope::Only(_));
        for (reach, form, label_of) in passed_on(key, known) {
            let keys = anywhere(reach, form).into_iter();
            let reached = follows || within(reach.number);
            open.extend(keys.map(|(key, place)| ((TargetKey { label_of, ..key }, place), reached)));
        }
    }
    found.into_iter().filter(|(_, (_, reached))| *reached).map(|(key, (place, _))| (key, place)).collect()
}

/// The same text at those to whom this upstream passes it on. A raw ID is the same text everywhere. Which of their
/// instances it came to is not known.
fn passed_on(key: TargetKey, known: &[Reach]) -> impl Iterator<Item = (&Reach, LabelForm, UpstreamNumber)> {
    let next = find(known, key.upstream).map_or(&[][..], |reach| &reach.passes_to);
    next.iter().filter_map(|to| find(known, *to)).map(move |reach| {
        let label_of = if key.form.is_alias() { key.label_of } else { reach.number };
        (reach, key.form, label_of)
    })
}

fn target(key: TargetKey, place: Where, known: &[Reach], addressed: &[&Addressed]) -> Option<Target> {
    let reach = find(known, key.upstream)?;
    let mut target = Target::new(key, place, reach.name.clone(), reach.settle);
    let caller = addressed.iter().rev().find(|addressed| addressed.profile == reach.profile);
    target.version = caller.and_then(|caller| caller.version.clone());
    Some(target)
}
