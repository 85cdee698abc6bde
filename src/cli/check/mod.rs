//! `forgetgate check`: every fault with its place, or what the file means: the policy of each upstream, who can erase
//! what, and the bounds. It reads what a start would read and opens no port.

mod advice;
mod authority;
mod instances;
mod live;
mod machine;
mod policy;
mod sections;
pub(super) mod table;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Value, json};

pub use self::live::with_services;
use crate::config::{self, Config, Fault, Loaded};
use crate::listen::disbelieved;
use crate::net::too_many_connections;

/// The file is good.
pub const GOOD: u8 = 0;
/// The file is refused.
pub const REFUSED: u8 = 3;

/// Judges the file at `path` as a start on this machine would. Gives what is to be printed, with a line's end at its end,
/// and the exit code.
#[must_use]
pub fn check(path: &Path, json: bool) -> (String, u8) {
    let loaded = config::load(path).and_then(|loaded| match machine::faults(&loaded) {
        faults if faults.is_empty() => Ok(loaded),
        faults => Err(faults),
    });
    said(path, loaded, json, machine::warnings)
}

/// The same without looking at any secret, key, certificate or address: for a machine that has none of them, such as one
/// that builds.
#[must_use]
pub fn without_secrets(path: &Path, json: bool) -> (String, u8) {
    said(path, config::load_without_secrets(path), json, |_| Vec::new())
}

fn said(
    path: &Path,
    loaded: Result<Loaded, Vec<Fault>>,
    json: bool,
    of_machine: fn(&Loaded) -> Vec<String>,
) -> (String, u8) {
    match (loaded, json) {
        (Ok(loaded), false) => {
            let more = of_machine(&loaded);
            (good(path, &loaded, more), GOOD)
        }
        (Err(faults), false) => (refused(path, &faults), REFUSED),
        (Ok(loaded), true) => {
            let more = further(&loaded, of_machine(&loaded));
            let more = more.into_iter().map(|what| loaded.fault("", what, "")).map(|fault| json!(fault));
            let Loaded { config, warnings, .. } = &loaded;
            let warnings: Vec<Value> = warnings.iter().map(|warning| json!(warning)).chain(more).collect();
            let config = config.describe();
            (lines_of(&json!({ "good": true, "faults": [], "warnings": warnings, "config": config })), GOOD)
        }
        (Err(faults), true) => {
            (lines_of(&json!({ "good": false, "faults": faults, "warnings": [], "config": null })), REFUSED)
        }
    }
}

fn refused(path: &Path, faults: &[Fault]) -> String {
    let places: String = faults.iter().map(|fault| format!("{}:{fault}\n", path.display())).collect();
    format!("{places}\n{}: refused, {}\n", path.display(), counted(faults.len(), "fault"))
}

/// Warnings that the file itself cannot show; an authority that cannot be used at all was refused with it.
fn further(loaded: &Loaded, of_machine: Vec<String>) -> Vec<String> {
    let mut all = disbelieved(&loaded.config).unwrap_or_default();
    all.extend(advice::warnings(loaded));
    all.extend(too_many_connections(loaded.config.limits.connections_max));
    all.extend(of_machine);
    all
}

fn good(path: &Path, loaded: &Loaded, of_machine: Vec<String>) -> String {
    let Loaded { config, warnings, .. } = loaded;
    let warned = warnings.iter().map(|warning| format!("{}:{warning}\n", path.display()));
    let further = further(loaded, of_machine);
    let warned: String = warned.chain(further.iter().map(|what| format!("{}: {what}\n", path.display()))).collect();
    let sections = [
        section("Warnings", &warned),
        section("The gate", &sections::gate(config)),
        section("Upstreams", &sections::upstreams(config)),
        section("Policy", &policy::policy(config)),
        section("Who can erase what", &authority::authority(config)),
        section("Limits", &sections::limits(config)),
        section("What no setting can do", &sections::notes(config)),
        summary(path, config, warnings.len() + further.len()),
    ];
    sections.concat()
}

/// A heading and what is under it; nothing where there is nothing to say.
fn section(heading: &str, body: &str) -> String {
    match body.trim_end() {
        "" => String::new(),
        body => format!("{heading}\n\n{body}\n\n"),
    }
}

fn summary(path: &Path, config: &Config, warnings: usize) -> String {
    let upstreams = counted(config.upstreams.len(), "upstream");
    format!("{}: good, {upstreams}, {}\n", path.display(), counted(warnings, "warning"))
}

fn counted(number: usize, thing: &str) -> String {
    match number {
        0 => format!("no {thing}s"),
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

fn lines_of(value: &Value) -> String {
    format!("{value:#}\n")
}
