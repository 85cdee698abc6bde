//! `forgetgate run`: the gate itself, until SIGTERM or SIGINT; SIGHUP has it read its configuration again.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Running, StartError, supervisor};
use crate::config::{Engine, Source};
use crate::net::{self, ActivatedSockets};
use crate::telemetry::{self, chain, events};

/// The configuration was refused.
const CONFIG_REFUSED: u8 = 3;

/// Runs a gate from a configuration file. `new_store`: a store that is missing is made even where its key is there.
pub fn run(path: &Path, new_store: bool) -> ExitCode {
    // First of all: before it is listened for, a SIGHUP ends the process.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&StartError::Thread(error)),
    };
    net::raise_descriptor_limit();
    let (source, loaded) = Source::read(path);
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            for fault in faults {
                say(&format!("{}:{fault}", path.display()));
            }
            return ExitCode::from(CONFIG_REFUSED);
        }
    };
    let inherited = match ActivatedSockets::from_environment() {
        Ok(inherited) => inherited,
        Err(error) => {
            say(&format!("forgetgate: a socket that was handed over cannot be used: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let _logging = match telemetry::init_logging(&loaded.config.log) {
        Ok(guard) => guard,
        Err(error) => return failed(&error),
    };
    for warning in &loaded.warnings {
        events::Warned { what: &warning.to_string() }.emit();
    }
    if let Some(what) = net::too_many_connections(loaded.config.limits.connections_max) {
        events::Warned { what: &what }.emit();
    }
    if loaded.config.store.engine == Engine::Memory {
        events::Warned { what: "store.engine is memory: what is recorded is gone when the gate stops" }.emit();
    }
    let upstreams = loaded.config.upstreams.len() as u64;
    let start = if new_store { app::start_anew } else { app::start_from };
    match start(source, loaded.config, inherited) {
        Ok(running) => {
            events::Started { version: env!("CARGO_PKG_VERSION"), workers: running.workers as u64, upstreams }.emit();
            app::announce(&running);
            supervisor::ready();
            until_stopped(running, signals)
        }
        Err(error) if error.is_config() => {
            say(&format!("{}: {}", path.display(), chain(&error)));
            ExitCode::from(CONFIG_REFUSED)
        }
        Err(error) => failed(&error),
    }
}

/// The signals that a gate knows.
struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let within = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let hang_up = signal(SignalKind::hangup())?;
        drop(within);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Waits for one that ends the gate; the other has it read its configuration again.
    fn until_stop(self, running: &Running) {
        let Self { runtime, mut terminate, mut interrupt, mut hang_up } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    _ = hang_up.recv() => running.reload(),
                }
            }
        });
    }
}

fn until_stopped(running: Running, signals: Signals) -> ExitCode {
    signals.until_stop(&running);
    supervisor::stopping();
    events::Draining { in_flight: running.in_flight() }.emit();
    let whole = running.stop();
    events::Drained { graceful: whole }.emit();
    ExitCode::SUCCESS
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    say(&format!("forgetgate: {}", chain(error)));
    ExitCode::FAILURE
}

fn say(line: &str) {
    // Standard error that cannot be written leaves nobody to tell.
    writeln!(io::stderr(), "{line}").ok();
}
