//! `[policy]` and `[upstream.policy]`: the common policy, and each upstream's with single keys of its own.

use super::super::file::{Table, Value};
use super::derive::derive;
use super::external_files::Outside;
use super::rules::RuleDraft;
use super::upstream::Draft;
use crate::domain::personal::{Known, PersonalPatterns};
use crate::domain::placeholders::Placeholders;
use crate::domain::policy::{
    AliasUse, Beta, Invalid, Missing, Mode, OptOut, Personal, Policy, Require, Several, Training, Unknown,
};

/// `[policy]`, and where it stands.
#[derive(Debug)]
pub(super) struct Common<'a> {
    pub(super) policy: Policy,
    table: Option<Table<'a>>,
}

pub(super) fn common<'a>(root: &Table<'a>, outside: &Outside<'_>) -> Common<'a> {
    let table = root.get("policy").and_then(|value| value.table("[policy]"));
    let policy = table.as_ref().map_or_else(Policy::default, |table| over(table, &Policy::default(), outside));
    Common { policy, table }
}

impl<'a> Common<'a> {
    pub(super) const fn table(&self) -> Option<&Table<'a>> {
        self.table.as_ref()
    }
}

const MODE: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
const MISSING: [(&str, Missing); 2] = [("refuse", Missing::Refuse), ("derive", Missing::Derive)];
const INVALID: [(&str, Invalid); 2] = [("refuse", Invalid::Refuse), ("rewrite", Invalid::Rewrite)];
const PERSONAL: [(&str, Personal); 3] =
    [("allow", Personal::Allow), ("refuse", Personal::Refuse), ("rewrite", Personal::Rewrite)];
const SEVERAL: [(&str, Several); 3] = [("first", Several::First), ("all", Several::All), ("refuse", Several::Refuse)];
const ALIAS: [(&str, AliasUse); 2] = [("invalid", AliasUse::Invalid), ("always", AliasUse::Always)];
const OPT_OUT: [(&str, OptOut); 3] = [("force", OptOut::Force), ("default", OptOut::Default), ("off", OptOut::Off)];
const BETA: [(&str, Beta); 2] = [("allow", Beta::Allow), ("refuse", Beta::Refuse)];
const TRAINING: [(&str, Training); 1] = [("allow", Training::Allow)];
const TRAINING_LATER: [&str; 1] = ["inspect"];
const UNKNOWN: [(&str, Unknown); 2] = [("forward", Unknown::Forward), ("refuse", Unknown::Refuse)];

/// The keys of `table` over those of `base`.
pub(super) fn over(table: &Table<'_>, base: &Policy, outside: &Outside<'_>) -> Policy {
    let training = table.get("training");
    let (derived, overrides) = (table.get("derive"), table.get("override"));
    let policy = Policy {
        mode: word(table, "mode", &MODE, base.mode),
        missing: word(table, "missing", &MISSING, base.missing),
        invalid: word(table, "invalid", &INVALID, base.invalid),
        personal: word(table, "personal", &PERSONAL, base.personal),
        several: word(table, "several", &SEVERAL, base.several),
        placeholders: placeholders(table).unwrap_or_else(|| base.placeholders.clone()),
        personal_patterns: personal_patterns(table).unwrap_or_else(|| base.personal_patterns.clone()),
        alias: word(table, "alias", &ALIAS, base.alias),
        opt_out: word(table, "opt_out", &OPT_OUT, base.opt_out),
        beta: word(table, "beta", &BETA, base.beta),
        training: training.and_then(|value| value.choice(&TRAINING, &TRAINING_LATER)).unwrap_or(base.training),
        unknown: word(table, "unknown", &UNKNOWN, base.unknown),
        require: require(table).unwrap_or_else(|| base.require.clone()),
        derive: derived.map_or_else(|| base.derive.clone(), |value| derive(&value, outside)),
        overrides: overrides.and_then(|value| value.flag()).unwrap_or(base.overrides),
    };
    table.close();
    policy
}

fn word<T: Clone>(table: &Table<'_>, key: &'static str, words: &[(&str, T)], base: T) -> T {
    let value = table.get(key);
    value.and_then(|value| value.choice(words, &[])).unwrap_or(base)
}

/// Characters of a placeholder or an expression.
const PATTERN_MAX: usize = 200;
/// Entries of such a list.
const PATTERNS_MAX: usize = 100;

