//! `forgetgate index stats`: what is in the index, in figures.
//!
//! The gate that runs is asked, since a store has one owner at a time; the figures are those of its `/metrics`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::answer::{Answer, Failure, pretty, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};

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
    /// What is in it, in figures
    Stats {
        /// Where the gate is.
        #[command(flatten)]
        gate: GateArgs,
    },
}

/// Does it. Blocking.
#[must_use]
pub fn index(args: &IndexArgs) -> Answer {
    let IndexAction::Stats { gate } = &args.action;
    wait_for(async {
        let page = Client::find(gate)?.page("/metrics").await?;
        if figure(&page, FIGURES[0].0).is_none() {
            return Err(Failure::failed("the gate's metrics say nothing of a store".into()));
        }
        Ok(Answer::done(if gate.json { pretty(&members(&page)) } else { shown(&page) }))
    })
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
