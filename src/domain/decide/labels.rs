//! The part of the judgement that concerns customer IDs: whether one may leave as it is, under an alias, or not at all.

use smallvec::SmallVec;

use super::{LabelLine, RequestFacts, Rules, one};
use crate::domain::alias::{AliasKey, has_alias_form};
use crate::domain::glance::Glance;
use crate::domain::label;
use crate::domain::policy::{AliasUse, Invalid, Mode, Personal, Policy, Several};
use crate::domain::profile::GrammarName;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::{CustomerId, LabelForm};

/// A customer and the form in which an upstream knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The customer.
    pub id: CustomerId,
    /// Raw, or the alias of an epoch.
    pub form: LabelForm,
}

/// What was found out about a request's label.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) labels: SmallVec<[Label; 1]>,
    pub(super) line: LabelLine,
    pub(super) derived: bool,
    pub(super) rewritten: bool,
    pub(super) cut: bool,
    pub(super) overridden: bool,
    pub(super) unlabelled: bool,
    pub(super) would_refuse: Option<Code>,
}

impl Default for Judged {
    fn default() -> Self {
        Self {
            labels: SmallVec::new(),
            line: LabelLine::Keep,
            derived: false,
            rewritten: false,
            cut: false,
            overridden: false,
            unlabelled: false,
            would_refuse: None,
        }
    }
}

/// Whether it names one customer. What a program writes for want of an ID, and what can be read as another label, is
/// refused in labels and in deletes alike: such a delete would be called done, and the customer who was meant would
/// stay.
///
/// # Errors
/// `LabelPlaceholder`, unless the policy only observes; `LabelInvalid`.
pub fn names_one(rules: Rules<'_>, id: &CustomerId) -> Result<(), Refusal> {
    match is_one(rules, id, &Glance::of(id.expose())) {
        Err(refusal) if refusal.code == Code::LabelPlaceholder && rules.policy.mode == Mode::Observe => Ok(()),
        judged => judged,
    }
}

fn is_one(rules: Rules<'_>, id: &CustomerId, seen: &Glance<'_>) -> Result<(), Refusal> {
    if label::reads_as_another(id, rules.label) {
        return Err(Refusal::new(Code::LabelInvalid, label::SECOND_SPELLING));
    }
    if rules.policy.placeholders.has_seen(seen) { Err(Code::LabelPlaceholder.into()) } else { Ok(()) }
}

/// Whether this ID may leave, and in which form.
fn judged_form(rules: Rules<'_>, id: &CustomerId) -> Result<LabelForm, Refusal> {
    let seen = Glance::of(id.expose());
    is_one(rules, id, &seen)?;
    form_of_seen(rules, &seen)
}

/// In which form this ID may leave. The order is part of the contract: personal is judged before invalid.
fn form_of(rules: Rules<'_>, id: &CustomerId) -> Result<LabelForm, Refusal> {
    form_of_seen(rules, &Glance::of(id.expose()))
}

fn form_of_seen(rules: Rules<'_>, id: &Glance<'_>) -> Result<LabelForm, Refusal> {
    let alias = LabelForm::alias(rules.aliases.epoch());
    let text = id.written;
    if rules.policy.personal != Personal::Allow && rules.policy.personal_patterns.are_seen_in(id) {
        return match rules.policy.personal {
            Personal::Refuse => Err(Code::LabelPersonal.into()),
            Personal::Rewrite | Personal::Allow => Ok(alias),
        };
    }
    if has_alias_form(text) || !rules.label.grammar.allows(text) {
        return match rules.policy.invalid {
            Invalid::Refuse => Err(invalid(rules.label.grammar)),
            Invalid::Rewrite => Ok(alias),
        };
    }
    Ok(if rules.policy.alias == AliasUse::Always { alias } else { LabelForm::RAW })
}

