//! What a good file means, section by section.

use serde::Serialize;

use super::table::{paragraph, table};
use crate::config::{Authorize, Config, Limits, Upstream, format_duration, format_size};
use crate::domain::policy::{DeriveFrom, Missing, Policy};

pub(super) fn gate(config: &Config) -> String {
    let (admin, store) = (&config.admin, &config.store);
    let workers = config.workers.map_or_else(|| "one for each CPU".to_owned(), |workers| workers.to_string());
    let store_at = match store.engine {
        crate::config::Engine::Sled => format!("sled in {}", store.path.display()),
        crate::config::Engine::Memory => "memory: nothing outlives the process".to_owned(),
    };
    let token = match &admin.token {
        Some(token) => format!("token in {}", token.source()),
        None => "no token: whoever is on this machine".to_owned(),
    };
    let lines = config.listen.iter().map(|listen| ("listens at", listen.address.to_string())).chain([
        ("admin at", format!("{} ({token})", admin.address)),
        ("workers", workers),
        ("store", store_at),
        ("its key", store.key_file.display().to_string()),
        ("its cache", format!("{} pairs, believed for {}; {} of pages", store.cache_entries, format_duration(store.lease), format_size(store.cache_bytes))),
    ]);
    lines.map(|(what, value)| paragraph(&format!("{what:<12}{value}").replace(' ', "\u{a0}"), 13).replace('\u{a0}', " ")).collect()
}

pub(super) fn upstreams(config: &Config) -> String {
    let rows = config.upstreams.iter().map(|upstream| {
        [upstream.name.to_string(), upstream.profile.name.clone(), route(upstream), upstream.url.to_string(), remarks(upstream)]
    });
    table(["upstream", "profile", "route", "leads to", "also"], rows)
}

fn route(upstream: &Upstream) -> String {
    if upstream.retired {
        return "none: retired".to_owned();
    }
    let path = upstream.route.path.as_deref().map(|path| if path.is_empty() { "/" } else { path });
    let hosts = upstream.route.hosts.join(", ");
    match (path, hosts.as_str()) {
        (Some(path), "") => path.to_owned(),
        (Some(path), hosts) => format!("{path} of {hosts}"),
        (None, hosts) => hosts.to_owned(),
    }
}