fn placeholders(table: &Table<'_>) -> Option<Placeholders> {
    let form = "a list of texts that are no customer's ID, such as \"undefined\"; * stands for any text";
    let entries = bounded(&table.get("placeholders")?, form);
    let pattern = |entry: &Value<'_>| {
        let text = entry.text(form)?;
        if text.bytes().all(|byte| byte == b'*') || text.chars().count() > PATTERN_MAX {
            entry.fault("is empty, matches every ID or has more than 200 characters", form);
        }
        Some(text.to_owned())
    };
    let patterns: Vec<String> = entries.iter().filter_map(pattern).collect();
    Some(Placeholders::new(patterns.iter().map(String::as_str)))
}

fn personal_patterns(table: &Table<'_>) -> Option<PersonalPatterns> {
    let kinds = Known::NAMED.map(|(name, _)| name).join(", ");
    let form = format!("a list of {kinds} and {{ regex = \"…\" }}");
    let mut patterns = PersonalPatterns::none();
    for entry in bounded(&table.get("personal_patterns")?, &form) {
        if entry.is_text() {
            entry.choice(&Known::NAMED, &[]).into_iter().for_each(|known| patterns.add(known));
            continue;
        }
        let Some(own) = entry.table(&form) else { continue };
        let regex = own.need("regex", "an expression, such as \"^emp[0-9]{5}$\"");
        own.close();
        let Some((value, text)) = regex.and_then(|value| Some((value.clone(), value.text("an expression")?))) else {
            continue;
        };
        let long = text.is_empty() || text.chars().count() > PATTERN_MAX;
        if long || patterns.add_regex(text).is_err() {
            value.fault("is no regular expression of 1 to 200 characters", "the syntax of https://docs.rs/regex");
        }
    }
    Some(patterns)
}

fn bounded<'a>(list: &Value<'a>, form: &str) -> Vec<Value<'a>> {
    let mut entries = list.list(form);
    if entries.len() > PATTERNS_MAX {
        list.fault(format!("has more than {PATTERNS_MAX} entries"), form);
        entries.truncate(PATTERNS_MAX);
    }
    entries
}

fn require(table: &Table<'_>) -> Option<Vec<Require>> {
    let entries = table.get("require")?.list("a list of \"gdpr\" and \"hipaa\"");
    let words = [("gdpr", Require::Gdpr), ("hipaa", Require::Hipaa)];
    let mut required: Vec<Require> = entries.iter().filter_map(|entry| entry.choice(&words, &[])).collect();
    required.dedup();
    Some(required)
}

/// `derive` stands where, and only where, `missing = "derive"` makes use of it: one without the other is a mistake.
pub(super) fn derive_is_used(root: &Table<'_>, common: &Common<'_>, drafts: &[Draft<'_>]) {
    let right = "missing = \"derive\" and a list of places, such as derive = [ { header = \"X-User-Id\" } ]";
    for draft in drafts {
        let own = draft.policy_table.as_ref();
        let written = own.filter(|table| table.has("missing")).or(common.table.as_ref()).unwrap_or(root);
        let lists = draft.policy_lists_places(common.table.as_ref());
        if draft.policy.missing == Missing::Derive && !lists {
            let what = "is \"derive\", but `derive` lists no place to look in";
            root.report.fault(&written.place_of("missing"), what, right);
        }
        if let Some(own) = own.filter(|table| table.has("derive") && !draft.derives()) {
            root.report.fault(&own.place_of("derive"), "is used by nobody: `missing` is not \"derive\"", right);
        }
    }
    let inherits = |draft: &Draft<'_>| {
        let overridden = draft.policy_table.as_ref().is_some_and(|table| table.has("derive"));
        let by_rule = |rule: &RuleDraft<'_>| rule.rule.policy.missing == Missing::Derive && !rule.lists_places();
        !overridden && (draft.policy.missing == Missing::Derive || draft.rules.iter().any(by_rule))
    };
    let lists = common.table.as_ref().filter(|table| table.has("derive"));
    if let Some(table) = lists.filter(|_| !drafts.iter().any(inherits)) {
        let what = "is used by nobody: no upstream without a `derive` of its own has missing = \"derive\"";
        root.report.fault(&table.place_of("derive"), what, right);
    }
}