fn invalid(grammar: GrammarName) -> Refusal {
    let sentence = match grammar {
        GrammarName::Watson => {
            "The customer ID is not one that this service allows: printable ASCII without ; and =, no blank at either end, no %XX, not of an alias's form"
        }
        GrammarName::WatsonDiscovery => {
            "The customer ID is not one that this service allows: at most 256 printable ASCII characters without ; and =, no blank at either end, no %XX, not of an alias's form"
        }
        GrammarName::WatsonVr => {
            "The customer ID is not one that this service allows: letters and digits of any script and _ only, percent-encoded where not ASCII, not of an alias's form"
        }
    };
    Refusal::new(Code::LabelInvalid, sentence)
}

/// Judges a label's value. `None` if it names no customer.
pub(super) fn judge_label(rules: Rules<'_>, value: &[u8]) -> Result<Option<Judged>, Refusal> {
    let reading = label::read(value, &rules.label.field, rules.label.grammar)?;
    let several = if rules.label.several { rules.policy.several } else { Several::Refuse };
    let kept: &[&[u8]] = match (reading.ids.as_slice(), several) {
        ([], _) => return Ok(None),
        ([_, _, ..], Several::Refuse) => return Err(Code::LabelSeveral.into()),
        ([first, ..], Several::First | Several::Refuse) => std::slice::from_ref(first),
        (all, Several::All) => all,
    };
    let mut judged = Judged { cut: kept.len() < reading.ids.len(), ..Judged::default() };
    let mut as_sent = !reading.irregular && !judged.cut;
    for wire in kept {
        let id = label::canonical(wire, rules.label.grammar)?;
        let form = judged_form(rules, &id)?;
        judged.rewritten |= form.is_alias();
        as_sent &= !form.is_alias() && rules.label.grammar.write(id.expose()).as_bytes() == *wire;
        judged.labels.push(Label { id, form });
    }
    if !as_sent {
        judged.line = LabelLine::Write(written(rules, value, &judged.labels));
    }
    fits(rules, if let LabelLine::Write(line) = &judged.line { line } else { value })?;
    Ok(Some(judged))
}

fn fits(rules: Rules<'_>, line: &[u8]) -> Result<(), Refusal> {
    if line.len() > rules.label.grammar.header_bytes_max() {
        return Err(Refusal::new(Code::LabelInvalid, "The label is longer than this service allows"));
    }
    Ok(())
}

/// Judges an ID that was not read off a label, and writes it into the caller's label, if there is one.
pub(super) fn judge_text(rules: Rules<'_>, id: &CustomerId, value: &[u8]) -> Result<Judged, Refusal> {
    let form = judged_form(rules, id)?;
    let labels = one(Label { id: id.clone(), form });
    let line = written(rules, value, &labels);
    // What stood in the caller's label without an ID may not stand beside one.
    label::read(&line, &rules.label.field, rules.label.grammar)?;
    fits(rules, &line)?;
    Ok(Judged { line: LabelLine::Write(line), rewritten: form.is_alias(), labels, ..Judged::default() })
}

/// Judges a verified ID, and writes it in place of whatever customers the caller's label names.
pub(super) fn in_place_of(rules: Rules<'_>, id: &CustomerId, value: &[u8]) -> Result<Judged, Refusal> {
    let reading = label::read(value, &rules.label.field, rules.label.grammar)?;
    let is_it = |wire: &&[u8]| label::canonical(wire, rules.label.grammar).is_ok_and(|written| written == *id);
    let overridden = !reading.ids.iter().all(is_it);
    Ok(Judged { derived: true, overridden, ..judge_text(rules, id, value)? })
}

