//! The command line of `forgetgate`: its commands and arguments. What the commands do is in [`forgetgate::cli`].

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use forgetgate::{cli, telemetry};

/// A request makes a dozen small allocations; this allocator does them at half the price of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A reverse proxy in front of Watson-like services. It labels each request with its customer, opts out of learning,
/// records which service holds whose data, and erases a customer everywhere with one DELETE.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gate. The configuration is read again when its file changes, and on SIGHUP
    Run {
        #[command(flatten)]
        config: ConfigArgs,
        /// Make a new, empty store if there is none, although its key exists
        #[arg(long)]
        new_store: bool,
    },
    /// Check a configuration: show its faults, its warnings and the policy of every upstream
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Open no secret, key or certificate and try no address: for CI, where these do not exist
        #[arg(long)]
        no_secrets: bool,
        /// Also connect to each service and to the store's server, fetch tokens, and list the instances that the running gate has seen
        #[arg(long, conflicts_with = "no_secrets")]
        live: bool,
    },
    /// Erase a customer everywhere, through the admin API
    Erase(cli::EraseArgs),
    /// Show which upstreams and resources hold a customer's data
    Recipients(cli::RecipientsArgs),
    /// List the erasures, or show one
    Erasures(cli::ErasuresArgs),
    /// Put a customer on legal hold: nothing of that customer is erased until the hold is taken off
    Hold(cli::HoldArgs),
    /// Take off a legal hold
    Unhold(cli::UnholdArgs),
    /// List the legal holds
    Holds(cli::HoldsArgs),
    /// Show, export, restore or rewrite the index of which upstream holds whose data
    Index(cli::IndexArgs),
    /// Back up the store's key
    Key(cli::KeyArgs),
    /// Prepare the server of a store on PostgreSQL
    Store(cli::StoreArgs),
    /// Make the gate's own certificate authority, for listeners in transparent and forward mode
    Ca(cli::CaArgs),
    /// List the built-in profiles, or show one as a table
    Profiles {
        /// The name of the profile
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the file of the profile, as a form for a profile of your own
        #[arg(long, requires = "name", conflicts_with = "json")]
        toml: bool,
    },
    /// Run the demonstration, the program forgetgate-demo, if it lies beside this one
    #[command(disable_help_flag = true)]
    Demo {
        /// What to hand on to it, such as --serve
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// The exit code for arguments that name nothing that is here.
const USAGE: u8 = 2;

#[derive(Args)]
struct ConfigArgs {
    /// The configuration file
    #[arg(long, default_value = "config.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    telemetry::report_panics();
    match Cli::parse().command {
        Command::Run { config, new_store } => cli::run::run(&config.config, new_store),
        Command::Check { config, json, live: true, .. } => cli::check::with_services(&config.config, json).print(),
        Command::Check { config, json, no_secrets, live: false } => {
            let check = if no_secrets { cli::check::without_secrets } else { cli::check::check };
            let (text, code) = check(&config.config, json);
            print(&text);
            ExitCode::from(code)
        }
        Command::Erase(args) => cli::erase(&args, &mut io::stdin().lock()).print(),
        Command::Recipients(args) => cli::recipients(&args, &mut io::stdin().lock()).print(),
        Command::Erasures(args) => cli::erasures(&args).print(),
        Command::Hold(args) => cli::hold(&args, &mut io::stdin().lock()).print(),
        Command::Unhold(args) => cli::unhold(&args).print(),
        Command::Holds(args) => cli::holds(&args).print(),
        Command::Index(args) => cli::index(&args).print(),
        Command::Key(args) => cli::key(&args).print(),
        Command::Store(args) => cli::store(&args).print(),
        Command::Ca(args) => cli::ca(&args).print(),
        Command::Profiles { name, json, toml } => match profiles(name.as_deref(), json, toml) {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => usage(&error),
        },
        Command::Demo { arguments } => cli::demo(&arguments).print(),
    }
}

fn usage(error: &dyn Display) -> ExitCode {
    writeln!(io::stderr(), "forgetgate: {error}").ok();
    ExitCode::from(USAGE)
}

fn profiles(name: Option<&str>, json: bool, toml: bool) -> Result<String, cli::profiles::UnknownProfile> {
    match name.filter(|_| toml) {
        Some(name) => cli::profiles::file(name).map(ToOwned::to_owned),
        None => cli::profiles::print(name, json),
    }
}

fn print(text: &str) {
    // Whoever closed standard output has read enough.
    io::stdout().write_all(text.as_bytes()).ok();
}