fn remarks(upstream: &Upstream) -> String {
    let credentials = upstream.credentials.as_ref();
    let instance = [&upstream.plan, &upstream.region, &upstream.created];
    let instance: Vec<&str> = instance.into_iter().flatten().map(String::as_str).collect();
    let said = [
        (!upstream.passes_to.is_empty()).then(|| format!("passes IDs to {}", upstream.passes_to.join(", "))),
        credentials.map(|credentials| format!("{} for the gate's calls", credentials.kind())),
        upstream.inject.then(|| "and injected".to_owned()),
        upstream.forwarded.then(|| "X-Forwarded-*".to_owned()),
        upstream.held_labels_before.then(|| "labelled before the gate".to_owned()),
        upstream.version.as_ref().map(|version| format!("version {version}")),
        upstream.tls.ca.as_ref().map(|path| format!("roots in {}", path.display())),
        (!instance.is_empty()).then(|| instance.join(" ")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn policy(config: &Config) -> String {
    let heading = ["upstream", "mode", "missing", "invalid", "personal", "several", "alias", "opt_out", "beta", "training", "unknown"];
    let rows = config.upstreams.iter().map(|upstream| policy_row(&upstream.name, &upstream.policy));
    let below = config.upstreams.iter().flat_map(|upstream| {
        let places: Vec<String> = upstream.policy.derive.iter().map(derive_place).collect();
        let derives = (upstream.policy.missing == Missing::Derive).then(|| format!("{} derives from {}", upstream.name, places.join(", then ")));
        let required: Vec<String> = upstream.policy.require.iter().map(word).collect();
        let requires = (!required.is_empty()).then(|| format!("{} meets {}, as far as this file tells", upstream.name, required.join(" and ")));
        derives.into_iter().chain(requires)
    });
    let below: String = below.map(|text| paragraph(&text, 3)).collect();
    if below.is_empty() { table(heading, rows) } else { format!("{}\n{below}", table(heading, rows)) }
}

fn policy_row(name: &str, policy: &Policy) -> [String; 11] {
    [
        name.to_owned(),
        word(&policy.mode),
        word(&policy.missing),
        word(&policy.invalid),
        word(&policy.personal),
        word(&policy.several),
        word(&policy.alias),
        word(&policy.opt_out),
        word(&policy.beta),
        word(&policy.training),
        word(&policy.unknown),
    ]
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
        DeriveFrom::Jwt(claim) => format!("jwt {claim} (signature not checked)"),
        DeriveFrom::Json(pointer) => format!("json {pointer}"),
        DeriveFrom::Multipart { part, json: None } => format!("multipart {part}"),
        DeriveFrom::Multipart { part, json: Some(pointer) } => format!("multipart {part} json {pointer}"),
    }
}

pub(super) fn authority(config: &Config) -> String {
    let everywhere = "every upstream".to_owned();
    let listeners: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    let mut rows = match &config.erasure.authorize {
        Authorize::Home => homes(config),
        Authorize::Token(token) => vec![["whoever has the token".to_owned(), format!("Forgetgate-Authorization ({})", token.source()), everywhere.clone()]],
        Authorize::Open => vec![["anyone".to_owned(), format!("reaching {}", listeners.join(", ")), everywhere.clone()]],
    };
    rows.push(match &config.admin.token {
        Some(token) => ["whoever has the admin token".to_owned(), format!("the admin API ({})", token.source()), everywhere],
        None => ["anyone on this machine".to_owned(), format!("the admin API at {}", config.admin.address), everywhere],
    });
    let erasure = &config.erasure;
    let bounds = format!(
        "authorize = {:?}; at most {} a minute without approval; due within {}; a customer's new requests wait up to {}",
        erasure.authorize.word(), erasure.erasures_per_minute, format_duration(erasure.deadline), format_duration(erasure.barrier_timeout),
    );
    format!("{}\n{}", table(["who", "proved by", "erases a customer at"], rows), paragraph(&bounds, 3))
}

/// One row for each upstream at which authority can be proved.
fn homes(config: &Config) -> Vec<[String; 3]> {
    let row = |upstream: &Upstream| {
        let reached: Vec<&str> = config.group_of(upstream).map(|other| &*other.name).collect();
        let everyone = reached.len() == config.upstreams.len();
        let reached = if everyone { "every upstream".to_owned() } else { reached.join(", ") };
        [
            format!("whom {} lets delete", upstream.name),
            format!("its 2xx to their own credentials"),
            format!("{reached} (group {})", upstream.group),
        ]
    };
    config.upstreams.iter().filter(|upstream| !upstream.retired).map(|upstream| row(upstream)).collect()
}

pub(super) fn limits(config: &Config) -> String {
    let default = Limits::default().rows();
    let rows: Vec<[String; 2]> = config.limits.rows().into_iter().zip(default).map(|((key, value), (_, default))| {
        let value = if value == default { value } else { format!("{value} (default {default})") };
        [key.to_owned(), value]
    }).collect();
    let (left, right) = rows.split_at(rows.len().div_ceil(2));
    let empty = [String::new(), String::new()];
    let pairs = left.iter().zip(right.iter().chain(std::iter::repeat(&empty)));
    let pairs = pairs.map(|([a, b], [c, d])| [a.clone(), b.clone(), c.clone(), d.clone()]);
    table(["limit", "value", "limit", "value"], pairs)
}

/// What the profiles in use say of their services, each once.
pub(super) fn notes(config: &Config) -> String {
    let mut said: Vec<(&str, &str)> = Vec::new();
    for upstream in &config.upstreams {
        for note in &upstream.profile.notes {
            let one = (upstream.profile.name.as_str(), note.as_str());
            if !said.contains(&one) {
                said.push(one);
            }
        }
    }
    said.iter().map(|(profile, note)| paragraph(&format!("{profile}: {note}"), 3)).collect()
}
