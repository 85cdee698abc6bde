//! The part of the judgement that concerns customer IDs: may it leave as it is, under an alias, or not at all?

use smallvec::SmallVec;

use super::{LabelLine, RequestFacts, Rules, one};
use crate::domain::alias::{AliasKey, has_alias_form};
use crate::domain::label;
use crate::domain::personal::looks_personal;
use crate::domain::policy::{AliasUse, Invalid, Mode, Personal, Several};
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
            unlabelled: false,
            would_refuse: None,
        }
    }
}

/// In which form may this ID leave? The order is part of the contract: personal is judged before invalid.
fn form_of(rules: Rules<'_>, id: &CustomerId) -> Result<LabelForm, Refusal> {
    let alias = LabelForm::alias(rules.aliases.epoch());
    let text = id.expose();
    if rules.policy.personal != Personal::Allow && looks_personal(text) {
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
            "The customer ID is not one that this service allows: letters, digits and _ only, percent-encoded where not ASCII, not of an alias's form"
        }
    };
    Refusal::new(Code::LabelInvalid, sentence)
}

/// Judges a label's value. `None` if it names no customer.
pub(super) fn judge_label(rules: Rules<'_>, value: &[u8]) -> Result<Option<Judged>, Refusal> {
    let reading = label::read(value, &rules.label.field)?;
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
        let form = form_of(rules, &id)?;
        judged.rewritten |= form.is_alias();
        as_sent &= !form.is_alias() && rules.label.grammar.write(id.expose()).as_bytes() == *wire;
        judged.labels.push(Label { id, form });
    }
    if !as_sent {
        judged.line = LabelLine::Write(written(rules, value, &judged.labels));
    }
    let length = if let LabelLine::Write(line) = &judged.line { line.len() } else { value.len() };
    if length > rules.label.grammar.header_bytes_max() {
        return Err(Refusal::new(Code::LabelInvalid, "The label is longer than this service allows"));
    }
    Ok(Some(judged))
}

/// Judges an ID that was not read off a label, and writes it into the caller's label, if there is one.
pub(super) fn judge_text(rules: Rules<'_>, id: &CustomerId, value: &[u8]) -> Result<Judged, Refusal> {
    let form = form_of(rules, id)?;
    let labels = one(Label { id: id.clone(), form });
    let line = LabelLine::Write(written(rules, value, &labels));
    Ok(Judged { line, rewritten: form.is_alias(), labels, ..Judged::default() })
}

/// A call that is not labelled: SDKs put default headers on every call, and those pass untouched, unless an ID is one
/// that would be replaced on a labelled call.
pub(super) fn rewrite_only(rules: Rules<'_>, facts: &RequestFacts<'_>, mode: Mode) -> Judged {
    let untouched = Judged::default();
    let (Some(value), Mode::Enforce) = (facts.header, mode) else { return untouched };
    let Ok(reading) = label::read(value, &rules.label.field) else { return untouched };
    let mut labels: SmallVec<[Label; 1]> = SmallVec::new();
    for wire in &reading.ids {
        let Ok(id) = label::canonical(wire, rules.label.grammar) else { return untouched };
        let form = form_of(rules, &id).unwrap_or(LabelForm::RAW);
        labels.push(Label { id, form });
    }
    if !labels.iter().any(|label| label.form.is_alias()) {
        return untouched;
    }
    Judged { line: LabelLine::Write(written(rules, value, &labels)), rewritten: true, ..untouched }
}

/// The IDs of a label that are legal as they stand.
pub(super) fn legal_as_sent(rules: Rules<'_>, value: &[u8]) -> SmallVec<[Label; 1]> {
    let Ok(reading) = label::read(value, &rules.label.field) else { return SmallVec::new() };
    let legal = |wire: &&[u8]| {
        let id = label::canonical(wire, rules.label.grammar).ok()?;
        let legal = rules.label.grammar.allows(id.expose()) && !has_alias_form(id.expose());
        legal.then_some(Label { id, form: LabelForm::RAW })
    };
    reading.ids.iter().filter_map(legal).collect()
}

fn written(rules: Rules<'_>, value: &[u8], labels: &[Label]) -> Vec<u8> {
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
