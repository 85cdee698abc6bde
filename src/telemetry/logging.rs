//! Log lines on standard error, as text or JSON.
//!
//! The operator's filter decides what is shown, with one exception: what libraries say below INFO is never written,
//! whatever the filter says. Such lines quote headers and keys, and a customer's ID must not reach a log (P7).

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::batch::Stderr;
use crate::config::{Log, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` or `RUST_LOG` is no filter.
    #[error("{place} is not a log filter such as \"info\" or \"info,access=off\"")]
    Filter {
        /// Which of the two.
        place: &'static str,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Another part of the process has set up logging.
    #[error("logging has been set up already")]
    Twice(#[source] TryInitError),
}

/// Shows that logging is set up. Lines are written as they are made, so it has nothing to do at the end.
#[derive(Debug)]
#[must_use]
pub struct LogGuard(());

/// Sets up logging for the whole process, once. `RUST_LOG` wins over `log.level`.
///
/// # Errors
/// When the filter cannot be read, or logging was set up before.
pub fn init(log: &Log) -> Result<LogGuard, LoggingError> {
    let filter = filter(log)?;
    let lines = lines(log.format, || Stderr, std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.and(filter_fn(may_be_written))))
        .try_init()
        .map_err(LoggingError::Twice)?;
    Ok(LogGuard(()))
}

fn filter(log: &Log) -> Result<EnvFilter, LoggingError> {
    let (place, text) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => ("RUST_LOG", text),
        _ => ("log.level", log.level.clone()),
    };
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(text)
        .map_err(|source| LoggingError::Filter { place, source })
}

fn lines<S, W>(format: LogFormat, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> fmt::MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    }
}

/// The gate's own targets at any level, everything else from INFO up.
fn may_be_written(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let own = target == "access" || target == "forgetgate" || target.starts_with("forgetgate::");
    own || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::{EnvFilter, FilterExt, Layer, LogFormat, SubscriberExt, filter_fn, lines, may_be_written};
    use tracing_subscriber::Registry;

    use crate::telemetry::tests::Sink;

    fn with_log(format: LogFormat, directives: &str, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let filter = EnvFilter::new(directives).and(filter_fn(may_be_written));
        let lines = lines::<Registry, _>(format, sink.clone(), false).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), say);
        sink.text()
    }

    #[test]
    fn p7_what_a_library_says_below_info_is_not_written_even_if_the_operator_asks_for_everything() {
        let log = with_log(LogFormat::Text, "trace", || {
            tracing::debug!(target: "h2::codec", "header x-watson-metadata: customer_id=canary");
            tracing::info!(target: "h2::codec", "connection");
            tracing::debug!(target: "forgetgate", "own");
        });
        assert!(!log.contains("canary"), "{log}");
        assert!(log.contains("connection") && log.contains("own"), "{log}");
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
}
