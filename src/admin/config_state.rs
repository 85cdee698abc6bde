//! The configuration in force for the calls of the admin API, the outcome of later reads of the file, and reloads on
//! demand.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use utoipa::ToSchema;

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
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Reload)]
pub struct Applied {
    /// Keys whose values changed when it did, upstreams by their names, and `… added` and `… removed` for upstreams.
    #[schema(examples("limits.idle_timeout", "upstream.assistant.policy.invalid", "upstream.discovery added"))]
    pub changed: Vec<String>,
    /// What its operator should know all the same.
    pub warnings: Vec<Warning>,
    /// Names the content of its files.
    pub hash: String,
}

/// A file that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefusedFile {
    /// When it was first.
    #[serde(serialize_with = "time")]
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixSeconds,
    /// Names the content of its files.
    pub hash: String,
    /// All that is wrong with it.
    pub faults: Vec<Fault>,
}

/// How the file stands to what is in force.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Standing {
    /// Names the content of the files that are in force; null without a file.
    #[schema(required)]
    pub hash: Option<String>,
    /// Since when they are.
    #[serde(serialize_with = "time")]
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixSeconds,
    /// Whether the files differ from the configuration in force.
    pub file_differs: bool,
    /// Why, if it was refused.
    #[schema(required)]
    pub refused: Option<RefusedFile>,
}

/// The configuration's own keys with every default filled in; a secret is shown by where it is found. Beside them `reload`.
#[derive(Serialize, ToSchema)]
#[schema(as = Config)]
pub(super) struct ConfigView {
    #[serde(flatten)]
    #[schema(value_type = HashMap<String, Value>)]
    config: Map<String, Value>,
    /// How the file stands to what is in force.
    reload: Standing,
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
    pub(super) fn describe(&self) -> ConfigView {
        let config = match self.config().describe() {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        ConfigView { config, reload: self.standing.lock().clone() }
    }

    /// `POST /api/v1/config/reload`
    pub(super) async fn reload(&self) -> Result<Answer, Problem> {
        let (ask, told) = oneshot::channel();
        // An ask that finds nobody is dropped here, which is heard below.
        if let Err(TrySendError::Full(_)) = self.asking.try_send(ask) {
            return Err(Problem::unavailable("overloaded", "too many wait for a reload already: try again"));
        }
        match timeout(WITHIN, told).await {
            Ok(Ok(Reloaded::Applied(applied))) => Ok(json_answer(StatusCode::OK, &applied)),
            Ok(Ok(Reloaded::Refused(found))) => {
                let detail = "the configuration has faults, and the one before it stays in force";
                let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", detail);
                Err(problem.with_faults(found))
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

fn time<S: Serializer>(time: &UnixSeconds, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*time).serialize(to)
}
