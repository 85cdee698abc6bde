//! The line against the one that tracing's layer writes for the same record, and the queue in front of it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::Instant;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use super::line::Layout;
use super::record::Packed;
use super::{AccessLog, AccessRecord, EndReason, Queue, WAITING_MAX, Writer, queued};
use crate::config::LogFormat;
use crate::domain::refusal::Code;
use crate::telemetry::Registry;
use crate::telemetry::logging::{Look, lines};
use crate::telemetry::tests::{Sink, said};

const PLAIN: Look = Look { format: LogFormat::Text, ansi: false };
const LOOKS: [Look; 4] = [
    PLAIN,
    Look { format: LogFormat::Text, ansi: true },
    Look { format: LogFormat::Json, ansi: false },
    Look { format: LogFormat::Json, ansi: true },
];

/// What has to be escaped, in one look or another.
const ODD: [&str; 8] = [
    "odd \"name\" \\ 'here'",
    "tab\tline\nreturn\rnul\0bell\x07escape\x1b[31mdelete\x7f",
    "Überwachung – 监控 🦀",
    "e\u{301} \u{200d}\u{202e} \u{85}\u{a0}\u{2028}\u{feff}",
    "\u{301}accent first",
    "{\"a\":1}",
    "",
    " ",
];

fn record() -> AccessRecord {
    AccessRecord {
        upstream: Some(0),
        method: Method::from_bytes(b"CANARY").unwrap(),
        call: Some(Arc::from("POST /v1/message")),
        status: 200,
        refusal: None,
        bytes_in: 1,
        bytes_out: 2,
        took: Duration::from_micros(1500),
        ended: EndReason::Done,
        request_id: Some(Uuid::nil()),
    }
}

fn names(names: &[&str]) -> Arc<[Arc<str>]> {
    names.iter().copied().map(Arc::from).collect()
}

/// A log whose lines go to a place in memory.
fn log(names: &Arc<[Arc<str>]>) -> (AccessLog, Writer<Sink>, Sink, Arc<Registry>) {
    let (sink, registry) = (Sink::default(), Registry::new(names, 1));
    let (queue, writer): (Arc<Queue>, _) = queued(names, Arc::clone(&registry), PLAIN, sink.clone());
    (AccessLog(Some(queue)), writer, sink, registry)
}

/// What tracing's layer writes for the record.
fn told(look: Look, names: &[Arc<str>], record: &AccessRecord) -> String {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::registry().with(lines(look, sink.clone()));
    let upstream = record.upstream.and_then(|place| names.get(usize::from(place)));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(
            target: "access",
            upstream = upstream.map(|name| &**name),
            method = if record.method.as_str() == "CANARY" { "other" } else { record.method.as_str() },
            call = record.call.as_deref(),
            status = record.status,
            refusal = record.refusal.map(Code::as_str),
            bytes_in = record.bytes_in,
            bytes_out = record.bytes_out,
            took_us = u64::try_from(record.took.as_micros()).unwrap(),
            ended = record.ended.as_str(),
            request_id = record.request_id.map(tracing::field::display),
        );
    });
    sink.text()
}

/// The time in a line: what stands around its first `T`.
fn time(line: &str) -> u64 {
    let at = line.find('T').unwrap();
    let time: Timestamp = line[at - 10..at + 17].parse().unwrap();
    time.as_microsecond().try_into().unwrap()
}

/// Both lines are the same, to the last byte: ours is given the time that the other shows.
fn compare(names: &[Arc<str>], record: &AccessRecord) {
    for look in LOOKS {
        let expected = told(look, names, record);
        let mut line = Vec::new();
        let packed = Packed::of(&mut record.clone(), Instant::now());
        Layout::new(look, names).write(&packed, time(&expected), &mut line);
        assert_eq!(String::from_utf8(line).unwrap(), expected, "{look:?}");
    }
}

#[test]
fn a_line_is_the_one_that_tracing_writes_whatever_is_known_of_the_request() {
    let names = names(&["assistant-eu", "bench"]);
    compare(&names, &record());
    compare(&names, &AccessRecord { upstream: None, ..record() });
    compare(&names, &AccessRecord { upstream: Some(1), call: None, ..record() });
    compare(&names, &AccessRecord { upstream: Some(2), request_id: None, ..record() });
    let bare = AccessRecord { upstream: None, call: None, request_id: None, status: 0, ..record() };
    compare(&names, &bare);
    let large = AccessRecord { bytes_in: u64::MAX, bytes_out: 0, status: u16::MAX, ..record() };
    compare(&names, &AccessRecord { took: Duration::from_micros(u64::MAX), ..large });
    compare(&names, &AccessRecord { request_id: Some(Uuid::now_v7()), ..record() });
}

