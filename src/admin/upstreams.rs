//! `GET /api/v1/upstreams`: what was counted for each upstream, by the names that the documents use.

use serde_json::{Map, Value, json};

use super::State;
use crate::erasure::InstanceView;
use crate::telemetry::{UpstreamFigures, rfc3339};

pub(super) async fn upstreams(state: &State) -> Value {
    let figures = state.registry.per_upstream();
    // The counters are shown whatever the store does.
    let instances = state.eraser.instances().await.unwrap_or_default();
    json!({ "upstreams": figures.iter().map(|figures| upstream(figures, &instances)).collect::<Vec<_>>() })
}

fn upstream(figures: &UpstreamFigures, instances: &[InstanceView]) -> Value {
    let instances: Vec<_> = instances.iter().filter(|instance| instance.upstream == *figures.name).collect();
    let mut shown = json!({
        "instances": instances,
        "name": &*figures.name,
        "in_flight": figures.in_flight,
        "addresses_resting": figures.addresses_resting,
        "last_error": figures.last_error.map(|last| {
            json!({ "at": rfc3339(last.at), "kind": last.kind.as_str(), "reason": figures.last_reason.as_deref() })
        }),
    });
    if let Some(members) = shown.as_object_mut() {
        members.extend(figures.counts.numbers().map(|(name, count)| (name.to_owned(), count.into())));
        members.extend(figures.counts.rows().map(|(name, row)| (name.to_owned(), happened(row).into())));
    }
    shown
}

/// Only what happened: most codes never do.
fn happened(row: Vec<(&'static str, u64)>) -> Map<String, Value> {
    let happened = row.into_iter().filter(|(_, count)| *count > 0);
    happened.map(|(name, count)| (name.to_owned(), count.into())).collect()
}
