//! `forgetgate index export` and `index restore`: the store as one file, from which it can be made again.
//!
//! A store that nobody has open is read here; where a gate has it open, that gate is asked, and goes on working meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
        store::look_through(to).map_err(|error| Failure::failed(format!("{}: {}", to.display(), chain(&error))))?;
        Ok(source)
    });
    if written.is_err() {
        // Half an export is worth nothing.
        fs::remove_file(to).ok();
    }
    let source = written?;
    let bytes = fs::metadata(to).map_or(0, |file| file.len());
    Ok(Answer::done(format!(
        "The index, from {source}, is in {} as well: {bytes} bytes, every row and erasure sealed as it was.\n\
         `forgetgate index restore --from FILE` makes a store of it, with the key that this one has.\n",
        to.display()
    )))
}

async fn write(mut file: File, to: &Path, gate: &GateArgs) -> Result<&'static str, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{} cannot be written: {error}", to.display()));
    let from = match closed_store(gate)? {
        Some(opened) => {
            let mut export = Export::of(opened.index);
            while let Some(bytes) = export.next().await.map_err(|error| Failure::failed(chain(&error)))? {
                file.write_all(&bytes).map_err(failed)?;
            }
            "a store that nobody has open"
        }
        None => {
            Client::find(gate)?.download(PATH, &mut file).await?;
            "the gate that runs"
        }
    };
    file.sync_all().and_then(|()| File::open(folder(to))?.sync_all()).map_err(failed)?;
    Ok(from)
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
pub(super) fn restore(from: &Path, path: &Path, replace: bool) -> Result<Answer, Failure> {
    let store = config::load(path).map_err(|faults| Failure::config(path, &faults))?.config.store;
    let restored = store::restore(&store, from, replace);
    let restored = restored.map_err(|error: RestoreError| Failure::failed(chain(&error)))?;
    let replaced = restored.replaced.map_or_else(String::new, |old| {
        format!("What was there before is in {}; remove it when you are sure.\n", old.display())
    });
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
        "The store in {} is as it was at {}: {} rows, {} erasures.\n{since}{replaced}",
        store.path.display(),
        rfc3339(restored.exported),
        restored.rows,
        restored.jobs
    )))
}
