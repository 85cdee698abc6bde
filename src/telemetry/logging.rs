//! Log lines for standard error, as text or JSON; [`super::spool`] writes them.
//!
//! The operator's filter decides what is shown, with one exception: what libraries say below INFO is never written,
//! whatever the filter says. Such lines quote headers and keys, and a customer's ID must not reach a log (P7).

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::events;
use super::spool::{Batches, Spool};
use crate::config::{LOG_FILTER_FORM, Log, LogFormat, is_log_filter};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` or `RUST_LOG` is no filter.
    #[error("{place} is no log level or filter; expected {LOG_FILTER_FORM}")]
    Filter {
        /// Which of the two.
        place: &'static str,
    },
    /// There is nobody who could write the lines.
    #[error("no thread for the log")]
    Thread(#[source] io::Error),
    /// Another part of the process has set up logging.
    #[error("logging has been set up already")]
    Twice(#[source] TryInitError),
}

/// Shows that logging is set up. Dropped, it waits a moment for what is still to be written: not for a log that nobody reads.
#[derive(Debug)]
#[must_use]
pub struct LogGuard(Spool);

/// How long the end of the process waits for its last lines.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(500);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.end();
        self.0.flush(LAST_LINES_WITHIN);
    }
}

/// Sets up logging for the whole process, once. `RUST_LOG` wins over `log.level`.
///
/// # Errors
/// When the filter cannot be read, or logging was set up before.
pub fn init(log: &Log) -> Result<LogGuard, LoggingError> {
    let look = Look { format: log.format, ansi: io::stderr().is_terminal() };
    // Asked before there is a log: what passes a filter is worked out anew for each, and the last one should be alone.
    let shows_access = lets_access_pass(filter(log)?);
    // What libraries say by the `log` crate is let through to here as the first filter wants it, for good: from INFO up, of
    // which the operator's own then lets pass what it does.
    let (chosen, handle) = reload::Layer::new(EnvFilter::new("info"));
    let operators = filter(log)?;
    let spool = Spool::default();
    let writer = spool.clone();
    tracing_subscriber::registry()
        .with(lines(look, move || writer.clone()).with_filter(chosen.and(never_written_are_kept_out())))
        .try_init()
        .map_err(LoggingError::Twice)?;
    // It fails only where the subscriber is gone, and that lives as long as the process.
    handle.reload(operators).ok();
    spool.clone().start(|lines| events::LogLinesDropped { lines }.emit()).map_err(LoggingError::Thread)?;
    // Logging is set up once, so there is no other.
    SET_UP.set(SetUp { look, handle, shows_access: AtomicBool::new(shows_access), spool: spool.clone() }).ok();
    Ok(LogGuard(spool))
}

/// From now on `log.level` is this; all else of `[log]` stays as it was set up. Nothing where logging is not set up.
///
/// # Errors
/// When the filter cannot be read; then the one before it holds.
pub fn change(log: &Log) -> Result<(), LoggingError> {
    let Some(set_up) = SET_UP.get() else { return Ok(()) };
    let new = filter(log)?;
    set_up.shows_access.store(lets_access_pass(filter(log)?), Relaxed);
    // It fails only where the subscriber is gone, and that lives as long as the process.
    set_up.handle.reload(new).ok();
    Ok(())
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) format: LogFormat,
    /// Colours, for a terminal.
    pub(super) ansi: bool,
}

/// This process's log.
struct SetUp {
    look: Look,
    handle: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
    /// Whether the filter lets access lines pass.
    shows_access: AtomicBool,
    spool: Spool,
}

/// There from when logging is set up.
static SET_UP: OnceLock<SetUp> = OnceLock::new();

/// Whether there is a log.
pub(super) fn is_set_up() -> bool {
    SET_UP.get().is_some()
}

/// Lines of this process that were lost because too many were waiting, without access lines.
pub(super) fn dropped() -> u64 {
    SET_UP.get().map_or(0, |set_up| set_up.spool.dropped())
}

/// Where access lines go; nowhere before logging is set up.
pub(super) fn access_batches() -> Batches {
    Batches(SET_UP.get().map(|set_up| set_up.spool.clone()).unwrap_or_default())
}

/// How access lines are to look; `None` if nobody wants them.
pub(super) fn access_look() -> Option<Look> {
    SET_UP.get().filter(|set_up| set_up.shows_access.load(Relaxed)).map(|set_up| set_up.look)
}

/// Whether the filter lets access lines pass. It seldom changes, so it is asked once: by an event with the line's
/// target, level and fields, which goes nowhere. (`tracing::enabled!` is no help: where a filter is put on one layer it
/// may say yes to what that filter stops.)
fn lets_access_pass(filter: EnvFilter) -> bool {
    let passed = Arc::new(AtomicBool::new(false));
    let probe = tracing_subscriber::registry().with(Probe(Arc::clone(&passed)).with_filter(filter));
    tracing::subscriber::with_default(probe, || {
        tracing::info!(
            target: "access",
            upstream = Empty,
            method = Empty,
            call = Empty,
            status = Empty,
            refusal = Empty,
            bytes_in = Empty,
            bytes_out = Empty,
            took_us = Empty,
            ended = Empty,
            request_id = Empty,
        );
    });
    passed.load(Relaxed)
}

/// Set by any event that comes through.
struct Probe(Arc<AtomicBool>);

impl<S: tracing::Subscriber> Layer<S> for Probe {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.store(true, Relaxed);
    }
}

fn filter(log: &Log) -> Result<EnvFilter, LoggingError> {
    let (place, text) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => ("RUST_LOG", text),
        _ => ("log.level", log.level.clone()),
    };
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(&text);
    filter.ok().filter(|_| is_log_filter(&text)).ok_or(LoggingError::Filter { place })
}

/// The layer that writes them.
pub(super) fn lines<S, W>(look: Look, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> fmt::MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(look.ansi);
    match look.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    }
}

/// A filter by [`may_be_written`]. That it may let pass every level is said, so that the other filter's hint holds: without
/// a hint every line that is not wanted, however fine, would be made and taken through all filters.
fn never_written_are_kept_out() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(may_be_written as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::TRACE)
}

/// The gate's own targets at any level, everything else from INFO up. HTTP/2's library warns of single frames, which a peer
/// may send as fast as it likes, and shows what was in them: of that one only what is an error.
fn may_be_written(metadata: &Metadata<'_>) -> bool {
    let is_of = |library: &str| {
        let rest = metadata.target().strip_prefix(library);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let least = if is_of("h2") { Level::ERROR } else { Level::INFO };
    metadata.target() == "access" || is_of("forgetgate") || *metadata.level() <= least
}

#[cfg(test)]
mod tests {
    use super::{
        EnvFilter, FilterExt, Layer, LevelFilter, LogFormat, Look, SubscriberExt, lets_access_pass, lines,
        never_written_are_kept_out,
    };
    use tracing::Subscriber;
    use tracing_subscriber::Registry;

    use crate::telemetry::tests::Sink;

    fn with_log(format: LogFormat, directives: &str, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let filter = EnvFilter::new(directives).and(never_written_are_kept_out());
        let lines = lines::<Registry, _>(Look { format, ansi: false }, sink.clone()).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        sink.text()
    }

    #[test]
    fn p7_what_a_library_says_below_info_is_not_written_even_if_the_operator_asks_for_everything() {
        let log = with_log(LogFormat::Text, "trace", || {
            tracing::debug!(target: "hyper::proto", "header x-watson-metadata: customer_id=canary");
            tracing::info!(target: "hyper::proto", "connection");
            tracing::debug!(target: "forgetgate", "own");
        });
        assert!(!log.contains("canary"), "{log}");
        assert!(log.contains("connection") && log.contains("own"), "{log}");
    }

    /// A first message makes sled say hundreds of such lines.
    #[test]
    fn p12_a_line_that_is_finer_than_the_filter_is_not_even_looked_at() {
        for (directives, hint) in
            [("info", LevelFilter::INFO), ("warn,forgetgate=debug", LevelFilter::DEBUG), ("off", LevelFilter::OFF)]
        {
            let filter = EnvFilter::new(directives).and(never_written_are_kept_out());
            let look = Look { format: LogFormat::Text, ansi: false };
            let lines = lines::<Registry, _>(look, Sink::default()).with_filter(filter);
            assert_eq!(tracing_subscriber::registry().with(lines).max_level_hint(), Some(hint), "{directives}");
        }
    }

    #[test]
    fn p7_p12_a_peer_cannot_fill_the_log_frame_by_frame() {
        let log = with_log(LogFormat::Text, "trace", || {
            tracing::warn!(target: "h2::proto::ping_pong", "recv PING ack that we never sent: canary");
            tracing::warn!(target: "h2", "canary");
            tracing::warn!(target: "h2o", "another");
        });
        assert!(!log.contains("canary") && log.contains("another"), "{log}");
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top_and_leaves_out_those_that_are_missing() {
        let log = with_log(LogFormat::Json, "info", || {
            tracing::info!(target: "access", status = 200, refusal = None::<&str>, ended = "done");
        });
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!((&line["status"], &line["ended"], &line["target"]), (&200.into(), &"done".into(), &"access".into()));
        assert!(line.get("refusal").is_none());
    }

    #[test]
    fn one_target_can_be_switched_off() {
        let log = with_log(LogFormat::Text, "info,access=off", || {
            tracing::info!(target: "access", status = 200);
            tracing::info!(target: "forgetgate", "own");
        });
        assert!(!log.contains("200") && log.contains("own"), "{log}");
    }

    #[test]
    fn the_access_line_is_wanted_where_the_filter_lets_such_an_event_pass() {
        let filters = [
            ("info", true),
            ("info,access=off", false),
            ("warn", false),
            ("off", false),
            ("warn,access=info", true),
            ("trace,access=warn", false),
            ("info,h2=debug", true),
            ("info,access[{refusal}]=off", false),
            ("warn,[request]=info", false),
            ("info,[request]=trace", true),
        ];
        for (directives, expected) in filters {
            let event = with_log(LogFormat::Text, directives, || {
                tracing::info!(target: "access", status = 200, refusal = None::<&str>);
            });
            let wanted = lets_access_pass(EnvFilter::new(directives));
            assert_eq!((wanted, !event.is_empty()), (expected, expected), "{directives}");
        }
    }
}
