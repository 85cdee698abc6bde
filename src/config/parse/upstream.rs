//! `[[upstream]]`

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;

use super::super::file::{Table, Value};
use super::super::{
    Authorize, BaseUrl, Credentials, EraseBy, Http2, HttpProxy, Instances, OwnErasure, OwnLimits, Route, Upstream,
    UpstreamTls,
};
use super::bounded::{count, duration};
use super::credentials::{credentials, url};
use super::erasure::own_erasure;
use super::external_files::Outside;
use super::http_proxy::http_proxy;
use super::instances::{erase_api, instances};
use super::limits::own_limits;
use super::policy::{Common, over};
use super::profiles::Profiles;
use super::route::route;
use super::rules::{RuleDraft, rules};
use super::tls;
use crate::domain::policy::{Missing, Policy};
use crate::domain::profile::Profile;

/// A service that took longer than this would never be seen to have deleted.
const SETTLE_MAX: Duration = Duration::from_secs(365 * 86_400);

/// An upstream as far as it could be read, and where it stands.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) table: Table<'a>,
    pub(super) policy_table: Option<Table<'a>>,
    pub(super) name: Option<Arc<str>>,
    pub(super) profile: Option<Arc<Profile>>,
    pub(super) url: Option<BaseUrl>,
    pub(super) route: Option<Route>,
    pub(super) policy: Policy,
    pub(super) rules: Vec<RuleDraft<'a>>,
    pub(super) passes_to: Vec<(Value<'a>, Arc<str>)>,
    credentials: Option<Credentials>,
    instances: Instances,
    erase_api: Vec<u8>,
    pub(super) group: String,
    flags: Flags,
    version: Option<String>,
    settle: Option<Duration>,
    deletes_per_minute: Option<u32>,
    tls: UpstreamTls,
    http2: Http2,
    proxy: HttpProxy,
    limits: OwnLimits,
    pub(super) erasure: OwnErasure,
    pub(super) instance: Instance,
}

/// The switches of an upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    pub(super) retired: bool,
    forwarded: bool,
    pub(super) inject: bool,
    held_labels_before: bool,
    webchat_opt_out: bool,
}

/// What IBM sold, for `require`.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) plan: Option<String>,
    pub(super) region: Option<String>,
    pub(super) created: Option<Date>,
}

pub(super) fn upstreams<'a>(
    root: &Table<'a>,
    common: &Common<'a>,
    profiles: &Profiles,
    outside: &Outside<'_>,
) -> Vec<Draft<'a>> {
    let form = "[[upstream]] with name, profile, url and route";
    let entries = root.need("upstream", form).map_or_else(Vec::new, |value| {
        let entries = value.list(form);
        if value.is_list() && entries.is_empty() {
            value.fault("is empty", form);
        }
        entries
    });
    entries.iter().filter_map(|entry| Some(upstream(entry.table(form)?, common, profiles, outside))).collect()
}

