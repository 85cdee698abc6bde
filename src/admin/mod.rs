//! The admin listener: health, metrics, and the API for people and programs that run erasures.
//!
//! One table of calls (`routes`) makes the router and the OpenAPI description, and the tests read it too. A customer's
//! ID comes in bodies only, and is passed to nothing but [`crate::erasure`] (P7).

mod body;
mod calls;
mod config_state;
mod export;
mod guard;
mod health;
mod holds;
mod listener;
mod metrics;
#[cfg(test)]
mod openapi;
mod problem;
mod refusals;
mod replicas;
mod router;
mod routes;
#[cfg(test)]
mod schemas;
mod server;
mod upstreams;

use std::fmt;
use std::sync::Arc;

#[cfg(test)]
pub(crate) use self::body::customer_in;
pub use self::config_state::{Applied, Ask, InForce, RefusedFile, Reloaded, Standing};
pub use self::health::{Awaited, Readiness};
pub use self::listener::Listener;
pub use self::server::serve;
use crate::erasure::Eraser;
use crate::store::Index;
use crate::telemetry::Registry;

/// What the calls work with.
pub struct State {
    /// Accepts and carries out erasures.
    pub eraser: Eraser,
    /// Whose data is where: asked whether it can be written, and for its figures.
    pub index: Arc<dyn Index>,
    /// All counters.
    pub registry: Arc<Registry>,
    /// The configuration in force: shown without secrets, and asked for the token.
    pub config: Arc<InForce>,
    /// What is still missing.
    pub readiness: Readiness,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}
