//! The judgement: from what is known of a request's head to what may be done with it. Pure, and the only maker of a
//! [`Permit`]: nothing can be forwarded that has not been judged here.

mod labels;
#[cfg(test)]
mod tests;

use smallvec::{SmallVec, smallvec};

use self::labels::{Judged, judge_label, judge_text, rewrite_only};
pub use self::labels::{Label, names_one, text_of, todays_label};
use super::CustomerId;
use super::alias::AliasKey;
use super::policy::{Beta, Missing, Mode, OptOut, Policy, Unknown};
use super::profile::LabelRule;
use super::refusal::{Code, Refusal};
use super::token::Unverified;

/// What one upstream's requests are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The operator's choice.
    pub policy: &'a Policy,
    /// How the service is labelled.
    pub label: &'a LabelRule,
    /// What an ID that may not leave is replaced by.
    pub aliases: &'a AliasKey,
}

/// How the service's profile classes the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Whether the profile names it at all.
    pub named: bool,
    /// Whether it must carry a label.
    pub labelled: bool,
    /// Whether it honours opting out.
    pub opt_out: bool,
    /// Whether it is beta.
    pub beta: bool,
}

/// What the caller said of learning from this data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It may not be learnt from.
    OptOut,
    /// It may.
    OptIn,
}

/// What `derive` has found so far.
#[derive(Clone, Copy, Debug, Default)]
pub enum Derived<'a> {
    /// It has not been looked for.
    #[default]
    NotTried,
    /// It was looked for in vain.
    Nothing,
    /// The same, and there was no bearer token that verifies.
    Unverified(Unverified),
    /// An ID.
    Found(&'a CustomerId),
}

/// All that the judgement looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFacts<'a> {
    /// The call's class.
    pub class: Class,
    /// The value of the one label header line.
    pub header: Option<&'a [u8]>,
    /// On a WebSocket: the value of the label's query parameter, decoded.
    pub query: Option<&'a [u8]>,
    /// The caller's wish about learning.
    pub wish: Option<Wish>,
    /// The result of `derive`.
    pub derived: Derived<'a>,
}

/// What to do with the request.
#[derive(Debug)]
pub enum Decision {
    /// Answer it with this.
    Refuse(Refusal),
    /// Look where `policy.derive` says, then judge again.
    Derive,
    /// Forward it, as the permit says.
    Pass(Permit),
}

/// What happens to the label line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelLine {
    /// It stays as the caller wrote it, or absent.
    Keep,
    /// It is replaced by, or added with, this value.
    Write(Vec<u8>),
}

/// What happens to the opt-out lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOutLine {
    /// They stay as the caller wrote them: the call does not honour opting out.
    Untouched,
    /// All spellings go, and the one that opts out is written.
    Out,
    /// All spellings go, and the one that opts in is written: the caller's wish, which the operator allows.
    In,
    /// There was none, and none is written.
    Absent,
}

/// What is worth counting about a request that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marks {
    /// Its ID was derived.
    pub derived: bool,
    /// An alias was sent for its ID.
    pub rewritten: bool,
    /// Further IDs were taken off its label.
    pub cut: bool,
    /// Its label named another customer than its verified token, and was replaced.
    pub overridden: bool,
    /// It should carry a label and does not, and policy lets it through.
    pub unlabelled: bool,
    /// It is beta.
    pub beta: bool,
    /// The profile does not name it.
    pub unknown: bool,
    /// What it would have been refused with, had the mode been `enforce`.
    pub would_refuse: Option<Code>,
}

/// Leave to forward a request, and how. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit {
    labels: SmallVec<[Label; 1]>,
    label_line: LabelLine,
    opt_out: OptOutLine,
    marks: Marks,
}

impl Permit {
    /// Whose data it is; empty for a call that stores no customer's data.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// What becomes of the label line.
    #[must_use]
    pub const fn label_line(&self) -> &LabelLine {
        &self.label_line
    }

    /// What becomes of the opt-out lines.
    #[must_use]
    pub const fn opt_out(&self) -> OptOutLine {
        self.opt_out
    }

    /// What to count.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        self.marks
    }
}

/// Judges a request by its head.
#[must_use]
pub fn decide(rules: Rules<'_>, facts: &RequestFacts<'_>) -> Decision {
    let mut marks = Marks { beta: facts.class.beta, unknown: !facts.class.named, ..Marks::default() };
    let refused = refused_by_endpoint(rules.policy, facts.class);
    if let (Some(code), Mode::Enforce) = (refused, rules.policy.mode) {
        return Decision::Refuse(code.into());
    }
    marks.would_refuse = refused;
    let opt_out = judge_opt_out(rules.policy.opt_out, facts);
    let judged = match (facts.class.labelled, rules.policy.mode) {
        (false, mode) => rewrite_only(rules, facts, mode).map(Some),
        (true, Mode::Enforce) => enforce(rules, facts),
        (true, Mode::Observe) => Ok(Some(observe(rules, facts))),
    };
    match judged {
        Err(refusal) => Decision::Refuse(refusal),
        Ok(None) => Decision::Derive,
        Ok(Some(judged)) => Decision::Pass(permit(judged, opt_out, marks)),
    }
}

