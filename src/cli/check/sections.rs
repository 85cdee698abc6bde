//! What a good file means: the gate, its upstreams, its bounds, and what their services cannot do.

use super::instances::instances;
use super::table::{paragraph, table};
use crate::config::{
    Address, Config, Engine, IpRange, Limits, Listen, ListenMode, ListenTls, Metrics, Others, TlsVersion, Upstream,
    format_duration, format_size,
};
use crate::domain::profile::Profile;

pub(super) fn gate(config: &Config) -> String {
    let (admin, store) = (&config.admin, &config.store);
    let workers = config.workers.map_or_else(|| "one for each CPU".to_owned(), |workers| workers.to_string());
    let store_at = match store.engine {
        Engine::Sled => format!("sled in {}", store.path.display()),
        Engine::Memory => "memory: nothing outlives the process".to_owned(),
        Engine::Postgres => store.postgres.as_ref().map_or_else(String::new, |postgres| {
            format!("PostgreSQL at the URL in {}, schema {}", postgres.url.source(), postgres.schema)
        }),
    };
    let token = match &admin.token {
        Some(token) => format!("token in {}", token.source()),
        None => "no token: whoever is on this machine".to_owned(),
    };
    let metrics = match (&admin.token, admin.metrics) {
        (None, _) => "whoever is on this machine",
        (Some(_), Metrics::Token) => "whoever has that token, as a bearer",
        (Some(_), Metrics::Open) => "whoever reaches that address: they tell whether a customer is known",
    };
    let (lease, pages) = (format_duration(store.lease), format_size(store.cache_bytes));
    let cache = format!("{} pairs, each believed for {lease}; {pages} of pages", store.cache_entries);
    let snapshots = store.snapshot.as_ref().map_or_else(
        || "none: `forgetgate index export` takes one".to_owned(),
        |snapshot| {
            let (every, folder) = (format_duration(snapshot.every), snapshot.folder.display());
            format!("every {every} into {folder}, the last {} are kept", snapshot.keep)
        },
    );
    let lines = config.listen.iter().map(|listen| ("listens at", listener(listen))).chain([
        ("admin at", format!("{}{} ({token})", admin.address, over_tls(admin.tls.as_ref()))),
        ("metrics for", metrics.to_owned()),
        ("workers", workers),
        ("store", store_at),
        ("its key", store.key_file.display().to_string()),
        ("its cache", cache),
        ("snapshots", snapshots),
    ]);
    lines.map(|(what, value)| format!(" {what:<12}{value}\n")).collect()
}

/// What is shown and asked for at a listener.
fn over_tls(tls: Option<&ListenTls>) -> String {
    let Some(tls) = tls else { return String::new() };
    let shown: Vec<_> = tls.identities.iter().map(|identity| identity.cert.display().to_string()).collect();
    let asked = tls.client_ca.as_ref().map(|ca| format!(", for certificates signed by {}", ca.display()));
    format!(" over TLS {} and newer with {}{}", tls.min_version.as_str(), shown.join(", "), asked.unwrap_or_default())
}

fn listener(listen: &Listen) -> String {
    let mode = match listen.address {
        Address::Unix(_) => format!(" (mode {:04o})", listen.socket_mode),
        Address::Tcp(_) => String::new(),
    };
    let proxies = listen.proxy_protocol.as_ref().map(|protocol| match protocol.from.as_slice() {
        [] => ", each connection with a PROXY header, which is believed".to_owned(),
        from => format!(", each connection with a PROXY header, from {}", listed(from)),
    });
    let tls = over_tls(listen.tls.as_ref());
    format!("{}{mode}{tls}{}{}", listen.address, proxies.unwrap_or_default(), by_mode(listen))
}