/// Who reads the log relies on it.
#[test]
fn the_documented_format_is_the_one_that_is_written() {
    let documented = include_str!("../../../docs/logs.md");
    let rows = |heading: &str| {
        let table = documented.split(heading).nth(1).unwrap().split("\n\n").next().unwrap();
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect::<Vec<_>>()
    };
    let mut refused = AccessRecord { refusal: Some(Code::LabelMissing), ..record() };
    let mut line = Vec::new();
    Layout::new(PLAIN, &names(&["a"])).write(&Packed::of(&mut refused, Instant::now()), 0, &mut line);
    // The call is the one value with blanks in it.
    let line = String::from_utf8(line).unwrap().replace("POST /v1/message", "call");
    let written: Vec<_> = line.split_whitespace().filter_map(|field| Some(field.split_once('=')?.0)).collect();
    assert_eq!(rows("| field | is | there |"), written);
    use EndReason as End;
    let ends = [End::Done, End::ClientGone, End::UpstreamGone, End::Refused, End::TimedOut, End::GateEnded];
    assert_eq!(rows("| `ended` | means |"), ends.map(End::as_str));
}

#[test]
fn a_line_is_the_one_that_tracing_writes_with_each_method_refusal_and_end() {
    let names = names(&["assistant-eu"]);
    for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"] {
        compare(&names, &AccessRecord { method: method.parse().unwrap(), ..record() });
    }
    for code in Code::ALL {
        compare(&names, &AccessRecord { refusal: Some(code), ..record() });
    }
    use EndReason as End;
    for ended in [End::Done, End::ClientGone, End::UpstreamGone, End::Refused, End::TimedOut] {
        compare(&names, &AccessRecord { ended, ..record() });
    }
}

#[test]
fn names_and_calls_are_escaped_as_tracing_escapes_them_and_json_stays_json() {
    for text in ODD {
        let (names, mut record) = (names(&[text]), AccessRecord { call: Some(Arc::from(text)), ..record() });
        compare(&names, &record);
        let mut line = Vec::new();
        Layout::new(LOOKS[2], &names).write(&Packed::of(&mut record, Instant::now()), 0, &mut line);
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&line["upstream"], &line["call"]), (&text.into(), &text.into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_and_any_numbers_make_the_line_that_tracing_writes(
        name in any::<String>(),
        call in proptest::option::of(any::<String>()),
        numbers in any::<(u16, u64, u64, u32)>(),
        id in proptest::option::of(any::<u128>()),
    ) {
        let (status, bytes_in, bytes_out, took) = numbers;
        let (call, request_id) = (call.map(Arc::from), id.map(Uuid::from_u128));
        let took = Duration::from_nanos(took.into());
        compare(&names(&[&name]), &AccessRecord { call, status, bytes_in, bytes_out, took, request_id, ..record() });
    }

    #[test]
    fn times_are_written_with_all_their_microseconds(
        times in proptest::collection::vec(0..253_402_000_000_000_000_u64, 1..5),
    ) {
        let mut layout = Layout::new(PLAIN, &[]);
        for time in times.into_iter().flat_map(|time| [time, time + 1, time / 1_000_000 * 1_000_000]) {
            let mut line = Vec::new();
            layout.write(&Packed::of(&mut record(), Instant::now()), time, &mut line);
            let expected = format!("{:.6}", Timestamp::from_microsecond(time.try_into().unwrap()).unwrap());
            prop_assert_eq!(line.get(..27), Some(expected.as_bytes()));
        }
    }
}

#[test]
fn p12_lines_beyond_the_queue_are_dropped_and_counted_and_the_others_are_written_to_the_last() {
    let (log, writer, sink, registry) = log(&names(&["assistant-eu"]));
    for _ in 0..WAITING_MAX + 5 {
        log.record(record());
    }
    drop(log);
    let events = said(|| writer.run());
    assert_eq!(sink.text().matches("POST /v1/message").count(), WAITING_MAX);
    assert!(sink.text().ends_with('\n'));
    assert_eq!(registry.gate().access_lines_dropped, 5);
    assert!(events.contains("access lines dropped lines=5"));
}

#[test]
fn p7_a_line_names_upstream_and_call_and_not_the_callers_own_words() {
    let (log, writer, sink, _) = log(&names(&["assistant-eu"]));
    log.record(record());
    drop(log);
    writer.run();
    let line = sink.text();
    assert!(!line.contains("CANARY"), "{line}");
    for part in ["upstream=\"assistant-eu\"", "method=\"other\"", "status=200", "took_us=1500", "ended=\"done\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn lines_show_when_each_request_ended_and_not_when_the_batch_was_written() {
    let (log, writer, sink, _) = log(&names(&["assistant-eu"]));
    let now = Instant::now();
    for ago in [3_000_000, 2_999_999, 0] {
        log.record_at(&mut record(), now.checked_sub(Duration::from_micros(ago)).unwrap());
    }
    drop(log);
    writer.run();
    let times: Vec<u64> = sink.text().lines().map(time).collect();
    assert_eq!([times[1] - times[0], times[2] - times[0]], [1, 3_000_000]);
}

#[test]
fn where_there_is_no_log_nobody_writes_and_nothing_waits() {
    let names = names(&["assistant-eu"]);
    let registry = Registry::new(&names, 1);
    let (log, writer) = AccessLog::start(Arc::clone(&registry)).unwrap();
    assert!(!log.is_shown());
    for _ in 0..WAITING_MAX + 5 {
        log.record(record());
    }
    writer.finish();
    assert_eq!(registry.gate().access_lines_dropped, 0);
}
