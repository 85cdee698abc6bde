//! The policy of each upstream, as a table, and under it what has no room there.

use std::sync::Arc;

use serde::Serialize;

use super::table::{paragraph, table};
use crate::config::{Config, Upstream};
use crate::domain::policy::{DeriveFrom, Missing, Policy, Training};

pub(super) fn policy(config: &Config) -> String {
    let heading =
        ["upstream", "mode", "missing", "invalid", "personal", "several", "alias", "opt_out", "beta", "unknown"];
    let rows = config.upstreams.iter().flat_map(|upstream| {
        let rules = upstream.rules.iter().enumerate();
        let own = policy_row(&upstream.name, &upstream.policy);
        [own].into_iter().chain(rules.map(|(at, rule)| policy_row(&rule_name(&upstream.name, at), &rule.policy)))
    });
    let below: String = config.upstreams.iter().flat_map(said_below).collect();
    format!("{}\n{below}", table(heading, rows))
}

fn rule_name(upstream: &str, at: usize) -> String {
    format!("{upstream} rule {}", at + 1)
}

/// What has no room in the table, of an upstream and of its rules.
fn said_below(upstream: &Arc<Upstream>) -> Vec<String> {
    let rules = upstream.rules.iter().enumerate().flat_map(|(at, rule)| {
        let name = rule_name(&upstream.name, at);
        let holds = format!("{name} holds for {}", rule.when);
        let own = if rule.policy.derive == upstream.policy.derive
            && rule.policy.missing == upstream.policy.missing
            && rule.policy.overrides == upstream.policy.overrides
        {
            String::new()
        } else {
            policy_words(&name, &Policy { require: Vec::new(), ..rule.policy.clone() })
        };
        [paragraph(&holds, " "), own]
    });
    [policy_words(&upstream.name, &upstream.policy)].into_iter().chain(rules).collect()
}

fn policy_row(name: &str, policy: &Policy) -> [String; 10] {
    let words = [
        word(&policy.mode),
        word(&policy.missing),
        word(&policy.invalid),
        word(&policy.personal),
        word(&policy.several),
        word(&policy.alias),
        word(&policy.opt_out),
        word(&policy.beta),
        word(&policy.unknown),
    ];
    let mut row: [String; 10] = Default::default();
    for (cell, text) in row.iter_mut().zip([name.to_owned()].into_iter().chain(words)) {
        *cell = text;
    }
    row
}

/// What has no room in the table.
fn policy_words(name: &str, policy: &Policy) -> String {
    let places: Vec<String> = policy.derive.iter().map(derive_place).collect();
    let derives =
        (policy.missing == Missing::Derive).then(|| format!("{name} derives from {}", places.join(", then ")));
    let overrides = policy.overrides.then(|| {
        format!("{name} puts that customer in place of whatever callers' labels name; without such a token it refuses")
    });
    let required: Vec<String> = policy.require.iter().map(word).collect();
    let requires = (!required.is_empty())
        .then(|| format!("{name} is required to suit {}: what this file says of it does", required.join(" and ")));
    let inspects = (policy.training != Training::Allow).then(|| format!("{name} has its training data inspected"));
    let said = [derives, overrides, requires, inspects];
    said.into_iter().flatten().map(|text| paragraph(&text, " ")).collect()
}

/// The word that the file has for a choice.
fn word(choice: &impl Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

fn derive_place(from: &DeriveFrom) -> String {
    match from {
        DeriveFrom::Header(name) => format!("header {name}"),
        DeriveFrom::Query(name) => format!("query {name}"),
        DeriveFrom::Cookie(name) => format!("cookie {name}"),
        DeriveFrom::BasicUsername => "basic username".to_owned(),
        DeriveFrom::Jwt(claim) => format!("jwt {claim} (unverified)"),
        DeriveFrom::VerifiedJwt { claim, by } => {
            let audience = by.audience.as_ref().map_or_else(String::new, |audience| format!(", audience {audience}"));
            format!("jwt {claim} (verified by {}, issuer {}{audience})", by.keys, by.issuer)
        }
        DeriveFrom::Json(pointer) => format!("json {pointer}"),
        DeriveFrom::Multipart { part, json: None } => format!("multipart {part}"),
        DeriveFrom::Multipart { part, json: Some(pointer) } => format!("multipart {part} json {pointer}"),
    }
}
