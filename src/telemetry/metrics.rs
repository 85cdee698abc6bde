//! The metrics as Prometheus reads them: OpenMetrics text, made by prometheus-client from the summed counters.
//!
//! Labels are `upstream`, `code`, `class` and `result`, all from closed sets or the configuration. There is no way to give another.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry as Families;

use super::handshakes::HandshakeEnd;
use super::registry::Registry;
use super::turned_away::Rejected;
use super::upstream_counts::{Columns, REFUSALS, Shown, UpstreamCounts};

/// `Content-Type` of [`Registry::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A figure that someone else knows, such as the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Begins with `forgetgate_`.
    pub name: &'static str,
    /// One sentence without a full stop.
    pub help: &'static str,
    /// Its value.
    pub value: i64,
}

impl Registry {
    /// All metrics as text, of type [`CONTENT_TYPE`]. `further` are gauges that the caller had to wait for.
    #[must_use]
    pub fn render(self: &Arc<Self>, further: &[Gauge]) -> String {
        let mut gauges = self.gauges();
        gauges.extend_from_slice(further);
        let mut families = Families::default();
        families.register_collector(Box::new(Scrape { registry: Arc::clone(self), gauges }));
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a string cannot fail; were it to, the scrape ends early and lacks its end mark, which is an error there.
        if encode(&mut text, &families).is_err() {
            text.clear();
        }
        text
    }
}

/// One scrape: the collector that prometheus-client walks.
#[derive(Debug)]
struct Scrape {
    registry: Arc<Registry>,
    gauges: Vec<Gauge>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        self.upstreams(&mut page)?;
        self.gate(&mut page)?;
        self.erasures(&mut page)?;
        self.reloads(&mut page)?;
        self.snapshots(&mut page)?;
        self.token_keys(&mut page)?;
        for gauge in &self.gauges {
            page.gauge(gauge.name, gauge.help, |sample| sample.encode_gauge(&gauge.value))?;
        }
        Ok(())
    }
}

impl Scrape {
    fn upstreams(&self, page: &mut Page<'_>) -> fmt::Result {
        let upstreams = self.registry.per_upstream();
        for shown in UpstreamCounts::SHOWN {
            page.counter(shown.metric, shown.help, |family| {
                upstreams.iter().try_for_each(|upstream| {
                    sample(family, &[("upstream", &upstream.name)], (shown.value)(&upstream.counts))
                })
            })?;
        }
        let unrouted = self.registry.gate().unrouted;
        for Shown { metric, help, value: Columns { label, names, counts } } in UpstreamCounts::ROWS {
            page.counter(metric, help, |family| {
                for upstream in &upstreams {
                    row(family, &upstream.name, label, &names(), counts(&upstream.counts))?;
                }
                if *metric == REFUSALS { row(family, "", label, &names(), &unrouted) } else { Ok(()) }
            })?;
        }
        let resting = "Addresses of upstreams that have lately taken no connection";
        page.gauge("forgetgate_upstream_addresses_resting", resting, |family| {
            upstreams.iter().try_for_each(|upstream| {
                family.encode_family(&[("upstream", &*upstream.name)])?.encode_gauge(&upstream.addresses_resting)
            })
        })?;
        page.gauge("forgetgate_requests_in_flight", "Requests in flight", |family| {
            upstreams.iter().try_for_each(|upstream| {
                family.encode_family(&[("upstream", &*upstream.name)])?.encode_gauge(&upstream.in_flight)
            })
        })
    }

    fn gate(&self, page: &mut Page<'_>) -> fmt::Result {
        let gate = self.registry.gate();
        page.counter("forgetgate_connections_opened", "Connections accepted from callers", |family| {
            sample(family, &[], gate.connections_opened)
        })?;
        page.gauge("forgetgate_connections_open", "Connections from callers that are open", |family| {
            family.encode_gauge(&gate.connections_open)
        })?;
        page.counter("forgetgate_tls_handshakes", "TLS handshakes of callers, by how they ended", |family| {
            let ends = HandshakeEnd::ALL.into_iter().zip(gate.handshakes);
            ends.into_iter().try_for_each(|(end, count)| sample(family, &[("code", end.as_str())], count))
        })?;
        page.counter(
            "forgetgate_certificate_changes",
            "Changed files of certificates, by what became of them",
            |family| {
                sample(family, &[("code", "taken")], gate.certificates_renewed)?;
                sample(family, &[("code", "refused")], gate.certificates_refused)
            },
        )?;
        page.counter(
            "forgetgate_tunnels_opened",
            "Connections passed on unseen to hosts that no upstream names",
            |family| sample(family, &[], gate.tunnels),
        )?;
        page.counter("forgetgate_connections_turned_away", "Connections of which no request was read", |family| {
            let counts = Rejected::ALL.into_iter().zip(gate.turned_away);
            counts.into_iter().try_for_each(|(why, count)| sample(family, &[("code", why.as_str())], count))
        })?;
        page.counter("forgetgate_access_lines_dropped", "Access lines lost because too many were waiting", |family| {
            sample(family, &[], gate.access_lines_dropped)
        })?;
        page.counter("forgetgate_log_lines_dropped", "Other log lines lost because nobody read the log", |family| {
            sample(family, &[], gate.log_lines_dropped)
        })
    }