fn upstream<'a>(table: Table<'a>, common: &Common<'a>, profiles: &Profiles, outside: &Outside<'_>) -> Draft<'a> {
    let name = table.need("name", "name = \"assistant-eu\", which never changes").and_then(|value| word(&value));
    let profile = table.need("profile", "profile = \"watson-assistant\"").and_then(|value| profiles.find(&value));
    let url = table.need("url", "url = \"https://…\"").and_then(|value| url(&value));
    let flags = flags(&table);
    let policy_table = table.get("policy").and_then(|value| value.table("[upstream.policy]"));
    let written = policy_table.as_ref().and_then(|own| own.get("rule"));
    let policy = policy_table.as_ref().map_or_else(|| common.policy.clone(), |own| over(own, &common.policy, outside));
    let rules = written.map_or_else(Vec::new, |written| rules(&written, &policy, profile.as_deref(), outside));
    later(&table);
    let draft = Draft {
        name: name.map(Arc::from),
        instances: instances(&table, outside),
        erase_api: erase_api(&table, profile.as_deref()),
        url,
        route: route_of(&table, flags.retired),
        policy,
        rules,
        passes_to: passes_to(&table),
        credentials: table.get("credentials").and_then(|value| credentials(&value, outside)),
        group: table.get("group").and_then(|value| word(&value)).map_or_else(|| "default".into(), String::from),
        flags,
        version: table.get("version").and_then(|value| version(&value, profile.as_deref())),
        settle: table.has("settle").then(|| duration(&table, "settle", Duration::ZERO, &(Duration::ZERO..=SETTLE_MAX))),
        deletes_per_minute: rate(&table),
        tls: tls::upstream(&table, outside),
        http2: http2(&table),
        proxy: http_proxy(&table, outside),
        limits: own_limits(&table),
        erasure: own_erasure(&table, outside),
        instance: instance(&table),
        policy_table,
        profile,
        table,
    };
    draft.refuse_hidden_version();
    draft.table.close();
    draft
}

impl Draft<'_> {
    pub(super) const fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether it is open to all by its own word.
    pub(super) const fn is_open_itself(&self) -> bool {
        matches!(self.erasure.authorize, Some(Authorize::Open))
    }

    pub(super) const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// A profile finds its calls below the URL and the route by `/v1/…`: a prefix that ends in the version would hide all
    /// of them, and every call would pass ungoverned.
    fn refuse_hidden_version(&self) {
        let versioned =
            self.profile.as_ref().is_some_and(|profile| profile.endpoints().iter().any(|call| call.api().is_some()));
        let url = self.url.as_ref().map(|url| ("url", url.path.as_str()));
        let path = self.route.as_ref().and_then(|route| route.path.as_deref()).map(|path| ("route", path));
        for (key, prefix) in [url, path].into_iter().flatten() {
            if let (true, true, Some(value)) = (versioned, ends_in_version(prefix), self.table.get(key)) {
                value
                    .fault("ends in the version of the API, which the profile looks for itself", "the same without it");
            }
        }
    }

    /// Whether it derives, on all calls or on some.
    pub(super) fn derives(&self) -> bool {
        let on = |policy: &Policy| policy.missing == Missing::Derive;
        on(&self.policy) || self.rules.iter().any(|draft| on(&draft.rule.policy))
    }

    /// Whether the file lists places to derive from, for this upstream.
    pub(super) fn policy_lists_places(&self, common: Option<&Table<'_>>) -> bool {
        [self.policy_table.as_ref(), common].into_iter().flatten().any(|table| table.has("derive"))
    }

    /// The upstream, if everything that it needs is there.
    pub(super) fn finish(self) -> Option<Upstream> {
        let Instance { plan, region, created } = self.instance;
        let profile = self.profile?;
        Some(Upstream {
            name: self.name?,
            settle: self.settle.unwrap_or(profile.settle),
            deletes_per_minute: self.deletes_per_minute.or(profile.deletes_per_minute),
            profile,
            url: self.url?,
            route: self.route.or_else(|| self.flags.retired.then(Route::default))?,
            credentials: self.credentials,
            instances: self.instances,
            erase_api: self.erase_api,
            group: self.group,
            retired: self.flags.retired,
            forwarded: self.flags.forwarded,
            inject: self.flags.inject,
            webchat_opt_out: self.flags.webchat_opt_out,
            version: self.version,
            held_labels_before: self.flags.held_labels_before,
            passes_to: self.passes_to.into_iter().map(|(_, name)| name).collect(),
            erase: EraseBy::Label,
            tls: self.tls,
            http2: self.http2,
            proxy: self.proxy,
            limits: self.limits,
            erasure: self.erasure,
            plan,
            region,
            created: created.map(|date| date.to_string()),
            policy: self.policy,
            rules: self.rules.into_iter().map(|draft| draft.rule).collect(),
        })
    }
}

