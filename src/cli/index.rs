//! `forgetgate index`: what is in the index, in figures; and what to do when its store does not open.
//!
//! For figures the gate that runs is asked, since a store has one owner at a time; they are those of its `/metrics`. The rest
//! works on a store that nobody has open.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tokio::runtime;

use super::answer::{Answer, Failure, pretty, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};
use super::export;
use crate::config;
use crate::store::{self, OpenError};
use crate::telemetry::chain;

/// Each figure: its metric, its member in JSON, and what it is called in the table.
const FIGURES: [(&str, &str, &str); 7] = [
    ("forgetgate_store_writable", "writable", "writable (1) or not (0)"),
    ("forgetgate_store_rows", "rows", "rows: a customer's data at an upstream, in a resource"),
    ("forgetgate_store_erased_rows", "erased_rows", "rows that are marked erased and go soon"),
    ("forgetgate_store_jobs", "jobs", "erasures"),
    ("forgetgate_store_unfinished_jobs", "unfinished_jobs", "erasures that are not over"),
    ("forgetgate_store_unreadable", "unreadable", "entries that were met and do not read"),
    ("forgetgate_store_bytes", "bytes", "bytes on disk"),
];

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct IndexArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: IndexAction,
}

/// What can be done with the index.
#[derive(Clone, Debug, Subcommand)]
pub enum IndexAction {
    /// Show the index in figures
    Stats {
        /// Where the gate is.
        #[command(flatten)]
        gate: GateArgs,
    },
    /// Write the whole store to one file, sealed as it is
    Export {
        /// The new file to write
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Where the gate is.
        #[command(flatten)]
        gate: GateArgs,
    },
    /// Make the store again from an export; no gate may be running
    Restore {
        /// The export to read
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The configuration file of the gate; it names the place of the store
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
        /// Rename an existing store and keep it
        #[arg(long)]
        replace: bool,
        /// Restore even if the journal of later erasures lacks something, and print the period that it lacks
        #[arg(long)]
        incomplete: bool,
    },
    /// Accept a store whose tip file is missing; no gate may be running
    Accept {
        /// The configuration file of the gate; it names the place of the store
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
        /// Accept the store even if rows are missing: erasures no longer find the customers of missing rows
        #[arg(long)]
        incomplete: bool,
    },
    /// Rewrite the store without unused space; no gate may be running
    Compact {
        /// The configuration file of the gate; it names the place of the store
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
    },
}

/// Does it. Blocking.
#[must_use]
pub fn index(args: &IndexArgs) -> Answer {
    match &args.action {
        IndexAction::Stats { gate } => stats(gate),
        IndexAction::Export { to, gate } => wait_for(export::export(to, gate)),
        IndexAction::Restore { from, config, replace, incomplete } => {
            export::restore(from, config, *replace, *incomplete).into()
        }
        IndexAction::Compact { config } => export::compact(config).into(),
        IndexAction::Accept { config, incomplete } => accept(config, *incomplete).into(),
    }
}

fn stats(gate: &GateArgs) -> Answer {
    wait_for(async {
        let page = Client::find(gate)?.page("/metrics").await?;
        if figure(&page, FIGURES[0].0).is_none() {
            return Err(Failure::failed("the gate's metrics say nothing of a store".into()));
        }
        Ok(Answer::done(if gate.json { pretty(&members(&page)) } else { shown(&page) }))
    })
}

fn accept(path: &Path, incomplete: bool) -> Result<Answer, Failure> {
    let store = config::load(path).map_err(|faults| Failure::config(path, &faults))?.config.store;
    let (opened, wrong) = store::accept(&store, incomplete).map_err(|error| {
        let lacks = matches!(error, OpenError::Behind { .. } | OpenError::Damaged { .. });
        let more = if lacks { "; `--incomplete` takes it all the same" } else { "" };
        Failure::failed(format!("{}{more}", chain(&error)))
    })?;
    let figures = block_on(opened.index.figures())?.map_err(|error| Failure::failed(chain(&error)))?;
    let holds = format!(
        "It holds {} rows and {} erasures, of which {} are not over.\n",
        figures.rows, figures.jobs, figures.unfinished_jobs
    );
    let path = store.path.display();
    Ok(Answer::done(match wrong {
        None => format!("The store in {path} is whole; there is nothing to accept. {holds}"),
        Some(wrong) => format!("The store in {path} is taken as it is, though {}.\n{holds}", chain(&wrong)),
    }))
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| Failure::failed(error.to_string()))?.block_on(future))
}

/// The value of a metric without labels.
fn figure(page: &str, metric: &str) -> Option<u64> {
    page.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')?.parse().ok())
}

/// A store that does not answer in time gives no figures: they are null.
fn members(page: &str) -> Value {
    let member = |(metric, member, _): &(&str, &str, &str)| ((*member).to_owned(), figure(page, metric).into());
    Value::Object(FIGURES.iter().map(member).collect::<Map<_, _>>())
}

fn shown(page: &str) -> String {
    let row = |(metric, _, words): &(&str, &str, &str)| {
        [(*words).to_owned(), figure(page, metric).map_or_else(|| "unknown".to_owned(), |figure| figure.to_string())]
    };
    table(["OF THE INDEX", "FIGURE"], FIGURES.iter().map(row))
}
