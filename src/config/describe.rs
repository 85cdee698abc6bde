//! The effective configuration for people and programs: what `check --json` prints and the admin API shows.
//!
//! It has the file's own key names. A secret is shown by the place where it is found, never by its text.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    Address, Admin, Authorize, Config, Credentials, Erasure, HttpProxy, Identity, InstanceEntry, Limits, Listen,
    ListenTls, Log, LogFormat, OpenWebsockets, OwnErasure, OwnLimits, PolicyRule, Secret, SecretSource, Store,
    Upstream, UpstreamTls, When, format_duration, format_size,
};
use crate::domain::policy::{DeriveFrom, Policy};
use crate::domain::token::KeysAt;

impl Config {
    /// The whole configuration with every default filled in.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "listen": self.listen.iter().map(listener).collect::<Vec<_>>(),
            "process": { "workers": self.workers.map_or_else(|| json!("auto"), |workers| json!(workers)) },
            "log": log(&self.log),
            "admin": admin(&self.admin),
            "store": store(&self.store),
            "erasure": erasure(&self.erasure),
            "limits": limits(&self.limits),
            "upstream": self.upstreams.iter().map(|one| upstream(one)).collect::<Vec<_>>(),
        })
    }
}

impl Limits {
    /// Every limit: its key, and its value as the file would write it.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, String); 17] {
        let bytes = |size: usize| format_size(u64::try_from(size).unwrap_or(u64::MAX));
        [
            ("connections_max", self.connections_max.to_string()),
            ("in_flight_max", self.in_flight_max.to_string()),
            ("headers_max", self.headers_max.to_string()),
            ("header_bytes_max", bytes(self.header_bytes_max)),
            ("inspected_body_bytes_max", bytes(self.inspected_body_bytes_max)),
            ("header_timeout", format_duration(self.header_timeout)),
            ("idle_timeout", format_duration(self.idle_timeout)),
            ("body_stall_timeout", format_duration(self.body_stall_timeout)),
            ("body_rate_min", self.body_rate_min.to_string()),
            ("connect_timeout", format_duration(self.connect_timeout)),
            ("upstream_connections_max", self.upstream_connections_max.to_string()),
            ("upstream_idle_timeout", format_duration(self.upstream_idle_timeout)),
            ("upstream_connection_age", format_duration(self.upstream_connection_age)),
            ("response_timeout", format_duration(self.response_timeout)),
            ("answer_stall_timeout", format_duration(self.answer_stall_timeout)),
            ("event_stream_timeout", format_duration(self.event_stream_timeout)),
            ("drain_timeout", format_duration(self.drain_timeout)),
        ]
    }
}

impl Credentials {
    /// Their kind, as the file names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "apikey",
            Self::Iam { .. } => "iam",
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer",
        }
    }
}

impl Authorize {
    /// The word that the file has for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Token(_) => "token",
            Self::Open => "open",
        }
    }
}

/// Numbers stay numbers.
fn limits(limits: &Limits) -> Value {
    let value = |value: String| value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
    limits.rows().into_iter().map(|(key, written)| (key.to_owned(), value(written))).collect()
}

fn listener(listen: &Listen) -> Value {
    let proxies = match listen.proxy_protocol.as_ref().map(|protocol| protocol.from.as_slice()) {
        None => json!(false),
        Some([]) => json!(true),
        Some(from) => json!({ "from": from.iter().map(ToString::to_string).collect::<Vec<_>>() }),
    };
    let mut all = match &listen.address {
        Address::Tcp(address) => {
            json!({ "address": address.to_string(), "proxy_protocol": proxies, "http2": listen.http2 })
        }
        unix @ Address::Unix(_) => {
            let mode = format!("{:04o}", listen.socket_mode);
            json!({ "address": unix.to_string(), "socket_mode": mode, "proxy_protocol": proxies, "http2": listen.http2 })
        }
    };
    if let (Some(all), Some(further)) = (all.as_object_mut(), listen.describe_mode().as_object_mut()) {
        all.insert("tls".to_owned(), listen.tls.as_ref().map_or(Value::Null, listen_tls));
        all.append(further);
    }
    all
}

fn log(log: &Log) -> Value {
    let format = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    json!({ "format": format, "level": log.level, "access": log.access })
}

fn admin(admin: &Admin) -> Value {
    json!({
        "address": admin.address.to_string(),
        "token": admin.token.as_ref().map(secret),
        "metrics": admin.metrics.as_str(),
        "tls": admin.tls.as_ref().map(listen_tls),
    })
}

