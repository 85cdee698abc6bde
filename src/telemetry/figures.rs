//! Counters, summed: what the API and the metrics show.

use std::sync::Arc;

use super::failure_kind::FailureKind;
use super::handshakes::HandshakeEnd;
use super::turned_away::Rejected;
use crate::domain::UnixSeconds;
use crate::domain::refusal::Code;
use crate::domain::webchat::Finding;

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
    /// Requests that were routed there.
    pub requests: u64,
    /// Forwarded with a label.
    pub labelled: u64,
    /// Labels replaced by an alias.
    pub rewritten: u64,
    /// Labels derived from elsewhere in the request.
    pub derived: u64,
    /// Labels from which further customers were removed.
    pub cut: u64,
    /// Labels of which the customer was replaced by a verified token's.
    pub overridden: u64,
    /// Forwarded with the opt-out.
    pub opted_out: u64,
    /// Let through without a label.
    pub unlabelled: u64,
    /// Forwarded with data that the service knows no label for.
    pub unlabellable: u64,
    /// Calls that the profile does not name.
    pub unknown: u64,
    /// Beta calls.
    pub beta: u64,
    /// Facts that were in the index already.
    pub known_pairs: u64,
    /// Facts that were made durable first.
    pub recorded_pairs: u64,
    /// Body bytes from callers.
    pub bytes_in: u64,
    /// Body bytes to callers.
    pub bytes_out: u64,
    /// In flight at this moment.
    pub in_flight: u64,
    /// Of its addresses, those that have lately taken no connection.
    pub addresses_resting: u64,
    /// Refused, by the place of the code in [`Code::ALL`].
    pub refused: [u64; Code::ALL.len()],
    /// What enforcing would have refused, likewise.
    pub would_refuse: [u64; Code::ALL.len()],
    /// Answers, 1xx to 5xx.
    pub answered: [u64; 5],
    /// Failures of the upstream, by the place of the kind in [`FailureKind::ALL`].
    pub failed: [u64; FailureKind::ALL.len()],
    /// Answers with Web Chat in them, by the place of the finding in [`Finding::ALL`].
    pub webchat: [u64; Finding::ALL.len()],
    /// The last of those.
    pub last_error: Option<LastError>,
    /// Why it was, in words.
    pub last_reason: Option<Arc<str>>,
}

impl UpstreamFigures {
    pub(super) const fn none(name: Arc<str>) -> Self {
        Self {
            name,
            requests: 0,
            labelled: 0,
            rewritten: 0,
            derived: 0,
            cut: 0,
            overridden: 0,
            opted_out: 0,
            unlabelled: 0,
            unlabellable: 0,
            unknown: 0,
            beta: 0,
            known_pairs: 0,
            recorded_pairs: 0,
            bytes_in: 0,
            bytes_out: 0,
            in_flight: 0,
            addresses_resting: 0,
            refused: [0; Code::ALL.len()],
            would_refuse: [0; Code::ALL.len()],
            answered: [0; 5],
            failed: [0; FailureKind::ALL.len()],
            webchat: [0; Finding::ALL.len()],
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
