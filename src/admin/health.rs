//! Liveness and readiness. The gate is ready when no [`Awaited`] is held, the store can be written, and no drain has
//! begun.
//!
//! A component that must be there first takes a guard and drops it when the component is there, so that no separate
//! list can lack an entry.

use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Answer, json_answer};
use crate::telemetry::events;

/// What is still missing. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<Mutex<Missing>>,
}

#[derive(Debug, Default)]
struct Missing {
    awaited: Vec<&'static str>,
    draining: bool,
}

/// While it is held, the gate is not ready for want of this.
#[derive(Debug)]
#[must_use = "dropping it says that what was awaited is there"]
pub struct Awaited {
    what: &'static str,
    missing: Arc<Mutex<Missing>>,
}

impl Readiness {
    /// Nothing is awaited yet: take the guards before the admin listener opens.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The gate is not ready until the guard is dropped. `what` is shown: "config", "listeners".
    pub fn awaits(&self, what: &'static str) -> Awaited {
        self.missing.lock().awaited.push(what);
        Awaited { what, missing: Arc::clone(&self.missing) }
    }

    /// The gate is about to stop, and is not ready ever again.
    pub fn drain(&self) {
        self.missing.lock().draining = true;
    }

    /// What is missing, by name; ready if there is nothing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let missing = self.missing.lock();
        missing.awaited.iter().copied().chain(missing.draining.then_some("draining")).collect()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut missing = self.missing.lock();
        if let Some(place) = missing.awaited.iter().position(|what| *what == self.what) {
            missing.awaited.remove(place);
        }
        let ready = missing.awaited.is_empty() && !missing.draining;
        drop(missing);
        if ready {
            events::Ready {}.emit();
        }
    }
}

/// `GET /healthz`
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    alive: bool,
}

/// `GET /readyz`
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(super) struct ReadinessView<'a> {
    ready: bool,
    /// Everything that is missing, by name.
    #[schema(examples("listeners", "store"))]
    missing: &'a [&'a str],
}

/// `GET /healthz`: 503 when only a new start may help.
pub(super) fn alive(alive: bool) -> Answer {
    let status = if alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, &Health { alive })
}

/// `GET /readyz`
pub(super) fn ready(missing: &[&str]) -> Answer {
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, &ReadinessView { ready: missing.is_empty(), missing })
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_is_when_every_guard_is_gone_and_a_drain_ends_it_for_good() {
        let readiness = Readiness::new();
        let (config, one, other) =
            (readiness.awaits("config"), readiness.awaits("listeners"), readiness.awaits("listeners"));
        drop(config);
        drop(one);
        assert_eq!(readiness.missing(), ["listeners"]);
        drop(other);
        assert!(readiness.missing().is_empty());
        readiness.drain();
        assert_eq!(readiness.missing(), ["draining"]);
    }
}
