//! From the written form to [`Config`]: section by section, then what only the whole file can show.
//!
//! A section that has faults still gives a value, so that the sections after it are judged too; no [`Config`] is made
//! while there is any fault.

mod bounded;
mod credentials;
mod cross_checks;
mod derive;
mod erasure;
mod external_files;
mod gate;
mod http_proxy;
mod instances;
mod interception;
mod jwks;
mod limits;
mod policy;
mod profiles;
mod proxies;
mod require;
mod route;
mod rules;
mod sockets;
mod store;
mod tls;
mod upstream;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use self::external_files::Outside;
use super::fault::{Fault, Warning};
use super::file::{Report, Table};
use super::{Config, Loaded};

/// The largest file that is read, in bytes.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads a configuration. Relative paths in it are relative to `base_dir`.
///
/// Secrets and certificate files that it names are not opened (see [`super::load()`]); files in `profiles_dir` are.
///
/// # Errors
///
/// Every fault of the text, in its order.
pub fn parse(text: &str, base_dir: &Path) -> Result<Loaded, Vec<Fault>> {
    read(text, &Outside::named_only(base_dir))
}

/// The same, and the files that it names are opened as well.
pub(super) fn parse_and_look(text: &str, base_dir: &Path) -> Result<Loaded, Vec<Fault>> {
    read(text, &Outside::opened(base_dir))
}

fn read(text: &str, outside: &Outside<'_>) -> Result<Loaded, Vec<Fault>> {
    let (document, broken) = DeTable::parse_recoverable(text);
    let report = Report::new(text);
    let root = Table::new(report.place(0, String::new()), document.get_ref(), &report);
    let config = whole(&root, outside);
    let (faults, warnings) = report.into_parts();
    let faults = with_syntax(text, &broken, faults);
    match config {
        Some(config) if faults.is_empty() => Ok(Loaded { config, warnings, text: text.into() }),
        _ => Err(faults),
    }
}

/// What is no TOML comes first; on its lines nothing else is worth saying.
fn with_syntax(text: &str, broken: &[toml::de::Error], faults: Vec<Fault>) -> Vec<Fault> {
    let report = Report::new(text);
    for error in broken {
        let place = report.place(error.span().map_or(0, |span| span.start), String::new());
        report.fault(&place, format!("is not TOML: {}", error.message()), "see https://toml.io");
    }
    let (syntax, _): (_, Vec<Warning>) = report.into_parts();
    let lines: Vec<usize> = syntax.iter().map(|fault| fault.line).collect();
    let others = faults.into_iter().filter(|fault| !lines.contains(&fault.line));
    let mut all: Vec<Fault> = syntax.into_iter().chain(others).collect();
    all.sort();
    all
}

fn whole(root: &Table<'_>, outside: &Outside<'_>) -> Option<Config> {
    let listen = gate::listen(root, outside);
    let workers = gate::process(root);
    let log = gate::log(root);
    let admin = gate::admin(root, outside);
    let store = store::store(root, outside);
    let common = policy::common(root, outside);
    let erasure = erasure::erasure(root, outside);
    let limits = limits::limits(root);
    let (profiles, profiles_dir) = profiles::profiles(root, outside);
    let drafts = upstream::upstreams(root, &common, &profiles, outside);
    root.close();
    cross_checks::listeners(root, &listen, &admin, &erasure);
    proxies::check(root, &listen, &erasure);
    cross_checks::upstreams(&drafts);
    cross_checks::open_upstreams(&drafts, &listen);
    cross_checks::leads_elsewhere(&listen, &admin, &drafts);
    interception::hosts_are_named(root, &listen, &drafts);
    cross_checks::authority(&drafts, &erasure);
    policy::derive_is_used(root, &common, &drafts);
    jwks::override_is_sound(&common, &drafts);
    rules::check(&drafts, &listen);
    require::check(&drafts);
    let upstreams = drafts.into_iter().map(|draft| draft.finish().map(Arc::new)).collect::<Option<Vec<_>>>()?;
    Some(Config { listen, workers, log, admin, store, erasure, limits, profiles_dir, upstreams })
}