fn listen_tls(tls: &ListenTls) -> Value {
    let identity = |identity: &Identity| json!({ "cert": path(&identity.cert), "key": path(&identity.key) });
    json!({
        "certs": tls.identities.iter().map(identity).collect::<Vec<_>>(),
        "client_ca": tls.client_ca.as_deref().map(path),
        "min_version": tls.min_version.as_str(),
    })
}

fn upstream_tls(tls: &UpstreamTls) -> Value {
    json!({
        "ca": tls.ca.as_deref().map(path),
        "cert": tls.identity.as_ref().map(|identity| path(&identity.cert)),
        "key": tls.identity.as_ref().map(|identity| path(&identity.key)),
        "min_version": tls.min_version.as_str(),
    })
}

fn path(path: &Path) -> Value {
    json!(path.to_string_lossy())
}

fn store(store: &Store) -> Value {
    if let Some(postgres) = &store.postgres {
        return json!({
            "engine": store.engine.as_str(),
            "url": secret(&postgres.url),
            "schema": postgres.schema,
            "ttl": format_duration(postgres.ttl),
            "notify_url": postgres.notify_url.as_ref().map(secret),
            "tls": upstream_tls(&postgres.tls),
            "key": { "file": store.key_file.to_string_lossy() },
            "lease": format_duration(store.lease),
            "cache_entries": store.cache_entries,
        });
    }
    json!({
        "engine": store.engine.as_str(),
        "path": store.path.to_string_lossy(),
        "key": { "file": store.key_file.to_string_lossy() },
        "lease": format_duration(store.lease),
        "cache_entries": store.cache_entries,
        "cache_bytes": format_size(store.cache_bytes),
        "snapshot": store.snapshot.as_ref().map(|snapshot| json!({
            "every": format_duration(snapshot.every),
            "keep": snapshot.keep,
            "path": path(&snapshot.folder),
        })),
    })
}

fn token(authorize: &Authorize) -> Option<Value> {
    match authorize {
        Authorize::Token(token) => Some(secret(token)),
        Authorize::Home | Authorize::Open => None,
    }
}

const fn websockets(open: OpenWebsockets) -> &'static str {
    match open {
        OpenWebsockets::Wait => "wait",
        OpenWebsockets::Close => "close",
    }
}

/// Only what an upstream says itself.
fn own_limits(limits: &OwnLimits) -> Value {
    let OwnLimits { connect, response, body_stall, answer_stall, event_stream } = limits;
    let all = [
        ("connect_timeout", connect),
        ("response_timeout", response),
        ("body_stall_timeout", body_stall),
        ("answer_stall_timeout", answer_stall),
        ("event_stream_timeout", event_stream),
    ];
    let said = all.into_iter().filter_map(|(key, time)| Some((key.to_owned(), format_duration((*time)?).into())));
    Value::Object(said.collect())
}

fn own_erasure(erasure: &OwnErasure) -> Value {
    json!({
        "authorize": erasure.authorize.as_ref().map(Authorize::word),
        "token": erasure.authorize.as_ref().and_then(token),
        "open_websockets": erasure.open_websockets.map(websockets),
    })
}

fn erasure(erasure: &Erasure) -> Value {
    json!({
        "authorize": erasure.authorize.word(),
        "token": token(&erasure.authorize),
        "deadline": format_duration(erasure.deadline),
        "erasures_per_minute": erasure.erasures_per_minute,
        "barrier_timeout": format_duration(erasure.barrier_timeout),
        "retention": format_duration(erasure.retention),
        "open_websockets": websockets(erasure.open_websockets),
    })
}

