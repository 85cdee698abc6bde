//! `[limits]`: bounds on everything.

use std::time::Duration;

use serde::Serialize;

use super::describe;

/// `[limits]`. The table in `docs/limits.md` says what happens at each.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// Client connections at once.
    pub connections_max: usize,
    /// Requests in flight at once; more are answered 503 `overloaded`.
    pub in_flight_max: usize,
    /// Header lines in a request.
    pub headers_max: usize,
    /// Bytes of a request's head.
    #[serde(serialize_with = "describe::size")]
    pub header_bytes_max: usize,
    /// Bytes of a body that `derive` may look at.
    #[serde(serialize_with = "describe::size")]
    pub inspected_body_bytes_max: usize,
    /// From the first byte of a head to its last.
    #[serde(serialize_with = "describe::duration")]
    pub header_timeout: Duration,
    /// A connection on which nothing is going on.
    #[serde(serialize_with = "describe::duration")]
    pub idle_timeout: Duration,
    /// A body of which too little comes or goes.
    #[serde(serialize_with = "describe::duration")]
    pub body_stall_timeout: Duration,
    /// Bytes a second that a caller must send of a body that is waited for, or take of an answer that waits, on average over
    /// `body_stall_timeout`.
    pub body_rate_min: u64,
    /// TCP connect and TLS handshake to an upstream.
    #[serde(serialize_with = "describe::duration")]
    pub connect_timeout: Duration,
    /// Exchanges with one upstream at once, and so connections to it.
    pub upstream_connections_max: usize,
    /// How long an idle connection to a service is kept. Shorter than what servers commonly allow (Node: 5 s), so that the
    /// gate closes first and no request meets a connection that is being closed.
    #[serde(serialize_with = "describe::duration")]
    pub upstream_idle_timeout: Duration,
    /// A connection to a service that is older is not used again, so that a name that leads elsewhere by now is followed.
    #[serde(serialize_with = "describe::duration")]
    pub upstream_connection_age: Duration,
    /// From the end of a request to the head of its answer.
    #[serde(serialize_with = "describe::duration")]
    pub response_timeout: Duration,
    /// How long a service may be silent in its answer.
    #[serde(serialize_with = "describe::duration")]
    pub answer_stall_timeout: Duration,
    /// The same where the answer is a stream of events.
    #[serde(serialize_with = "describe::duration")]
    pub event_stream_timeout: Duration,
    /// From SIGTERM to the hard end.
    #[serde(serialize_with = "describe::duration")]
    pub drain_timeout: Duration,
}

impl Limits {
    /// Every limit: its key, and its value as the file would write it.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let written = toml::to_string(self).unwrap_or_default();
        let row = |line: &str| line.split_once(" = ").map(|(key, value)| (key.into(), value.trim_matches('"').into()));
        written.lines().filter_map(row).collect()
    }
}