fn permit(judged: Judged, opt_out: OptOutLine, marks: Marks) -> Permit {
    let marks = Marks {
        derived: judged.derived,
        rewritten: judged.rewritten,
        cut: judged.cut,
        overridden: judged.overridden,
        unlabelled: judged.unlabelled,
        would_refuse: marks.would_refuse.or(judged.would_refuse),
        ..marks
    };
    Permit { labels: judged.labels, label_line: judged.line, opt_out, marks }
}

const fn refused_by_endpoint(policy: &Policy, class: Class) -> Option<Code> {
    match (class.named, class.beta, policy.unknown, policy.beta) {
        (false, _, Unknown::Refuse, _) => Some(Code::EndpointUnknown),
        (true, true, _, Beta::Refuse) => Some(Code::BetaRefused),
        _ => None,
    }
}

/// A labelled call under `mode = "enforce"`. `None` asks for derivation.
fn enforce(rules: Rules<'_>, facts: &RequestFacts<'_>) -> Result<Option<Judged>, Refusal> {
    if rules.policy.overrides {
        return overridden(rules, agreed_label(rules, facts)?.unwrap_or_default(), facts.derived);
    }
    by_label(rules, facts)
}

/// The caller's label counts; what is derived stands in for one that is missing.
fn by_label(rules: Rules<'_>, facts: &RequestFacts<'_>) -> Result<Option<Judged>, Refusal> {
    let label = agreed_label(rules, facts)?;
    if let Some(judged) = label.map(|value| judge_label(rules, value)).transpose()?.flatten() {
        return Ok(Some(judged));
    }
    match (rules.policy.missing, facts.derived) {
        (Missing::Derive, Derived::NotTried) => Ok(None),
        (Missing::Derive, Derived::Found(id)) => {
            let mut judged = judge_text(rules, id, label.unwrap_or_default())?;
            judged.derived = true;
            Ok(Some(judged))
        }
        (Missing::Derive, Derived::Unverified(reason)) => Err(reason.no_label()),
        (Missing::Derive, Derived::Nothing) | (Missing::Refuse, _) => Err(missing(facts)),
    }
}

/// The verified customer alone counts: what the caller's label says is looked at only to keep what is no customer's ID.
fn overridden(rules: Rules<'_>, label: &[u8], derived: Derived<'_>) -> Result<Option<Judged>, Refusal> {
    match derived {
        Derived::NotTried => Ok(None),
        Derived::Found(id) => labels::in_place_of(rules, id, label).map(Some),
        Derived::Unverified(reason) => Err(reason.refusal()),
        Derived::Nothing => Err(Unverified::NoToken.refusal()),
    }
}

fn missing(facts: &RequestFacts<'_>) -> Refusal {
    let blank = "The label names no customer: send the header X-Watson-Metadata: customer_id=YOUR_CUSTOMER_ID";
    match facts.header.or(facts.query) {
        Some(_) => Refusal::new(Code::LabelMissing, blank),
        None => Code::LabelMissing.into(),
    }
}

/// The label's value: header and query must agree about the customers where both are there.
fn agreed_label<'a>(rules: Rules<'_>, facts: &RequestFacts<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    let (Some(header), Some(query)) = (facts.header, facts.query) else { return Ok(facts.header.or(facts.query)) };
    let ids = |value| -> Result<Vec<CustomerId>, Refusal> {
        let reading = super::label::read(value, &rules.label.field, rules.label.grammar)?;
        reading.ids.iter().map(|id| super::label::canonical(id, rules.label.grammar)).collect()
    };
    if ids(header)? == ids(query)? { Ok(Some(header)) } else { Err(Code::LabelConflict.into()) }
}

/// A labelled call under `mode = "observe"`: nothing is changed or derived; what is legal is indexed as it was sent.
fn observe(rules: Rules<'_>, facts: &RequestFacts<'_>) -> Judged {
    let would = match by_label(rules, facts) {
        Err(refusal) => Some(refusal.code),
        Ok(None) => Some(Code::LabelMissing),
        Ok(Some(_)) => None,
    };
    let mut judged = Judged { would_refuse: would, ..Judged::default() };
    for value in [facts.header, facts.query].into_iter().flatten() {
        judged.labels.extend(labels::legal_as_sent(rules, value));
    }
    judged.labels.dedup_by(|a, b| a.id == b.id);
    judged.unlabelled = judged.labels.is_empty();
    judged
}

fn judge_opt_out(policy: OptOut, facts: &RequestFacts<'_>) -> OptOutLine {
    if !facts.class.opt_out {
        return OptOutLine::Untouched;
    }
    match (policy, facts.wish) {
        (OptOut::Force, _) | (OptOut::Default, None) | (_, Some(Wish::OptOut)) => OptOutLine::Out,
        (OptOut::Default | OptOut::Off, Some(Wish::OptIn)) => OptOutLine::In,
        (OptOut::Off, None) => OptOutLine::Absent,
    }
}

/// One label in a list.
fn one(label: Label) -> SmallVec<[Label; 1]> {
    smallvec![label]
}
