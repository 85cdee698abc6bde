//! The commands of `forgetgate`, as they are typed. What they do is in [`forgetgate::cli`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use forgetgate::{cli, demo, telemetry};

/// A request makes a dozen small allocations; this allocator does them at half the price of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A gate in front of Watson-like services: it labels each request with its customer, opts out of learning, remembers
/// which service holds whose data, and erases a customer everywhere with one DELETE.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gate; it reads its configuration again when that changes, and on SIGHUP
    Run {
        #[command(flatten)]
        config: ConfigArgs,
        /// Make a new, empty store where none is, though its key is there
        #[arg(long)]
        new_store: bool,
    },
    /// Check a configuration: faults, warnings, and the policy of every upstream
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Open no secret, key or certificate and look at no address: for CI, where they are not
        #[arg(long)]
        no_secrets: bool,
        /// Also connect to each service, fetch tokens, and ask the gate that runs which instances it has seen
        #[arg(long, conflicts_with = "no_secrets")]
        live: bool,
    },
    /// Erase a customer everywhere, through the admin API
    Erase(cli::EraseArgs),
    /// Which upstreams and resources hold a customer's data
    Recipients(cli::RecipientsArgs),
    /// The erasures, or one
    Erasures(cli::ErasuresArgs),
    /// Put a customer on legal hold: nothing of that customer is erased until it is taken off
    Hold(cli::HoldArgs),
    /// Take a legal hold off
    Unhold(cli::UnholdArgs),
    /// The legal holds
    Holds(cli::HoldsArgs),
    /// The index of who holds whose data
    Index(cli::IndexArgs),
    /// The store's key
    Key(cli::KeyArgs),
    /// The gate's own certificate authority, for listeners in transparent and forward mode
    Ca(cli::CaArgs),
    /// The built-in profiles, or one as a table
    Profiles {
        /// Which one
        name: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// As the file that it is: the form of a profile of one's own
        #[arg(long, requires = "name", conflicts_with = "json")]
        toml: bool,
    },
    /// See it work: stand-in services, the gate and a story, from the first label to an erasure
    Demo {
        /// Keep everything running afterwards, with commands to try
        #[arg(long)]
        serve: bool,
        /// The configuration; without one config.toml here, or the built-in copy
        #[arg(long)]
        config: Option<PathBuf>,
        /// Take any free ports
        #[arg(long, hide = true)]
        free_ports: bool,
        /// Only the stand-in services, from this port on
        #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "0")]
        services_only: Option<u16>,
    },
}

/// What was typed cannot be done.
const USAGE: u8 = 2;

#[derive(Args)]
struct ConfigArgs {
    /// The configuration
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
        Command::Ca(args) => cli::ca(&args).print(),
        Command::Profiles { name, json, toml } => match profiles(name.as_deref(), json, toml) {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => {
                writeln!(io::stderr(), "forgetgate: {error}").ok();
                ExitCode::from(USAGE)
            }
        },
        Command::Demo { services_only: Some(first), .. } => demo::services_only(Some(first)),
        Command::Demo { serve, config, free_ports, services_only: None } => {
            demo::run(&demo::Options { config, serve, free_ports }, demo::start_gate)
        }
    }
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
