//! `forgetgate index export`, `index restore` and `index compact`: the store as one file, from which it can be made again, and the
//! store rewritten.
//!
//! A store that nobody has open is read here; where a gate has it open, that gate is asked, and goes on working meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use http::Method;
use serde_json::json;

use super::answer::{Answer, Failure};
use super::client::{Client, GateArgs};
use crate::config;
use crate::store::{self, Export, OpenError, RestoreError};
use crate::telemetry::{chain, rfc3339};

/// Where the gate gives it.
const PATH: &str = "/api/v1/index/export";

/// Writes an export to a new file.
pub(super) async fn export(to: &Path, gate: &GateArgs) -> Result<Answer, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let file = file.map_err(|error| Failure::failed(format!("{} cannot be made: {error}", to.display())))?;
    let written = write(file, to, gate).await.and_then(|source| {
        let end = store::look_through(to);
        let end = end.map_err(|error| Failure::failed(format!("{}: {}", to.display(), chain(&error))))?;
        Ok((source, end))
    });
    if written.is_err() {
        // Half an export is worth nothing.
        fs::remove_file(to).ok();
    }
    let (source, end) = written?;
    let words = source.words();
    let untold = match source.told(end).await {
        Ok(()) => String::new(),
        Err(error) => format!("It could not be told so ({error}), and its journal keeps what older exports need.\n"),
    };
    let bytes = fs::metadata(to).map_or(0, |file| file.len());
    Ok(Answer::done(format!(
        "The index, from {words}, is in {} as well: {bytes} bytes, every row and erasure sealed as it was.\n\
         `forgetgate index restore --from FILE` makes a store of it, with the key that this one has.\n{untold}",
        to.display()
    )))
}

/// Where an export came from.
enum Source {
    Closed(Export),
    Gate(Client),
}

impl Source {
    const fn words(&self) -> &'static str {
        match self {
            Self::Closed(_) => "a store that nobody has open",
            Self::Gate(_) => "the gate that runs",
        }
    }

    /// Tells it that the export which ended here is whole and on the disk.
    async fn told(self, end: u64) -> Result<(), String> {
        match self {
            Self::Closed(export) => export.is_safe().await.map_err(|error| chain(&error)),
            Self::Gate(client) => {
                let told = client.call(Method::POST, PATH, Some(&json!({ "number": end }))).await;
                told.map(drop).map_err(|failure| Answer::from(Err(failure)).complaint.trim_end().to_owned())
            }
        }
    }
}

async fn write(mut file: File, to: &Path, gate: &GateArgs) -> Result<Source, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{} cannot be written: {error}", to.display()));
    let source = match closed_store(gate)? {
        Some(opened) => {
            let mut export = Export::of(opened.index);
            while let Some(bytes) = export.next().await.map_err(|error| Failure::failed(chain(&error)))? {
                file.write_all(&bytes).map_err(failed)?;
            }
            Source::Closed(export)
        }
        None => {
            let client = Client::find(gate)?;
            client.download(PATH, &mut file).await?;
            Source::Gate(client)
        }
    };
    file.sync_all().and_then(|()| File::open(folder(to))?.sync_all()).map_err(failed)?;
    Ok(source)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The configured store, if nobody has it open and no gate was named.
fn closed_store(gate: &GateArgs) -> Result<Option<store::Opened>, Failure> {
    if gate.admin.is_some() {
        return Ok(None);
    }
    let loaded = config::load(&gate.config).map_err(|faults| Failure::config(&gate.config, &faults))?;
    match store::open_old(&loaded.config.store) {
        Ok(opened) => Ok(Some(opened)),
        Err(OpenError::InUse { .. }) => Ok(None),
        Err(error) => Err(Failure::failed(chain(&error))),
    }
}

/// Makes the store that the configuration names from an export.
pub(super) fn restore(from: &Path, path: &Path, replace: bool, incomplete: bool) -> Result<Answer, Failure> {
    let store = config::load(path).map_err(|faults| Failure::config(path, &faults))?.config.store;
    let restored = store::restore(&store, from, replace, incomplete);
    let restored = restored.map_err(|error: RestoreError| Failure::failed(chain(&error)))?;
    let replaced = restored.replaced.map_or_else(String::new, |old| {
        format!("What was there before is in {}; remove it when you are sure.\n", old.display())
    });
    let lacks = match &*restored.lacks {
        [] => String::new(),
        lacks => format!(
            "The journal lacks what was done {}: repeat the erasures that were asked for then.\n",
            lacks.join(" and ")
        ),
    };
    let since = match restored.done_again {
        Some(count) => format!(
            "{count} steps of erasures and legal holds that its journal knew since have been done again. Facts that were \
             recorded since are not in it: erasures do not find them.\n"
        ),
        None => "No journal goes back to that moment: what was recorded or accepted since is not in it. Repeat the erasures \
                 that were asked for since.\n"
            .to_owned(),
    };
    Ok(Answer::done(format!(
        "The store in {} is as it was at {}: {} rows, {} erasures.\n{since}{lacks}{replaced}",
        store.path.display(),
        rfc3339(restored.exported),
        restored.rows,
        restored.jobs
    )))
}

/// Rewrites the store that the configuration names.
pub(super) fn compact(path: &Path) -> Result<Answer, Failure> {
    let store = config::load(path).map_err(|faults| Failure::config(path, &faults))?.config.store;
    let done = store::compact(&store).map_err(|error| Failure::failed(chain(&error)))?;
    Ok(Answer::done(format!(
        "The store in {} has {} rows and {} erasures, as before, in {} bytes; it had {} bytes.\n",
        store.path.display(),
        done.rows,
        done.jobs,
        done.after,
        done.before
    )))
}
