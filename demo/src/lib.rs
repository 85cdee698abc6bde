//! The demonstration: stand-in services on loopback, a gate in front of them, and nine steps that show what the gate
//! does.
//!
//! Only the services are stand-ins; sockets, requests, store and erasures are real. The gate is passed in as a
//! function, so that the demonstration runs the same gate as the program.

mod client;
mod forgetting;
mod scene;
mod serve;
mod stage;
mod story;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forgetgate::app;
use forgetgate::config::{self, Address, Config};
use forgetgate::telemetry::chain;

pub use self::scene::SceneError;
use self::scene::{Scene, TemporaryStore};
pub use self::serve::services_only;
pub use self::stage::Stage;

/// The config that is used where there is no file.
const EMBEDDED: &str = include_str!("../../config.toml");

/// How the demonstration is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The config to use; if none is named, config.toml in the current folder, and the program's own copy without one.
    pub config: Option<PathBuf>,
    /// Keep everything running after the story, on the config's own store.
    pub serve: bool,
    /// Listen at any free ports in place of the config's.
    pub free_ports: bool,
}

/// A gate that runs in this process.
pub struct Gate {
    /// Where applications reach it, over plain TCP.
    pub addr: SocketAddr,
    /// Where its admin API is.
    pub admin: SocketAddr,
    /// Stops it and waits until it has stopped.
    pub stop: Box<dyn FnOnce()>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("addr", &self.addr).field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Why a gate did not start: shown to people with all its causes.
pub type GateError = Box<dyn std::error::Error + Send + Sync>;

/// Why the demonstration broke off.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The config has faults.
    #[error("the config cannot be used\n{}", .0.join("\n"))]
    Config(Vec<String>),
    /// It could not begin.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// The gate did not start.
    #[error("the gate did not start")]
    Gate(#[source] GateError),
    /// A request could not be sent, or the story not be written.
    #[error("a request could not be sent, or the story not be written")]
    Io(#[from] io::Error),
}

/// Starts the gate in this process.
///
/// # Errors
/// When it does not start, or has no address over TCP.
pub fn start_gate(config: Config) -> Result<Gate, GateError> {
    let running = app::start(config)?;
    let addr = *running.addresses.first().ok_or("the configuration has no listener")?;
    let Address::Tcp(admin) = running.admin else { return Err("the admin address is not over TCP".into()) };
    let stop = move || {
        running.stop();
    };
    Ok(Gate { addr, admin, stop: Box::new(stop) })
}

/// Runs the demonstration on the terminal; success only if every claim of the story held.
///
/// Call it outside of any async runtime: it brings its own.
pub fn run(options: &Options, start_gate: impl FnOnce(Config) -> Result<Gate, GateError>) -> ExitCode {
    let mut out = io::stdout();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut stage = Stage::new(&mut out, colour);
    exit_code(config(options).and_then(|config| play(options, config, start_gate, &mut stage)))
}

/// The config that these options mean.
///
/// # Errors
/// Every fault of the file, with its place.
pub fn config(options: &Options) -> Result<Config, Failure> {
    let usual = Path::new("config.toml");
    let file = options.config.as_deref().or_else(|| usual.exists().then_some(usual));
    let loaded = match file {
        Some(file) => config::load(file),
        None => config::parse(EMBEDDED, Path::new(".")),
    };
    let name = file.map_or_else(|| "built-in config.toml".to_owned(), |file| file.display().to_string());
    let placed = |faults: Vec<config::Fault>| faults.iter().map(|fault| format!("{name}:{fault}")).collect();
    loaded.map(|loaded| loaded.config).map_err(|faults| Failure::Config(placed(faults)))
}

/// The exit code of a demonstration; what broke it off goes to standard error, with its causes.
fn exit_code(outcome: Result<bool, Failure>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("forgetgate-demo: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The same on any stage; tells whether every claim held.
///
/// # Errors
/// When the stand-ins or the gate cannot be started, or a request cannot be sent at all.
pub fn play(
    options: &Options,
    mut config: Config,
    start_gate: impl FnOnce(Config) -> Result<Gate, GateError>,
    stage: &mut Stage<'_>,
) -> Result<bool, Failure> {
    // Dropped last, after the gate has let go of its store.
    let _store = if options.serve { None } else { Some(TemporaryStore::put_in(&mut config)?) };
    if options.free_ports {
        scene::free_ports(&mut config);
    }
    let actors = scene::stand_ins(&config)?;
    scene::rewire(&mut config, &actors);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let gate = start_gate(config).map_err(Failure::Gate)?;
    let scene = Scene { gate: gate.addr, admin: gate.admin, actors };
    let told = runtime.block_on(async {
        story::tell(&scene, stage).await?;
        epilogue(stage)?;
        if options.serve {
            serve::invite(&scene, stage)?;
            serve::until_told_to_stop().await?;
        }
        Ok(stage.broken() == 0)
    });
    (gate.stop)();
    told
}

fn epilogue(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let (claims, broken) = (stage.claims(), stage.broken());
    match broken {
        0 => stage.heading(format_args!("All {claims} claims held."))?,
        _ => stage.heading(format_args!("{broken} of {claims} claims did not hold."))?,
    }
    Ok(())
}
