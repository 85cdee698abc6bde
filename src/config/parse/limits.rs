//! `[limits]`: the bounds of everything (P12). Defaults are in [`Limits::default`]; what lies outside the ranges here
//! would be a gate that refuses everything or one that bounds nothing.

use std::time::Duration;

use super::super::file::Table;
use super::super::{Limits, OwnLimits};
use super::bounded::{count, duration, size};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// What an upstream's own table says instead.
pub(super) fn own_limits(upstream: &Table<'_>) -> OwnLimits {
    let form = "limits = { response_timeout = \"60s\" }";
    let Some(table) = upstream.get("limits").and_then(|value| value.table(form)) else {
        return OwnLimits::default();
    };
    let time = |key, longest| {
        let range = Duration::from_millis(10)..=longest;
        table.has(key).then(|| duration(&table, key, Duration::ZERO, &range))
    };
    let own = OwnLimits {
        connect: time("connect_timeout", HOUR),
        response: time("response_timeout", DAY),
        body_stall: time("body_stall_timeout", DAY),
        answer_stall: time("answer_stall_timeout", DAY),
        event_stream: time("event_stream_timeout", DAY),
    };
    table.close();
    own
}

/// Of the 256 lines that a head can have, some are left for those that the gate adds.
const HEADERS_MAX: usize = 200;

pub(super) fn limits(root: &Table<'_>) -> Limits {
    let d = Limits::default();
    let Some(table) = root.get("limits").and_then(|value| value.table("[limits]")) else {
        return d;
    };
    let table = &table;
    let bytes = |key, default: usize, range| {
        let default = u64::try_from(default).unwrap_or(u64::MAX);
        usize::try_from(size(table, key, default, &range)).unwrap_or(usize::MAX)
    };
    let time = |key, default, longest| duration(table, key, default, &(Duration::from_millis(10)..=longest));
    let limits = Limits {
        connections_max: count(table, "connections_max", d.connections_max, &(1..=1_000_000)),
        in_flight_max: count(table, "in_flight_max", d.in_flight_max, &(1..=1_000_000)),
        headers_max: count(table, "headers_max", d.headers_max, &(16..=HEADERS_MAX)),
        header_bytes_max: bytes("header_bytes_max", d.header_bytes_max, 1 << 10..=1 << 20),
        inspected_body_bytes_max: bytes("inspected_body_bytes_max", d.inspected_body_bytes_max, 1 << 10..=64 << 20),
        header_timeout: time("header_timeout", d.header_timeout, HOUR),
        idle_timeout: time("idle_timeout", d.idle_timeout, DAY),
        body_stall_timeout: time("body_stall_timeout", d.body_stall_timeout, DAY),
        body_rate_min: count(table, "body_rate_min", d.body_rate_min, &(0..=1 << 20)),
        connect_timeout: time("connect_timeout", d.connect_timeout, HOUR),
        upstream_connections_max: count(
            table,
            "upstream_connections_max",
            d.upstream_connections_max,
            &(1..=1_000_000),
        ),
        upstream_idle_timeout: time("upstream_idle_timeout", d.upstream_idle_timeout, HOUR),
        upstream_connection_age: time("upstream_connection_age", d.upstream_connection_age, DAY),
        response_timeout: time("response_timeout", d.response_timeout, DAY),
        answer_stall_timeout: time("answer_stall_timeout", d.answer_stall_timeout, DAY),
        event_stream_timeout: time("event_stream_timeout", d.event_stream_timeout, DAY),
        drain_timeout: time("drain_timeout", d.drain_timeout, HOUR),
    };
    table.close();
    limits
}
