//! The configuration in force for the calls of the admin API, the outcome of later reads of the file, and reloads on
//! demand.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::problem::{Answer, Problem, json_answer};
use crate::config::{Config, Fault, Warning};
use crate::domain::UnixSeconds;
use crate::telemetry::rfc3339;

/// Callers who wait for one reload; more are told to come again.
const ASKING_MAX: usize = 64;

/// How long a caller waits for a reload.
const WITHIN: Duration = Duration::from_secs(25);

/// Whoever asks for a reload, and waits to hear what became of it.
pub type Ask = oneshot::Sender<Reloaded>;

/// What became of a reload.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// It is in force.
    Applied(Applied),
    /// Nothing has changed.
    Refused(Vec<Fault>),
    /// The gate was not started from a file.
    NoFile,
}

/// A configuration that came into force.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Keys whose values changed when it did, and `… added` and `… removed` for upstreams.
    pub changed: Vec<String>,
    /// What its operator should know all the same.
    pub warnings: Vec<Warning>,
    /// Names the content of its files.
    pub hash: String,
}

/// A file that was refused.
#[derive(Clone, Debug)]
pub struct RefusedFile {
    /// When it was first.
    pub at: UnixSeconds,
    /// Names the content of its files.
    pub hash: String,
    /// All that is wrong with it.
    pub faults: Vec<Fault>,
}

/// How the file stands to what is in force.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Names the content of the files that are in force; `None` without a file.
    pub hash: Option<String>,
    /// Since when they are.
    pub since: UnixSeconds,
    /// Whether the files differ from the configuration in force.
    pub file_differs: bool,
    /// Why, if it was refused.
    pub refused: Option<RefusedFile>,
}

/// The configuration in force.
#[derive(Debug)]
pub struct InForce {
    config: ArcSwap<Config>,
    standing: Mutex<Standing>,
    asking: mpsc::Sender<Ask>,
}

impl InForce {
    /// The first configuration, and where those are heard who ask for another. Once nobody listens there, they are told
    /// that the gate is draining.
    #[must_use]
    pub fn new(config: Arc<Config>, standing: Standing) -> (Self, mpsc::Receiver<Ask>) {
        let (asking, asked) = mpsc::channel(ASKING_MAX);
        (Self { config: ArcSwap::new(config), standing: Mutex::new(standing), asking }, asked)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// From now on it is this.
    pub fn replace(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    /// Changes how the file stands.
    pub fn stand(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock());
    }

    /// Asks for a reload and does not wait for it.
    pub fn ask(&self) {
        // If so many ask already one will come.
        self.asking.try_send(oneshot::channel().0).ok();
    }

    /// `GET /api/v1/config`
    pub(super) fn describe(&self) -> Value {
        let mut described = self.config().describe();
        let standing = self.standing.lock().clone();
        let refused = standing.refused.map(
            |refused| json!({ "at": rfc3339(refused.at), "hash": refused.hash, "faults": faults(&refused.faults) }),
        );
        if let Some(members) = described.as_object_mut() {
            let reload = json!({
                "hash": standing.hash,
                "since": rfc3339(standing.since),
                "file_differs": standing.file_differs,
                "refused": refused,
            });
            members.insert("reload".to_owned(), reload);
        }
        described
    }

    /// `POST /api/v1/config/reload`
    pub(super) async fn reload(&self) -> Result<Answer, Problem> {
        let (ask, told) = oneshot::channel();
        // An ask that finds nobody is dropped here, which is heard below.
        if let Err(TrySendError::Full(_)) = self.asking.try_send(ask) {
            return Err(Problem::unavailable("overloaded", "too many wait for a reload already: try again"));
        }
        match timeout(WITHIN, told).await {
            Ok(Ok(Reloaded::Applied(applied))) => Ok(json_answer(StatusCode::OK, &shown(&applied))),
            Ok(Ok(Reloaded::Refused(found))) => {
                let detail = "the configuration has faults, and the one before it stays in force";
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", detail);
                Err(problem.with("faults", faults(&found)))
            }
            Ok(Ok(Reloaded::NoFile)) => {
                let detail = "this gate was not started from a file: there is nothing to read again";
                Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "reload_unsupported", detail))
            }
            Ok(Err(_)) => Err(Problem::unavailable("draining", "the gate is about to stop")),
            Err(_) => Err(Problem::unavailable("timeout", "the reload takes long; it goes on")),
        }
    }
}

fn shown(applied: &Applied) -> Value {
    let warning = |each: &Warning| shown_at(each.line, each.column, &each.key, &each.what, &each.right);
    json!({
        "changed": applied.changed,
        "warnings": applied.warnings.iter().map(warning).collect::<Vec<_>>(),
        "hash": applied.hash,
    })
}

fn faults(faults: &[Fault]) -> Value {
    faults.iter().map(|each| shown_at(each.line, each.column, &each.key, &each.what, &each.right)).collect()
}

fn shown_at(line: usize, column: usize, key: &str, what: &str, right: &str) -> Value {
    json!({ "line": line, "column": column, "key": key, "what": what, "right": right })
}