    fn reloads(&self, page: &mut Page<'_>) -> fmt::Result {
        let reloads = self.registry.reloads();
        page.counter("forgetgate_config_reloads", "Reloads of the configuration, by how they ended", |family| {
            reloads.results().into_iter().try_for_each(|(word, count)| sample(family, &[("result", word)], count))
        })?;
        let (last, differs) = (reloads.last_applied(), u64::from(reloads.differs()));
        page.gauge(
            "forgetgate_config_last_applied_timestamp_seconds",
            "When the configuration in force came into force",
            |family| family.encode_gauge(&last),
        )?;
        page.gauge("forgetgate_config_file_differs", "1 if the file's content is not what is in force", |family| {
            family.encode_gauge(&differs)
        })
    }

    fn snapshots(&self, page: &mut Page<'_>) -> fmt::Result {
        let snapshots = self.registry.snapshots();
        page.counter("forgetgate_store_snapshots", "Exports by store.snapshot, by how they ended", |family| {
            snapshots.results().into_iter().try_for_each(|(word, count)| sample(family, &[("result", word)], count))
        })?;
        page.gauge(
            "forgetgate_store_snapshot_timestamp_seconds",
            "When the newest export by store.snapshot was taken; 0: there is none",
            |family| family.encode_gauge(&snapshots.newest()),
        )
    }

    fn token_keys(&self, page: &mut Page<'_>) -> fmt::Result {
        let keys = self.registry.token_keys();
        page.counter(
            "forgetgate_token_key_fetches",
            "Fetches of the keys that tokens are verified with, by how they ended",
            |family| {
                keys.results().into_iter().try_for_each(|(word, count)| sample(family, &[("result", word)], count))
            },
        )?;
        page.gauge(
            "forgetgate_token_key_sets_failing",
            "Sets of such keys of which the last fetch has failed",
            |family| family.encode_gauge(&keys.failing()),
        )
    }

    fn erasures(&self, page: &mut Page<'_>) -> fmt::Result {
        let erasures = self.registry.erasures();
        page.counter("forgetgate_erasures_accepted", "Erasures that were accepted", |family| {
            sample(family, &[], erasures.accepted_count())
        })?;
        page.counter("forgetgate_erasure_attempts", "Attempts at targets of erasures, by how they ended", |family| {
            erasures.attempts().try_for_each(|(code, count)| sample(family, &[("code", code)], count))
        })?;
        page.counter(
            "forgetgate_erasure_targets",
            "Targets of erasures that came to rest, by their state",
            |family| erasures.ends().try_for_each(|(code, count)| sample(family, &[("code", code)], count)),
        )?;
        let standing = erasures.standing();
        let gauges = [
            ("forgetgate_erasures_unfinished", "Erasures that are not done", standing.unfinished),
            ("forgetgate_erasures_late", "Unfinished erasures beyond their due date", standing.late),
            ("forgetgate_erasures_awaiting_approval", "Erasures that wait for approval", standing.awaiting_approval),
            (
                "forgetgate_erasures_action_required",
                "Erasures that wait for a person's action",
                standing.action_required,
            ),
        ];
        gauges
            .into_iter()
            .try_for_each(|(name, help, value)| page.gauge(name, help, |family| family.encode_gauge(&value)))
    }
}

/// The page as it is being written.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }
}

/// One number of a counter.
fn sample(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], count: u64) -> fmt::Result {
    if labels.is_empty() {
        return family.encode_counter::<NoLabelSet, _, u64>(&count, None);
    }
    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

/// One upstream's row of a counter with a second label.
fn row(family: &mut MetricEncoder<'_>, upstream: &str, label: &str, names: &[&str], counts: &[u64]) -> fmt::Result {
    names
        .iter()
        .zip(counts)
        .try_for_each(|(name, count)| sample(family, &[("upstream", upstream), (label, name)], *count))
}
