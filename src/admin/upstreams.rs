//! `GET /api/v1/upstreams`: what was counted for each upstream, by the names that the documents use.

use serde_json::{Map, Value, json};

use super::State;
use crate::domain::refusal::Code;
use crate::domain::webchat::Finding;
use crate::erasure::InstanceView;
use crate::telemetry::{FailureKind, UpstreamFigures, rfc3339};

pub(super) async fn upstreams(state: &State) -> Value {
    let figures = state.registry.per_upstream();
    // The counters are shown whatever the store does.
    let instances = state.eraser.instances().await.unwrap_or_default();
    json!({ "upstreams": figures.iter().map(|figures| upstream(figures, &instances)).collect::<Vec<_>>() })
}

fn upstream(figures: &UpstreamFigures, instances: &[InstanceView]) -> Value {
    let instances: Vec<_> = instances.iter().filter(|instance| instance.upstream == *figures.name).collect();
    json!({
        "instances": instances,
        "name": &*figures.name,
        "requests": figures.requests,
        "in_flight": figures.in_flight,
        "addresses_resting": figures.addresses_resting,
        "labelled": figures.labelled,
        "refused": counts(&Code::ALL.map(Code::as_str), &figures.refused),
        "would_refuse": counts(&Code::ALL.map(Code::as_str), &figures.would_refuse),
        "rewritten": figures.rewritten,
        "derived": figures.derived,
        "cut": figures.cut,
        "overridden": figures.overridden,
        "opted_out": figures.opted_out,
        "unlabelled": figures.unlabelled,
        "unlabellable": figures.unlabellable,
        "unknown": figures.unknown,
        "beta": figures.beta,
        "webchat": counts(&Finding::ALL.map(Finding::as_str), &figures.webchat),
        "failures": counts(&FailureKind::ALL.map(FailureKind::as_str), &figures.failed),
        "last_error": figures.last_error.map(|last| {
            json!({ "at": rfc3339(last.at), "kind": last.kind.as_str(), "reason": figures.last_reason.as_deref() })
        }),
    })
}

/// Only what happened: most codes never do.
fn counts(names: &[&str], counts: &[u64]) -> Map<String, Value> {
    let happened = names.iter().zip(counts).filter(|(_, count)| **count > 0);
    happened.map(|(name, count)| ((*name).to_owned(), (*count).into())).collect()
}