/// What a mode other than the usual makes of it.
fn by_mode(listen: &Listen) -> String {
    let Listen { mode, interception, .. } = listen;
    let how = match mode {
        ListenMode::Reverse => return String::new(),
        ListenMode::Transparent => "what the system redirects there",
        ListenMode::Forward => "as an HTTP proxy",
    };
    let tls = match &interception.ca {
        Some(ca) => format!("TLS to named hosts is opened with {}", ca.cert.display()),
        None => "TLS to named hosts is refused, since there is no ca".to_owned(),
    };
    let others = match (interception.others, mode) {
        (Others::Refuse, _) => "other hosts are refused".to_owned(),
        (Others::Tunnel, ListenMode::Forward) => {
            let ports: Vec<String> = interception.tunnel_ports.iter().map(u16::to_string).collect();
            format!("TLS to other hosts passes unseen (ports {})", ports.join(", "))
        }
        (Others::Tunnel, _) => "TLS to other hosts passes unseen".to_owned(),
    };
    format!(", {how}: {tls}; {others}")
}

fn listed(ranges: &[IpRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A line for the address, so that it can be copied whole, and lines for what is special about it.
pub(super) fn upstreams(config: &Config) -> String {
    let longest = config.upstreams.iter().map(|upstream| upstream.name.len()).max().unwrap_or_default().min(40);
    let lines = config.upstreams.iter().map(|upstream| {
        let margin = " ".repeat(longest);
        let (name, profile, also) = (&*upstream.name, &upstream.profile.name, remarks(upstream));
        let first = format!(" {name:<longest$}  {} → {}\n", route(upstream), upstream.url);
        let margin = format!(" {margin}  ");
        first + &paragraph(&format!("{profile}{also}"), &margin) + &paragraph(&instances(upstream), &margin)
    });
    lines.collect()
}

fn route(upstream: &Upstream) -> String {
    if upstream.retired {
        return "retired".to_owned();
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
        upstream.webchat_opt_out.then(|| "Web Chat in its pages opts out".to_owned()),
        upstream.held_labels_before.then(|| "labelled before the gate".to_owned()),
        upstream.version.as_ref().map(|version| format!("version {version}")),
        (!upstream.erase_api.is_empty()).then(|| format!("deletes by v{}", versions(&upstream.erase_api))),
        upstream.tls.ca.as_ref().map(|path| format!("roots in {}", path.display())),
        upstream.tls.identity.as_ref().map(|identity| format!("shows {}", identity.cert.display())),
        (upstream.tls.min_version > TlsVersion::V1_2).then(|| "TLS 1.3 only".to_owned()),
        (!instance.is_empty()).then(|| instance.join(" ")),
    ];
    said.into_iter().flatten().map(|one| format!(", {one}")).collect()
}

fn versions(apis: &[u8]) -> String {
    apis.iter().map(u8::to_string).collect::<Vec<_>>().join(" and v")
}

pub(super) fn limits(config: &Config) -> String {
    let default = Limits::default().rows();
    let rows: Vec<[String; 2]> = config
        .limits
        .rows()
        .into_iter()
        .zip(default)
        .map(|((key, value), (_, default))| {
            let value = if value == default { value } else { format!("{value} (default {default})") };
            [key, value]
        })
        .collect();
    let (left, right) = rows.split_at(rows.len().div_ceil(2));
    let empty = [String::new(), String::new()];
    let pairs = left.iter().zip(right.iter().chain(std::iter::repeat(&empty)));
    let pairs = pairs.map(|([a, b], [c, d])| [a.clone(), b.clone(), c.clone(), d.clone()]);
    table(["limit", "value", "limit", "value"], pairs)
}

/// What the profiles in use say of their services, each once.
pub(super) fn notes(config: &Config) -> String {
    let mut profiles: Vec<&Profile> = Vec::new();
    for upstream in &config.upstreams {
        if !profiles.iter().any(|seen| seen.name == upstream.profile.name) {
            profiles.push(&upstream.profile);
        }
    }
    profiles.retain(|profile| !profile.notes.is_empty());
    let said = profiles.into_iter().map(|profile| {
        let notes: String = profile.notes.iter().map(|note| paragraph(&format!("- {note}"), " ")).collect();
        format!(" {}\n{notes}", profile.name)
    });
    said.collect()
}
