//! `forgetgate store migrate`: the schema of a store on PostgreSQL, made or brought to this version by hand.
//!
//! A gate does that itself at its start if its role may. Where that role shall not change tables, somebody else's does it here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::answer::{Answer, Failure, wait_for};
use crate::config::{self, Postgres, Secret};
use crate::store::{Migrated, Server, migrate};
use crate::telemetry::chain;

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: StoreAction,
}

/// What can be done with the store's server.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreAction {
    /// Make the tables of the store on PostgreSQL, or bring them to this version
    Migrate {
        /// The configuration file of the gate; it names the server and the schema
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
        /// A file with the URL of a role that may change tables, where the gate's own may not
        #[arg(long, value_name = "FILE")]
        url_file: Option<PathBuf>,
    },
}

/// Does it.
#[must_use]
pub fn store(args: &StoreArgs) -> Answer {
    let StoreAction::Migrate { config, url_file } = &args.action;
    wait_for(async {
        // The machine where this is run need not have the gate's own secrets.
        let load = if url_file.is_some() { config::load_without_secrets } else { config::load };
        let loaded = load(config).map_err(|faults| Failure::config(config, &faults))?;
        let Some(mut postgres) = loaded.config.store.postgres else {
            let engine = loaded.config.store.engine.as_str();
            return Err(Failure::usage(format!(
                "store.engine is \"{engine}\", which has no schema; expected \"postgres\""
            )));
        };
        if let Some(file) = url_file {
            postgres.url = Secret::file(file);
        }
        let done = migrate(&Server::new(&postgres), &postgres.schema, true).await;
        done.map(|done| Answer::done(said(&postgres, done))).map_err(|error| Failure::failed(chain(&error)))
    })
}

fn said(Postgres { schema, .. }: &Postgres, Migrated { from, to }: Migrated) -> String {
    let done = match from {
        None => format!("Schema {schema} is made, in version {to}."),
        Some(from) if from == to => format!("Schema {schema} has version {to}; there is nothing to do."),
        Some(from) => format!("Schema {schema} is brought from version {from} to version {to}."),
    };
    format!(
        "{done}\n\nA role that only runs the gate needs no more than this:\n\n\
         GRANT USAGE ON SCHEMA {schema} TO role;\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO role;\n\
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO role;\n"
    )
}
