//! What the gate reports about itself: counters, metrics and log lines; and the only wall clock.
//!
//! Nothing here takes a customer ID, a tag, a secret, a raw path or a query (P7): no argument could carry one. Other
//! layers say what happened; only this module writes log lines.

mod access_log;
mod batch;
pub mod clock;
mod counter;
mod counters;
mod erasures;
pub mod events;
mod failure_kind;
mod figures;
mod handshakes;
mod logging;
mod metrics;
mod panics;
mod registry;
mod reloads;
mod snapshots;
mod spool;
mod status_class;
mod token_keys;
mod trouble;
mod turned_away;
mod upstream_counts;

pub use self::access_log::{AccessLog, AccessRecord, AccessWriter, EndReason};
pub use self::clock::{from_rfc3339, rfc3339, unix_now};
pub use self::counters::{UpstreamCounters, WorkerCounters};
pub use self::erasures::{AttemptOutcome, ErasureCounters, Standing, TargetEnd};
pub use self::failure_kind::FailureKind;
pub use self::figures::{GateFigures, LastError, UpstreamFigures};
pub use self::handshakes::HandshakeEnd;
pub use self::logging::{LogGuard, LoggingError, change as change_logging, init as init_logging};
pub use self::metrics::{CONTENT_TYPE as METRICS_TYPE, Gauge};
pub use self::panics::report_panics;
pub use self::registry::Registry;
pub use self::reloads::ReloadCounters;
pub use self::snapshots::SnapshotCounters;
pub use self::status_class::StatusClass;
pub use self::token_keys::TokenKeyCounters;
pub use self::trouble::Trouble;
pub use self::turned_away::Rejected;
pub use self::upstream_counts::UpstreamCounts;

/// An error with all that is behind it on one line, outermost first.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
