//! `GET /metrics`: the counters, and what the store says about itself at this moment.

use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use super::State;
use super::problem::{Answer, text};
use crate::erasure::InstanceView;
use crate::telemetry::{Gauge, METRICS_TYPE};

/// How long a scrape waits for the store's figures; without them it shows the rest.
const FIGURES_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn metrics(state: &State) -> Answer {
    state.eraser.tell_standing();
    let mut gauges = vec![
        gauge("forgetgate_ready", "1 if the gate is ready for traffic", u64::from(state.missing().is_empty())),
        gauge("forgetgate_store_writable", "1 if the store can be written", u64::from(state.index.is_writable())),
    ];
    if let Ok(Ok(figures)) = timeout(FIGURES_WITHIN, state.index.figures()).await {
        gauges.extend([
            gauge("forgetgate_store_rows", "Rows of the index, those marked erased included", figures.rows),
            gauge("forgetgate_store_erased_rows", "Rows of the index that are marked erased", figures.erased_rows),
            gauge(
                "forgetgate_store_unreadable",
                "Entries of the store that were met and do not read, 1000 at most",
                figures.unreadable,
            ),
            gauge("forgetgate_store_jobs", "Erasures in the store", figures.jobs),
            gauge(
                "forgetgate_store_unfinished_jobs",
                "Erasures in the store that are not done",
                figures.unfinished_jobs,
            ),
            gauge("forgetgate_store_bytes", "Bytes of the store's files", figures.bytes),
        ]);
    }
    if let Some(members) = state.eraser.replicas().await {
        let others = || members.iter().filter(|member| !member.this);
        let count = |word: &str| members.iter().filter(|member| member.state == word).count() as u64;
        gauges.extend([
            gauge("forgetgate_replicas_open", "Gates on this store that let labelled requests in", count("open")),
            gauge(
                "forgetgate_replicas_gone",
                "Gates that are gone and of which something may still be stored by a service: erasures wait for them",
                count("cut") + count("ended"),
            ),
            gauge("forgetgate_replicas_missed", "Gates that have not been heard for twice their time", count("missed")),
            gauge(
                "forgetgate_replicas_holding_up",
                "Gates for which a fence of this one waits",
                others().filter(|member| member.holds_up > 0).count() as u64,
            ),
            gauge(
                "forgetgate_replica_open",
                "1 if this gate lets labelled requests in",
                u64::from(state.eraser.is_open()),
            ),
        ]);
    }
    if let Ok(Ok(instances)) = timeout(FIGURES_WITHIN, state.eraser.instances()).await {
        let count = |which: &dyn Fn(&InstanceView) -> bool| instances.iter().filter(|each| which(each)).count() as u64;
        gauges.extend([
            gauge("forgetgate_instances", "Instances of upstreams that paths or keys have shown", count(&|_| true)),
            gauge(
                "forgetgate_instances_without_credentials",
                "Instances of upstreams that hold data and whose credentials nobody has named: erasures wait for them",
                count(&|each| !each.has_credentials),
            ),
        ]);
    }
    text(StatusCode::OK, METRICS_TYPE, state.registry.render(&gauges))
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Gauge {
    Gauge { name, help, value: i64::try_from(value).unwrap_or(i64::MAX) }
}