/// Names, groups and versions: they appear in metrics, in receipts and in URLs as they are.
pub(super) fn word<'a>(value: &Value<'a>) -> Option<&'a str> {
    let form = "1 to 64 letters, digits, `-`, `_` and `.`, the first of them a letter or digit";
    let text = value.text(form)?;
    let legal = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !legal || !begins || text.len() > 64 {
        value.fault("holds other characters than it may", form);
        return None;
    }
    Some(text)
}

/// The version of the service's API. Where the profile's own is a date, so is every other.
fn version(value: &Value<'_>, profile: Option<&Profile>) -> Option<String> {
    let default = profile.and_then(|profile| profile.erase.as_ref()?.default_version.as_deref());
    let form = "a date as the service's documents write it, such as \"2021-06-14\"";
    if default.is_none_or(|default| default.parse::<Date>().is_err()) {
        return word(value).map(String::from);
    }
    let text = value.text_or_date(form)?;
    let is_date = text.len() == "2021-06-14".len() && text.parse::<Date>().is_ok();
    if !is_date {
        value.fault("is no date, which this service's versions are", form);
    }
    is_date.then_some(text)
}

fn ends_in_version(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    last.strip_prefix('v').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Deletes are always sent in some time: a rate of none would be an erasure that never ends.
fn rate(table: &Table<'_>) -> Option<u32> {
    let key = "deletes_per_minute";
    table.has(key).then(|| count(table, key, 1, &(1..=60_000)))
}

/// A retired upstream has no traffic, and needs no route.
fn route_of(table: &Table<'_>, retired: bool) -> Option<Route> {
    let value = if retired { table.get("route") } else { table.need("route", "route = { path = \"/…\" }") };
    value.and_then(|value| route(&value))
}

fn flags(table: &Table<'_>) -> Flags {
    let flag = |key| table.get(key).and_then(|value| value.flag()).unwrap_or(false);
    Flags {
        retired: flag("retired"),
        forwarded: flag("forwarded"),
        inject: flag("inject"),
        held_labels_before: flag("held_labels_before"),
        webchat_opt_out: flag("webchat_opt_out"),
    }
}

fn passes_to<'a>(table: &Table<'a>) -> Vec<(Value<'a>, Arc<str>)> {
    let form = "a list of upstreams' names";
    let entries = table.get("passes_to").map_or_else(Vec::new, |value| value.list(form));
    entries.into_iter().filter_map(|entry| entry.text(form).map(Arc::from).map(|name| (entry, name))).collect()
}

/// Keys of later versions. A value that says what this version does anyway is taken.
fn later(table: &Table<'_>) {
    if let Some(value) = table.get("after_erasure") {
        value.choice(&[("allow", ())], &["refuse"]);
    }
    if let Some(value) = table.get("erase") {
        value.choice(&[("label", ())], &["ticket"]);
    }
    table.not_yet("ticket", "leave it out: erase = \"label\"");
}

fn http2(table: &Table<'_>) -> Http2 {
    let words = [("auto", Http2::Auto), ("prior-knowledge", Http2::PriorKnowledge), ("off", Http2::Off)];
    table.get("http2").and_then(|value| value.choice(&words, &[])).unwrap_or_default()
}

fn instance(table: &Table<'_>) -> Instance {
    let text = |key, form: &str| table.get(key).and_then(|value| value.text(form)).map(ToOwned::to_owned);
    Instance {
        plan: text("plan", "the plan's name, such as \"premium\""),
        region: text("region", "the region's name, such as \"us-east\""),
        created: table.get("created").and_then(|value| date(&value)),
    }
}

fn date(value: &Value<'_>) -> Option<Date> {
    let form = "a date, such as \"2019-05-02\"";
    let date = value.text_or_date(form)?.parse();
    if date.is_err() {
        value.fault("is no date", form);
    }
    date.ok()
}
