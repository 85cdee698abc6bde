//! `[policy]` and `[upstream.policy]`: the common policy, and each upstream's with single keys of its own.

use super::super::file::Table;
use super::derive::derive;
use super::upstream::Draft;
use crate::domain::policy::{
    AliasUse, Beta, Invalid, Missing, Mode, OptOut, Personal, Policy, Require, Several, Training, Unknown,
};

/// `[policy]`, and where it stands.
#[derive(Debug)]
pub(super) struct Common<'a> {
    pub(super) policy: Policy,
    table: Option<Table<'a>>,
}

pub(super) fn common<'a>(root: &Table<'a>) -> Common<'a> {
    let table = root.get("policy").and_then(|value| value.table("[policy]"));
    let policy = table.as_ref().map_or_else(Policy::default, |table| over(table, &Policy::default()));
    Common { policy, table }
}

/// The keys of `table` over those of `base`.
pub(super) fn over(table: &Table<'_>, base: &Policy) -> Policy {
    let policy = Policy {
        mode: word(table, "mode", &[("enforce", Mode::Enforce), ("observe", Mode::Observe)], base.mode),
        missing: word(table, "missing", &[("refuse", Missing::Refuse), ("derive", Missing::Derive)], base.missing),
        invalid: word(table, "invalid", &[("refuse", Invalid::Refuse), ("rewrite", Invalid::Rewrite)], base.invalid),
        personal: word(
            table,
            "personal",
            &[("allow", Personal::Allow), ("refuse", Personal::Refuse), ("rewrite", Personal::Rewrite)],
            base.personal,
        ),
        several: word(
            table,
            "several",
            &[("first", Several::First), ("all", Several::All), ("refuse", Several::Refuse)],
            base.several,
        ),
        alias: word(table, "alias", &[("invalid", AliasUse::Invalid), ("always", AliasUse::Always)], base.alias),
        opt_out: word(
            table,
            "opt_out",
            &[("force", OptOut::Force), ("default", OptOut::Default), ("off", OptOut::Off)],
            base.opt_out,
        ),
        beta: word(table, "beta", &[("allow", Beta::Allow), ("refuse", Beta::Refuse)], base.beta),
        training: training(table, base.training),
        unknown: word(table, "unknown", &[("forward", Unknown::Forward), ("refuse", Unknown::Refuse)], base.unknown),
        require: require(table).unwrap_or_else(|| base.require.clone()),
        derive: table.get("derive").map_or_else(|| base.derive.clone(), |value| derive(&value)),
    };
    table.close();
    policy
}

fn word<T: Clone>(table: &Table<'_>, key: &'static str, words: &[(&str, T)], base: T) -> T {
    table.get(key).and_then(|value| value.choice(words, &[])).unwrap_or(base)
}

fn training(table: &Table<'_>, base: Training) -> Training {
    let value = table.get("training");
    value.and_then(|value| value.choice(&[("allow", Training::Allow)], &["inspect"])).unwrap_or(base)
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
        if let Some(own) = own.filter(|table| table.has("derive") && draft.policy.missing != Missing::Derive) {
            root.report.fault(&own.place_of("derive"), "is used by nobody: `missing` is not \"derive\"", right);
        }
    }
    let inherits = |draft: &Draft<'_>| {
        let overridden = draft.policy_table.as_ref().is_some_and(|table| table.has("derive"));
        draft.policy.missing == Missing::Derive && !overridden
    };
    if let Some(table) = common.table.as_ref().filter(|table| table.has("derive")) {
        if !drafts.iter().any(inherits) {
            let what = "is used by nobody: no upstream without a `derive` of its own has missing = \"derive\"";
            root.report.fault(&table.place_of("derive"), what, right);
        }
    }
}
