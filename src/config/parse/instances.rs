//! `upstream.instances`, `[[upstream.instance]]` and `upstream.erase_api`.

use std::sync::Arc;

use super::super::file::{Table, Value};
use super::super::{Credentials, InstanceEntry, Instances};
use super::credentials::credentials;
use super::external_files::Outside;
use super::upstream::word;
use crate::domain::Apis;
use crate::domain::instance::{Instance, InstanceRule};
use crate::domain::profile::Profile;

const FORM: &str = "[[upstream.instance]] with name and credentials, or with name and path";

/// The instances of one upstream.
pub(super) fn instances(table: &Table<'_>, outside: &Outside<'_>) -> Instances {
    let words = [("open", InstanceRule::Open), ("closed", InstanceRule::Closed), ("one", InstanceRule::One)];
    let rule = table.get("instances").and_then(|value| value.choice(&words, &[])).unwrap_or_default();
    let entries = table.get("instance").map_or_else(Vec::new, |value| value.list(FORM));
    let mut named: Vec<InstanceEntry> = Vec::new();
    for entry in entries {
        let Some(read) = entry.table(FORM).and_then(|table| instance(&table, outside)) else { continue };
        if let Some(twin) = named.iter().find(|earlier| earlier.name == read.name) {
            entry.fault(format!("is the second of the name {:?}", &*twin.name), "a name of its own");
        }
        clash(&entry, &read, &named);
        named.push(read);
    }
    if rule == InstanceRule::One
        && let Some(value) = table.get("instances").filter(|_| named.iter().any(|entry| entry.path.is_none()))
    {
        let what = "says that all keys open one instance, and [[upstream.instance]] names several by their keys";
        value.fault(what, "\"open\" or \"closed\", or no instance without a path");
    }
    Instances { rule, named }
}

fn instance(table: &Table<'_>, outside: &Outside<'_>) -> Option<InstanceEntry> {
    let name = table.need("name", "name = \"team-a\"").and_then(|value| word(&value));
    let path = table.get("path").and_then(|value| path(&value));
    let read = |value: &Value<'_>| credentials(value, outside);
    let credentials = table.get("credentials").and_then(|value| read(&value));
    let older = table.get("also").map_or_else(Vec::new, |value| value.list("a list of credentials"));
    let also: Vec<Credentials> = older.iter().filter_map(read).collect();
    table.close();
    if let Some(value) = older.first().filter(|_| !also.iter().all(Credentials::are_a_key)) {
        value.fault("is a bearer's token, which no caller is known by", "older API keys or passwords");
    }
    let entry = InstanceEntry { name: Arc::from(name?), path, credentials, also };
    let keyed = entry.keys().any(Credentials::are_a_key);
    if !table.has("path") && !keyed {
        let what = "says neither where the instance is nor what key its callers use";
        table.report.fault(
            &table.place,
            what,
            "credentials = { apikey = … } (a bearer's token tells nothing), or path",
        );
    } else if keyed && !table.has("credentials") {
        let what = "is known by its older keys alone, and nothing opens it";
        table.report.fault(&table.place_of("credentials"), what, "credentials = { … } of today");
    }
    Some(entry)
}

/// Several may share a path only if their keys tell them apart.
fn clash(value: &Value<'_>, new: &InstanceEntry, earlier: &[InstanceEntry]) {
    let keyed = |entry: &InstanceEntry| entry.keys().any(Credentials::are_a_key);
    let at = |path: &Option<String>| path.as_deref().map(|path| Instance { prefix: path.into(), caller: None });
    let Some(here) = at(&new.path) else { return };
    let same = |other: &&InstanceEntry| other.path.as_deref().is_some_and(|path| here.is_under(path));
    if let Some(twin) = earlier.iter().find(same).filter(|twin| !keyed(twin) || !keyed(new)) {
        value.fault(format!("has the path of {:?}", &*twin.name), "another path, or credentials of both");
    }
}

/// What stands before the profile's own path.
fn path(value: &Value<'_>) -> Option<String> {
    let form = "what stands before the service's own path: \"/instances/GUID\"";
    let text = value.text(form)?;
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte);
    if !text.starts_with('/') || text.len() < 2 || text.ends_with('/') || !text.bytes().all(legal) {
        value.fault("is no path", form);
        return None;
    }
    Some(text.to_owned())
}

/// `erase_api`: versions of the API by which deletes are sent where none was seen.
pub(super) fn erase_api(table: &Table<'_>, profile: Option<&Profile>) -> Vec<u8> {
    let form = "a list of versions of the API: [1, 2]";
    let Some(value) = table.get("erase_api") else { return Vec::new() };
    let known = profile.and_then(|profile| profile.erase.as_ref()).map(|rule| rule.apis.to_vec());
    let version = |entry: Value<'_>| {
        let version = u8::try_from(entry.number(form)?).ok().filter(|version| *version <= Apis::MAX);
        if let Some(known) = known.as_ref().filter(|known| version.is_none_or(|version| !known.contains(&version))) {
            let listed: Vec<String> = known.iter().map(ToString::to_string).collect();
            let right = if listed.is_empty() { "no such key".into() } else { listed.join(" or ") };
            entry.fault("is no version of the API under which the profile has a delete", right);
        }
        version
    };
    value.list(form).into_iter().filter_map(version).collect()
}
