//! `forgetgate run`: the gate itself, until SIGTERM or SIGINT.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Running, StartError, supervisor};
use crate::config::{self, Engine};
use crate::telemetry::{self, chain, events};
use crate::wire::Inherited;

/// The configuration was refused.
const CONFIG_REFUSED: u8 = 3;

/// Runs a gate from a configuration file.
pub fn run(path: &Path) -> ExitCode {
    let loaded = match config::load(path) {
        Ok(loaded) => loaded,
        Err(faults) => {
            for fault in faults {
                say(&format!("{}:{fault}", path.display()));
            }
            return ExitCode::from(CONFIG_REFUSED);
        }
    };
    let inherited = match Inherited::from_environment() {
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
    if loaded.config.store.engine == Engine::Memory {
        events::Warned { what: "store.engine is memory: what is recorded is gone when the gate stops" }.emit();
    }
    let upstreams = loaded.config.upstreams.len() as u64;
    match app::start_with(loaded.config, inherited) {
        Ok(running) => {
            events::Started { version: env!("CARGO_PKG_VERSION"), workers: running.workers as u64, upstreams }.emit();
            app::announce(&running);
            supervisor::ready();
            until_signal(running)
        }
        Err(error) if error.is_config() => {
            say(&format!("{}: {}", path.display(), chain(&error)));
            ExitCode::from(CONFIG_REFUSED)
        }
        Err(error) => failed(&error),
    }
}

fn until_signal(running: Running) -> ExitCode {
    let waited = runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
            io::Result::Ok(())
        })
    });
    if let Err(error) = waited {
        return failed(&StartError::Thread(error));
    }
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
