//! Counters from several workers, as one page of metrics and as figures; and a place where tests read log lines.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::{AttemptOutcome, FailureKind, Gauge, Registry, Standing, TargetEnd};
use crate::domain::refusal::Code;

/// Log lines in memory.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged on this thread while `say` runs, as text.
pub(super) fn said(say: impl FnOnce()) -> String {
    let sink = Sink::default();
    let layer = tracing_subscriber::fmt::layer().with_writer(sink.clone()).with_ansi(false);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
    sink.text()
}

fn names() -> Vec<Arc<str>> {
    vec![Arc::from("assistant-eu"), Arc::from("odd \"name\" \\ here")]
}

/// The value of one series, by its whole name as it is written.
fn series(page: &str, name: &str) -> Option<u64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_different_workers_count_is_summed_by_upstream() {
    let registry = Registry::new(&names(), 2);
    for number in 0..2 {
        let worker = registry.worker(number);
        worker.connection_opened();
        let upstream = worker.upstream(0);
        upstream.request();
        upstream.request_began();
        upstream.labelled();
        upstream.answered(204);
        upstream.refused(Code::LabelMissing);
        upstream.bytes_in(10);
        worker.unrouted(Code::UpstreamUnknown);
    }
    registry.worker(1).upstream(0).request_ended();
    registry.worker(1).connection_closed();
    registry.worker(0).upstream(1).upstream_failed(FailureKind::Tls);
    let page = registry.render(&[]);
    let expected = [
        ("forgetgate_requests_total{upstream=\"assistant-eu\"}", 2),
        ("forgetgate_requests_labelled_total{upstream=\"assistant-eu\"}", 2),
        ("forgetgate_responses_total{upstream=\"assistant-eu\",class=\"2xx\"}", 2),
        ("forgetgate_refusals_total{upstream=\"assistant-eu\",code=\"label_missing\"}", 2),
        ("forgetgate_refusals_total{upstream=\"\",code=\"upstream_unknown\"}", 2),
        ("forgetgate_received_bytes_total{upstream=\"assistant-eu\"}", 20),
        ("forgetgate_requests_in_flight{upstream=\"assistant-eu\"}", 1),
        ("forgetgate_connections_opened_total", 2),
        ("forgetgate_connections_open", 1),
        ("forgetgate_upstream_failures_total{upstream=\"odd \\\"name\\\" \\\\ here\",code=\"tls\"}", 1),
    ];
    for (name, value) in expected {
        assert_eq!(series(&page, name), Some(value), "{name}\n{page}");
    }
    assert_eq!(registry.per_upstream()[1].last_error.map(|error| error.kind), Some(FailureKind::Tls));
}

#[test]
fn the_page_is_whole_and_has_no_labels_but_those_of_closed_sets() {
    let registry = Registry::new(&names(), 1);
    registry.erasures().accepted();
    registry.erasures().attempt(AttemptOutcome::NotDrained);
    registry.erasures().target_ended(TargetEnd::Settled);
    registry.erasures().stand(Standing { unfinished: 3, late: 1, ..Standing::default() });
    registry.add_gauges(|| vec![Gauge { name: "forgetgate_cache_entries", help: "Entries", value: 7 }]);
    let page = registry.render(&[Gauge { name: "forgetgate_store_rows", help: "Rows", value: -1 }]);
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert_eq!(series(&page, "forgetgate_erasure_attempts_total{code=\"not_drained\"}"), Some(1));
    assert_eq!(series(&page, "forgetgate_erasure_targets_total{code=\"settled\"}"), Some(1));
    assert_eq!(series(&page, "forgetgate_erasures_late"), Some(1));
    assert_eq!(series(&page, "forgetgate_cache_entries"), Some(7));
    assert!(page.contains("\nforgetgate_store_rows -1\n"));
    let mut described = BTreeSet::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(described.insert(help.split(' ').next()), "described twice: {line}");
        } else if !line.starts_with('#') {
            assert!(line.starts_with("forgetgate_"), "{line}");
            let labels = line.split_once('{').map_or("", |(_, labels)| labels);
            for label in labels.split("\",").filter_map(|pair| pair.split_once("=\"")) {
                assert!(["upstream", "code", "class", "result"].contains(&label.0), "{line}");
            }
        }
    }
    assert!(described.len() > 25);
}

#[test]
fn an_upstream_that_does_not_exist_is_no_panic() {
    let registry = Registry::new(&names(), 0);
    registry.worker(9).upstream(9).request();
    assert_eq!(registry.per_upstream().iter().map(|figures| figures.counts.requests).sum::<u64>(), 0);
}
