//! The command line of `forgetgate-demo`. What it shows is in the library beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use forgetgate::telemetry;
use forgetgate_demo::{Options, run, services_only, start_gate};

/// The demonstration of Forgetgate: stand-in services, the gate, and nine steps from the first label to an erasure.
#[derive(Parser)]
#[command(name = "forgetgate-demo", version, max_term_width = 100)]
struct Cli {
    /// Keep everything running afterwards, with commands to try
    #[arg(long)]
    serve: bool,
    /// The configuration file; if none is given, config.toml in this folder, or else the built-in copy
    #[arg(long)]
    config: Option<PathBuf>,
    /// Use any free ports
    #[arg(long, hide = true)]
    free_ports: bool,
    /// Start only the stand-in services, from this port on
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "0")]
    services_only: Option<u16>,
}

fn main() -> ExitCode {
    telemetry::report_panics();
    let Cli { serve, config, free_ports, services_only: only } = Cli::parse();
    match only {
        Some(first) => services_only(Some(first)),
        None => run(&Options { config, serve, free_ports }, start_gate),
    }
}
