//! What differs between two configurations, by the names that the file has for it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::{Config, Fault, Loaded};

/// Keys, and tables with all that is beneath them, that a gate takes over only when it starts.
const AT_START: [&str; 5] = ["process", "log.format", "admin.address", "admin.tls", "store"];

/// Every key whose value is another, in the order of the alphabet; upstreams by their names.
pub(super) fn between(before: &Config, after: &Config) -> Vec<String> {
    let mut changed = BTreeSet::new();
    walk("", &without_upstreams(before), &without_upstreams(after), &mut changed);
    for upstream in &after.upstreams {
        let name = format!("upstream.{}", upstream.name);
        match before.upstreams.iter().find(|was| was.name == upstream.name) {
            None => drop(changed.insert(format!("{name} added"))),
            Some(was) => {
                walk(&name, &described(before, &was.name), &described(after, &was.name), &mut changed);
                // Built once for each reading, so that only what was read anew is compared.
                let (new, old) = (&upstream.profile, &was.profile);
                if new.name == old.name && format!("{new:?}") != format!("{old:?}") {
                    changed.insert(format!("profile.{}", new.name));
                }
            }
        }
    }
    let is_gone = |name: &str| after.upstreams.iter().all(|upstream| *upstream.name != *name);
    let gone = before.upstreams.iter().filter(|upstream| is_gone(&upstream.name));
    changed.extend(gone.map(|upstream| format!("upstream.{} removed", upstream.name)));
    changed.into_iter().collect()
}

/// A fault for each change that needs a restart.
pub(super) fn need_restart(before: &Config, loaded: &Loaded) -> Vec<Fault> {
    let (was, is) = (without_upstreams(before), without_upstreams(&loaded.config));
    let mut changed = BTreeSet::new();
    walk("", &was, &is, &mut changed);
    let at_start = |key: &&String| {
        AT_START
            .iter()
            .any(|table| key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    let fault = |key: &String| {
        let pointer = format!("/{}", key.replace('.', "/"));
        let in_force = was.pointer(&pointer).map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let what = format!("has changed, which needs a restart: {in_force} is in force");
        loaded.fault(key, what, format!("{in_force}, or a restart of the gate with this file"))
    };
    let mut faults: Vec<Fault> = changed.iter().filter(at_start).map(fault).collect();
    for (nth, listen) in loaded.config.listen.iter().enumerate() {
        let open = before.listen.iter().find(|was| was.address == listen.address);
        if let Some(was) = open.filter(|was| was.socket_mode != listen.socket_mode) {
            let what = format!("has changed, which needs a restart: {:04o} is in force", was.socket_mode);
            faults.push(loaded.fault(
                &format!("listen[{}].socket_mode", nth + 1),
                what,
                "the mode in force, or another path",
            ));
        }
    }
    faults
}

fn without_upstreams(config: &Config) -> Value {
    let mut described = config.describe();
    if let Some(members) = described.as_object_mut() {
        members.remove("upstream");
    }
    described
}

fn described(config: &Config, name: &str) -> Value {
    let described = config.describe();
    let upstreams = described.get("upstream").and_then(Value::as_array);
    let found = upstreams.and_then(|all| all.iter().find(|upstream| upstream.get("name") == Some(&name.into())));
    found.cloned().unwrap_or_default()
}

fn walk(key: &str, before: &Value, after: &Value, changed: &mut BTreeSet<String>) {
    if let (Value::Object(was), Value::Object(is)) = (before, after) {
        for member in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
            let key = if key.is_empty() { member.clone() } else { format!("{key}.{member}") };
            let of = |all: &serde_json::Map<String, Value>| all.get(member).cloned().unwrap_or_default();
            walk(&key, &of(was), &of(is), changed);
        }
    } else if before != after {
        changed.insert(key.to_owned());
    }
}
