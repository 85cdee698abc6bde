//! Where an erasure must go: the addressed upstream, those with rows, those that held labels before the gate, and those
//! to which any of these passes its customers' IDs on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::intent::{Addressed, Intent, Scope};
use super::made::Mark;
use super::target::{Target, TargetKey};
use crate::domain::{LabelForm, UnixSeconds, UpstreamNumber};

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
    /// May the ID have been sent there as it is, by others than the gate?
    pub raw_possible: bool,
    /// Seconds from *accepted* to *settled*.
    pub settle: u64,
}

/// What the index says: this customer's data went there in this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub upstream: UpstreamNumber,
    /// In which form.
    pub form: LabelForm,
    /// Version of the API that was used last.
    pub api: Option<u8>,
    /// When.
    pub last_seen: UnixSeconds,
}

/// The targets of what `intents` ask for, in the order of their keys.
#[must_use]
pub fn plan(intents: &[Intent], reaches: &[Reach], held: &[Held]) -> Vec<Target> {
    let mut keys: BTreeMap<TargetKey, Option<Mark>> = BTreeMap::new();
    for intent in intents {
        for key in keys_of(intent, reaches, held) {
            let mark = keys.entry(key).or_default();
            *mark = Mark::wider(*mark, intent.mark);
        }
    }
    let addressed: Vec<&Addressed> = intents.iter().filter_map(|intent| intent.addressed.as_ref()).collect();
    let marked = |(key, mark)| Some(Target { mark, ..target(key, reaches, held, &addressed)? });
    keys.into_iter().filter_map(marked).collect()
}

/// Targets for rows of these upstreams: what was sent there since the erasure was planned, in other forms.
#[must_use]
pub fn plan_at(upstreams: &[UpstreamNumber], reaches: &[Reach], held: &[Held]) -> Vec<Target> {
    let keys: BTreeSet<TargetKey> =
        held.iter().filter(|row| upstreams.contains(&row.upstream)).map(|row| own(row.upstream, row.form)).collect();
    keys.into_iter().filter_map(|key| target(key, reaches, held, &[])).collect()
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

const fn own(upstream: UpstreamNumber, form: LabelForm) -> TargetKey {
    TargetKey { upstream, form, label_of: upstream }
}

fn find(reaches: &[Reach], number: UpstreamNumber) -> Option<&Reach> {
    reaches.iter().find(|reach| reach.number == number)
}

/// Everything that the customer's data may have come to is followed, also through upstreams that the authority does not
/// reach: what they have passed on to one that it does reach is there all the same.
fn keys_of(intent: &Intent, known: &[Reach], held: &[Held]) -> BTreeSet<TargetKey> {
    let within = |upstream| intent.scope.reaches(upstream);
    let mut open: VecDeque<(TargetKey, bool)> = VecDeque::new();
    if let Some(addressed) = &intent.addressed {
        open.extend(find(known, addressed.upstream).map(|home| (own(home.number, home.today), true)));
        open.extend(addressed.probe.as_ref().map(|probe| (own(addressed.upstream, probe.form), true)));
    }
    if let Scope::Only(chosen) = &intent.scope {
        // A person names these: they are asked, whatever the index knows.
        let chosen = chosen.iter().filter_map(|upstream| find(known, *upstream));
        open.extend(chosen.map(|reach| (own(reach.number, reach.today), true)));
    }
    open.extend(held.iter().map(|row| (own(row.upstream, row.form), within(row.upstream))));
    for reach in known.iter().filter(|reach| reach.held_labels_before) {
        let reached = within(reach.number);
        open.push_back((own(reach.number, reach.today), reached));
        open.extend(reach.raw_possible.then_some((own(reach.number, LabelForm::RAW), reached)));
    }
    let mut found: BTreeMap<TargetKey, bool> = BTreeMap::new();
    while let Some((key, reached)) = open.pop_front() {
        if found.get(&key).is_some_and(|before| *before || !reached) {
            continue;
        }
        found.insert(key, reached);
        // Who chose an upstream chose what it passes on, too: it would stay behind otherwise.
        let follows = reached && matches!(intent.scope, Scope::Only(_));
        open.extend(passed_on(key, known).map(|passed| (passed, follows || within(passed.upstream))));
    }
    found.into_iter().filter(|(_, reached)| *reached).map(|(key, _)| key).collect()
}

/// The same text at those to whom this upstream passes it on. A raw ID is the same text everywhere.
fn passed_on(key: TargetKey, known: &[Reach]) -> impl Iterator<Item = TargetKey> {
    let next = find(known, key.upstream).map_or(&[][..], |reach| &reach.passes_to);
    next.iter().map(move |&upstream| {
        let label_of = if key.form.is_alias() { key.label_of } else { upstream };
        TargetKey { upstream, form: key.form, label_of }
    })
}

fn target(key: TargetKey, known: &[Reach], held: &[Held], addressed: &[&Addressed]) -> Option<Target> {
    let reach = find(known, key.upstream)?;
    let mut target = Target::new(key, reach.name.clone(), reach.settle);
    let caller = addressed.iter().rev().find(|addressed| addressed.profile == reach.profile);
    let latest = held.iter().filter(|row| row.upstream == key.upstream).max_by_key(|row| row.last_seen);
    target.api = caller.and_then(|caller| caller.api).or_else(|| latest.and_then(|row| row.api));
    target.version = caller.and_then(|caller| caller.version.clone());
    Some(target)
}