/// A call that is not labelled: SDKs put default headers on every call, and those pass untouched, unless an ID is one
/// that would be replaced on a labelled call.
pub(super) fn rewrite_only(rules: Rules<'_>, facts: &RequestFacts<'_>, mode: Mode) -> Result<Judged, Refusal> {
    let untouched = Judged::default();
    let (Some(value), Mode::Enforce) = (facts.header, mode) else { return Ok(untouched) };
    let labels = match as_default_header(rules, value) {
        Ok(labels) => labels,
        // It cannot be rewritten, so it may not leave where something in it might have to be.
        Err(refusal) if may_not_leave(rules.policy, value) => return Err(refusal),
        Err(_) => return Ok(untouched),
    };
    if !labels.iter().any(|label| label.form.is_alias()) {
        return Ok(untouched);
    }
    Ok(Judged { line: LabelLine::Write(written(rules, value, &labels)), rewritten: true, ..untouched })
}

fn as_default_header(rules: Rules<'_>, value: &[u8]) -> Result<SmallVec<[Label; 1]>, Refusal> {
    let reading = label::read(value, &rules.label.field, rules.label.grammar)?;
    let label = |wire: &&[u8]| {
        let id = label::canonical(wire, rules.label.grammar)?;
        let form = form_of(rules, &id).unwrap_or(LabelForm::RAW);
        Ok(Label { id, form })
    };
    reading.ids.iter().map(label).collect()
}

fn may_not_leave(policy: &Policy, value: &[u8]) -> bool {
    let personal = || policy.personal_patterns.are_in(&String::from_utf8_lossy(value));
    policy.alias == AliasUse::Always || (policy.personal == Personal::Rewrite && personal())
}

/// The IDs of a label that are legal as they stand.
pub(super) fn legal_as_sent(rules: Rules<'_>, value: &[u8]) -> SmallVec<[Label; 1]> {
    let Ok(reading) = label::read(value, &rules.label.field, rules.label.grammar) else { return SmallVec::new() };
    let legal = |wire: &&[u8]| {
        let id = label::canonical(wire, rules.label.grammar).ok()?;
        let legal = rules.label.grammar.allows(id.expose()) && !has_alias_form(id.expose());
        legal.then_some(Label { id, form: LabelForm::RAW })
    };
    reading.ids.iter().filter_map(legal).collect()
}

/// The label with these IDs. Beside an alias nothing of the caller's text stays: what they call another field can be a part
/// of the ID.
fn written(rules: Rules<'_>, value: &[u8], labels: &[Label]) -> Vec<u8> {
    let value = if labels.iter().any(|label| label.form.is_alias()) { &[] } else { value };
    let texts: SmallVec<[Box<str>; 1]> =
        labels.iter().map(|each| text_of(rules.aliases, &each.id, each.form)).collect();
    let wires: SmallVec<[_; 1]> = texts.iter().map(|text| rules.label.grammar.write(text)).collect();
    let refs: SmallVec<[&str; 1]> = wires.iter().map(AsRef::as_ref).collect();
    label::write(value, &rules.label.field, &refs)
}

/// The text under which a customer is known in this form, before any encoding of header or query.
///
/// An alias is made with the key that is given: ask the key of the form's epoch.
#[must_use]
pub fn text_of(aliases: &AliasKey, id: &CustomerId, form: LabelForm) -> Box<str> {
    if form.is_alias() { aliases.alias(id) } else { id.expose().into() }
}

/// The label that a request of this customer would carry today: what a delete without index entries is sent with.
///
/// An ID that policy would refuse is taken raw, since whatever was once labelled can be erased; but never one of an
/// alias's form, by which one customer could erase another.
///
/// # Errors
/// `LabelInvalid` for an ID of an alias's form where policy does not alias it.
pub fn todays_label(rules: Rules<'_>, id: &CustomerId) -> Result<Label, Refusal> {
    let form = match (rules.policy.mode, form_of(rules, id)) {
        (Mode::Enforce, Ok(form)) => form,
        (Mode::Enforce, Err(refusal)) if has_alias_form(id.expose()) => return Err(refusal),
        (Mode::Observe, _) if has_alias_form(id.expose()) => return Err(invalid(rules.label.grammar)),
        (Mode::Enforce, Err(_)) | (Mode::Observe, _) => LabelForm::RAW,
    };
    Ok(Label { id: id.clone(), form })
}
