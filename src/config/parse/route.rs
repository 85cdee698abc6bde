//! `upstream.route`: the path prefix or the host names by which requests find an upstream.

use super::super::Route;
use super::super::file::{Table, Value};
use super::super::host::canonical_host;
use super::super::url::plain_path;

const FORM: &str = "{ path = \"/assistant/api\" }, { hosts = [\"gateway.watsonplatform.net\"] }, or both";
const PATH_FORM: &str = "a slash and whole segments, such as \"/assistant/api\", or \"/\" for everything";
const HOST_FORM: &str = "a host name or an IP address, without a port";

pub(super) fn route(value: &Value<'_>) -> Option<Route> {
    let table = value.table(FORM)?;
    let (path, hosts) = (table.get("path"), table.get("hosts"));
    table.close();
    if path.is_none() && hosts.is_none() {
        return nothing_named(value, &table);
    }
    let prefix = path.as_ref().and_then(prefix);
    let route = Route { path: prefix, hosts: hosts.as_ref().map_or_else(Vec::new, names) };
    let empty = route.path.is_none() && route.hosts.is_empty();
    (!empty).then_some(route)
}

fn nothing_named(value: &Value<'_>, table: &Table<'_>) -> Option<Route> {
    if table.keys().count() == 0 {
        value.fault("names neither a path nor hosts", FORM);
    }
    None
}

fn prefix(value: &Value<'_>) -> Option<String> {
    let text = value.text(PATH_FORM)?;
    let path = if text.is_empty() { None } else { plain_path(text) };
    if path.is_none() {
        value.fault("is no path prefix that can be read in one way only", PATH_FORM);
    }
    path
}

fn names(value: &Value<'_>) -> Vec<String> {
    let entries = value.list("a list of host names");
    if value.is_list() && entries.is_empty() {
        value.fault("is empty", "a list of host names, or no `hosts`");
    }
    let mut names: Vec<String> = Vec::new();
    for entry in &entries {
        let Some(text) = entry.text(HOST_FORM) else {
            continue;
        };
        match canonical_host(text).map(std::borrow::Cow::into_owned) {
            None => entry.fault("is no host name", HOST_FORM),
            Some(name) if names.contains(&name) => entry.fault("stands in the list twice", "each host name once"),
            Some(name) => names.push(name),
        }
    }
    names
}

/// Whether one request could mean both. A longer prefix and a named host win over a shorter and an unnamed one, so only
/// equals are in doubt.
pub(super) fn same(a: &Route, b: &Route) -> bool {
    let hosts = (a.hosts.is_empty() && b.hosts.is_empty()) || a.hosts.iter().any(|host| b.hosts.contains(host));
    hosts && a.path.as_deref().unwrap_or_default() == b.path.as_deref().unwrap_or_default()
}
