//! Counters, summed: what the API and the metrics show.

use std::sync::Arc;

use super::failure_kind::FailureKind;
use super::handshakes::HandshakeEnd;
use super::turned_away::Rejected;
use super::upstream_counts::UpstreamCounts;
use crate::domain::UnixSeconds;
use crate::domain::refusal::Code;

/// The last failure of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub kind: FailureKind,
}

impl PartialOrd for LastError {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LastError {
    /// The later one is the greater.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.kind as usize).cmp(&(other.at, other.kind as usize))
    }
}

/// All that was counted for one upstream since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFigures {
    /// Its name.
    pub name: Arc<str>,
    /// What is counted of every upstream.
    pub counts: UpstreamCounts,
    /// In flight at this moment.
    pub in_flight: u64,
    /// Of its addresses, those that have lately taken no connection.
    pub addresses_resting: u64,
    /// The last of its failures.
    pub last_error: Option<LastError>,
    /// Why it was, in words.
    pub last_reason: Option<Arc<str>>,
}

impl UpstreamFigures {
    pub(super) const fn none(name: Arc<str>) -> Self {
        Self {
            name,
            counts: UpstreamCounts::none(),
            in_flight: 0,
            addresses_resting: 0,
            last_error: None,
            last_reason: None,
        }
    }
}

/// What was counted for the gate as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateFigures {
    /// Callers' connections accepted since the start.
    pub connections_opened: u64,
    /// Callers' connections open at this moment.
    pub connections_open: u64,
    /// Callers' TLS handshakes, by the place of their end in [`HandshakeEnd::ALL`].
    pub handshakes: [u64; HandshakeEnd::ALL.len()],
    /// Changed certificates that were taken.
    pub certificates_renewed: u64,
    /// Changed certificates that could not be used.
    pub certificates_refused: u64,
    /// Connections that were passed on unseen since the start.
    pub tunnels: u64,
    /// Connections of which no request was read, by the place of the reason in [`Rejected::ALL`].
    pub turned_away: [u64; Rejected::ALL.len()],
    /// Refused before an upstream was known, by the place of the code in [`Code::ALL`].
    pub unrouted: [u64; Code::ALL.len()],
    /// Access lines that were not written because too many were waiting.
    pub access_lines_dropped: u64,
    /// Other lines that were not written because too many were waiting.
    pub log_lines_dropped: u64,
}
