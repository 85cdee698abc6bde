//! `forgetgate key backup FILE`: a copy of the store's key, and what it is worth.
//!
//! It needs no gate that runs: the key is a file that the configuration names.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::answer::{Answer, Failure};
use crate::config;
use crate::store::seal::key_file::back_up;
use crate::telemetry::chain;

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What can be done with the store's key.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyAction {
    /// Copy the key to a new file
    Backup {
        /// The new file to write
        to: PathBuf,
        /// The configuration file of the gate; it names the place of the key
        #[arg(long, value_name = "FILE", default_value = "config.toml")]
        config: PathBuf,
    },
}

/// Does it.
#[must_use]
pub fn key(args: &KeyArgs) -> Answer {
    let KeyAction::Backup { to, config } = &args.action;
    let copied = config::load(config).map_err(|faults| Failure::config(config, &faults)).and_then(|loaded| {
        let from = loaded.config.store.key_file;
        back_up(&from, to).map_err(|error| Failure::failed(chain(&error)))?;
        Ok(Answer::done(format!(
            "The key in {} is in {} as well.\n\n\
             Without this key nothing in the store can be found or erased any more, and nobody can make it again.\n\
             Whoever has it together with the store can open erasures under way and try out guesses at customers' IDs.\n\
             So keep the copy, and keep it apart from backups of the store.\n",
            from.display(),
            to.display()
        )))
    });
    copied.into()
}
