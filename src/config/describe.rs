//! The effective configuration for people and programs: what `check --json` prints and the admin API shows.
//!
//! The types say by their `Serialize` how the file writes them, with the file's own key names. Here is what several of them
//! share. A secret is shown by the place where it is found, never by its text.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Config, Identity, format_duration, format_size};
use crate::domain::profile::Profile;

impl Config {
    /// The whole configuration with every default filled in.
    #[must_use]
    pub fn describe(&self) -> Value {
        // It cannot fail: every key is a text, and no value is refused.
        serde_json::to_value(self).unwrap_or_default()
    }
}

pub(super) fn process<S: Serializer>(workers: &Option<NonZeroUsize>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("workers", workers.map_or_else(|| json!("auto"), |workers| json!(workers)))])
}

pub(super) fn profile<S: Serializer>(profile: &Arc<Profile>, to: S) -> Result<S::Ok, S::Error> {
    profile.name.serialize(to)
}

pub(super) fn duration<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    format_duration(*duration).serialize(to)
}

pub(super) fn size<S: Serializer>(bytes: &(impl Copy + TryInto<u64>), to: S) -> Result<S::Ok, S::Error> {
    format_size((*bytes).try_into().unwrap_or(u64::MAX)).serialize(to)
}

/// Serde's own refuses one that is not UTF-8, which the folder of the file may be.
pub(super) fn path<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(to)
}

pub(super) fn path_if_any<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(to)
}

/// `cert` and `key`, both null where there is no identity.
pub(super) fn identity_if_any<S: Serializer>(identity: &Option<Identity>, to: S) -> Result<S::Ok, S::Error> {
    let file = |of: fn(&Identity) -> &Path| identity.as_ref().map(|identity| of(identity).to_string_lossy());
    to.collect_map([("cert", file(|identity| &identity.cert)), ("key", file(|identity| &identity.key))])
}