fn upstream(upstream: &Upstream) -> Value {
    json!({
        "name": &*upstream.name,
        "profile": upstream.profile.name,
        "url": upstream.url.to_string(),
        "route": { "path": upstream.route.path, "hosts": upstream.route.hosts },
        "credentials": upstream.credentials.as_ref().map(credentials),
        "instances": upstream.instances.rule.as_str(),
        "instance": upstream.instances.named.iter().map(instance).collect::<Vec<_>>(),
        "erase_api": upstream.erase_api,
        "group": upstream.group,
        "retired": upstream.retired,
        "forwarded": upstream.forwarded,
        "inject": upstream.inject,
        "webchat_opt_out": upstream.webchat_opt_out,
        "version": upstream.version,
        "held_labels_before": upstream.held_labels_before,
        "passes_to": upstream.passes_to.iter().map(|name| &**name).collect::<Vec<_>>(),
        "erase": "label",
        "tls": upstream_tls(&upstream.tls),
        "http2": upstream.http2.as_str(),
        "settle": format_duration(upstream.settle()),
        "deletes_per_minute": upstream.deletes_per_minute(),
        "proxy": proxy(&upstream.proxy),
        "limits": own_limits(&upstream.limits),
        "erasure": own_erasure(&upstream.erasure),
        "plan": upstream.plan,
        "region": upstream.region,
        "created": upstream.created,
        "policy": policy(&upstream.policy),
        "rules": upstream.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn instance(entry: &InstanceEntry) -> Value {
    json!({
        "name": &*entry.name,
        "path": entry.path,
        "credentials": entry.credentials.as_ref().map(credentials),
        "also": entry.also.iter().map(credentials).collect::<Vec<_>>(),
    })
}

fn credentials(credentials: &Credentials) -> Value {
    let value = match credentials {
        Credentials::ApiKey(key) => secret(key),
        Credentials::Iam { apikey, url, tls } => {
            json!({ "apikey": secret(apikey), "url": url.to_string(), "tls": upstream_tls(tls) })
        }
        Credentials::Basic { username, password } => {
            json!({ "username": username, "password": secret(password) })
        }
        Credentials::Bearer(token) => secret(token),
    };
    json!({ credentials.kind(): value })
}

fn secret(secret: &Secret) -> Value {
    match secret.source() {
        SecretSource::File(path) => json!({ "file": path.to_string_lossy() }),
        SecretSource::Env(name) => json!({ "env": name }),
    }
}

fn policy(policy: &Policy) -> Value {
    json!({
        "mode": policy.mode,
        "missing": policy.missing,
        "invalid": policy.invalid,
        "personal": policy.personal,
        "several": policy.several,
        "alias": policy.alias,
        "opt_out": policy.opt_out,
        "beta": policy.beta,
        "training": policy.training,
        "unknown": policy.unknown,
        "require": policy.require,
        "derive": policy.derive.iter().map(derive).collect::<Vec<_>>(),
        "override": policy.overrides,
    })
}

fn rule(rule: &PolicyRule) -> Value {
    let When { endpoints, methods, clients, header, listeners } = &rule.when;
    let texts = |all: &[Box<str>]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "when": {
            "endpoint": texts(endpoints),
            "method": texts(methods),
            "client": clients.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "header": header.as_ref().map(|header| json!({ "name": header.name, "value": header.value })),
            "listener": listeners.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "policy": policy(&rule.policy),
    })
}

fn derive(from: &DeriveFrom) -> Value {
    match from {
        DeriveFrom::Header(name) => json!({ "header": name }),
        DeriveFrom::Query(name) => json!({ "query": name }),
        DeriveFrom::Cookie(name) => json!({ "cookie": name }),
        DeriveFrom::BasicUsername => json!({ "basic": "username" }),
        DeriveFrom::Jwt(claim) => json!({ "jwt": claim }),
        DeriveFrom::VerifiedJwt { claim, by } => {
            json!({ "jwt": claim, "jwks": keys(&by.keys), "issuer": by.issuer, "audience": by.audience })
        }
        DeriveFrom::Json(pointer) => json!({ "json": pointer }),
        DeriveFrom::Multipart { part, json: None } => json!({ "multipart": part }),
        DeriveFrom::Multipart { part, json: Some(pointer) } => json!({ "multipart": part, "json": pointer }),
    }
}

fn keys(at: &KeysAt) -> Value {
    match at {
        KeysAt::Url { url, ca: None } => json!({ "url": url }),
        KeysAt::Url { url, ca: Some(ca) } => json!({ "url": url, "tls": { "ca": path(ca) } }),
        KeysAt::File(file) => json!({ "file": path(file) }),
    }
}

fn proxy(proxy: &HttpProxy) -> Value {
    match proxy {
        HttpProxy::Env => json!("env"),
        HttpProxy::None => json!("none"),
        HttpProxy::At { url, login: None } => json!({ "url": url.to_string() }),
        HttpProxy::At { url, login: Some((username, password)) } => {
            json!({ "url": url.to_string(), "username": username, "password": secret(password) })
        }
    }
}
