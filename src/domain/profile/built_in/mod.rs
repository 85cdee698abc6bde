//! The profiles that come with the gate: one file a service, read once when first asked for.

use std::sync::{Arc, LazyLock};

use super::Profile;

macro_rules! profiles {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),*]
    };
}

const FILES: [(&str, &str); 6] = profiles![
    "watson-assistant",
    "watson-speech-to-text",
    "watson-text-to-speech",
    "watson-visual-recognition",
    "watson-discovery",
    "watson-compare-comply",
];

/// A file with a fault would be left out here; a test reads every one of them.
static PROFILES: LazyLock<Vec<Arc<Profile>>> =
    LazyLock::new(|| FILES.iter().filter_map(|(_, text)| Profile::from_toml(text).ok()).map(Arc::new).collect());

/// The built-in profile of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<Profile>> {
    PROFILES.iter().find(|profile| profile.name == name).cloned()
}

/// The file of the built-in profile of this name: the form of every other.
#[must_use]
pub fn built_in_text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all built-in profiles.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    FILES.into_iter().map(|(name, _)| name)
}

#[cfg(test)]
mod tests;
