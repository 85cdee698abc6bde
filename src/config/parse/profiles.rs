//! `[[profile]]` and `profiles_dir`: services of the operator's own, beside the built-in ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::file::{Table, Value};
use super::super::source::is_profile;
use super::super::suggest::nearest;
use super::external_files::Outside;
use crate::domain::profile::{Profile, ProfileFault, built_in, built_in_names};

const RIGHT: &str = "the form of the built-in ones: forgetgate profiles watson-assistant --toml";
/// A probe that is never made would be a promise.
const NO_PROBE: &str = "leave it out: the service's answer to the delete is what counts";

/// The profiles that upstreams can name.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    own: BTreeMap<String, Arc<Profile>>,
    /// Names of profiles that have faults: an upstream that names one is not reported as well.
    broken: Vec<String>,
}

/// All of them, and the folder that some are in.
pub(super) fn profiles(root: &Table<'_>, outside: &Outside<'_>) -> (Profiles, Option<PathBuf>) {
    let mut profiles = Profiles::default();
    let written = root.get("profiles_dir");
    let folder = written.as_ref().and_then(|value| outside.path(value));
    if let (Some(value), Some(folder)) = (&written, &folder) {
        profiles.read_folder(value, folder);
    }
    let form = "[[profile]], in the form of the built-in ones";
    for entry in root.get("profile").map_or_else(Vec::new, |value| value.list(form)) {
        if let Some(table) = entry.table(form) {
            profiles.read_entry(&entry, &table);
        }
    }
    (profiles, folder)
}

impl Profiles {
    /// The profile that an upstream names.
    pub(super) fn find(&self, value: &Value<'_>) -> Option<Arc<Profile>> {
        let name = value.text("a profile's name, such as \"watson-assistant\"")?;
        let found = self.own.get(name).cloned().or_else(|| built_in(name));
        if found.is_none() && !self.broken.iter().any(|broken| broken == name) {
            let mut known: Vec<&str> = built_in_names().collect();
            known.extend(self.own.keys().map(String::as_str));
            let guess = nearest(name, known.iter().copied());
            let guess = guess.map_or_else(String::new, |guess| format!("; did you mean {guess:?}?"));
            value.fault(format!("no profile is named {name:?}"), format!("one of {}{guess}", known.join(", ")));
        }
        found
    }

    fn read_entry(&mut self, entry: &Value<'_>, table: &Table<'_>) {
        table.not_yet("verify", NO_PROBE);
        let document = entry.to_document().unwrap_or_default();
        match Profile::from_toml(&document) {
            Ok(profile) => self.add(profile, |what| table.report.fault(&table.place_of("name"), what, "another name")),
            Err(faults) => {
                let name = table.get("name").and_then(|name| name.is_text().then(|| name.text("a name")).flatten());
                self.broken.extend(name.map(ToOwned::to_owned));
                for fault in faults {
                    tell(table, &fault);
                }
            }
        }
    }

    /// Reads every `*.toml` of the folder, in the order of their names.
    fn read_folder(&mut self, value: &Value<'_>, folder: &Path) {
        let entries = std::fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<PathBuf>, _>>()
        });
        let mut paths = match entries {
            Ok(paths) => paths,
            Err(error) => {
                value.fault(format!("cannot be read: {error}"), "a folder of profiles, one a file");
                return;
            }
        };
        paths.retain(|path| is_profile(path));
        paths.sort();
        for path in paths {
            self.read_file(value, &path);
        }
    }

    fn read_file(&mut self, value: &Value<'_>, path: &Path) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                value.fault(format!("{file} cannot be read: {error}"), "profiles that can be read");
                return;
            }
        };
        if toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("verify")) {
            value.fault(format!("{file}: verify: is not yet supported"), NO_PROBE);
        }
        match Profile::from_toml(&text) {
            Ok(profile) => self.add(profile, |what| value.fault(format!("{file}: name: {what}"), "another name")),
            Err(faults) => {
                self.broken.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
                for fault in faults {
                    value.fault(format!("{file}: {fault}"), RIGHT);
                }
            }
        }
    }

    fn add(&mut self, profile: Profile, refuse: impl FnOnce(&str)) {
        if built_in(&profile.name).is_some() {
            refuse("is the name of a built-in profile");
        } else if self.own.contains_key(&profile.name) {
            refuse("is the name of another profile");
        } else {
            self.own.insert(profile.name.clone(), Arc::new(profile));
        }
    }
}

/// A profile's own faults carry a key inside it; the line is that of the key's first part.
fn tell(table: &Table<'_>, fault: &ProfileFault) {
    let first = fault.at.split(['.', ' ']).next().unwrap_or_default();
    let mut place = table.place_of(first);
    place.key = format!("{}.{}", table.place.key, fault.at);
    table.report.fault(&place, fault.what.to_string(), RIGHT);
}
