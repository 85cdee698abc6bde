//! `GET /api/v1/upstreams`: what was counted for each upstream, by the names that the documents use.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::State;
use crate::erasure::InstanceView;
use crate::telemetry::{UpstreamCounts, UpstreamFigures, rfc3339};

/// All upstreams.
#[derive(Serialize, ToSchema)]
pub(super) struct Upstreams {
    upstreams: Vec<Upstream>,
}

/// What is sent: how it is now, and beside that every counter under its own name.
#[derive(Serialize)]
struct Upstream {
    #[serde(flatten)]
    now: Now,
    #[serde(flatten)]
    numbers: BTreeMap<&'static str, u64>,
    #[serde(flatten)]
    rows: BTreeMap<&'static str, Counts>,
}

/// How often, by code; what never happened is left out.
#[derive(Serialize, ToSchema)]
#[schema(value_type = BTreeMap<String, u64>)]
struct Counts(BTreeMap<&'static str, u64>);

/// One upstream: how it is now, and what was counted of it since the start.
#[derive(Serialize, ToSchema)]
struct Now {
    name: String,
    /// Those that paths or keys have shown in traffic.
    instances: Vec<InstanceView>,
    in_flight: u64,
    addresses_resting: u64,
    #[schema(required)]
    last_error: Option<LastError>,
}

/// The last failure.
#[derive(Serialize, ToSchema)]
struct LastError {
    #[schema(format = DateTime)]
    at: String,
    kind: &'static str,
    /// Why it was, in words, where that is known.
    #[schema(required)]
    reason: Option<String>,
}

impl utoipa::PartialSchema for Upstream {
    /// The counters are members as the others are; their names and what they count stand in their table alone.
    fn schema() -> RefOr<Schema> {
        let mut now = <Now as utoipa::PartialSchema>::schema();
        if let RefOr::T(Schema::Object(all)) = &mut now {
            for (name, help) in UpstreamCounts::shown_numbers() {
                let number = utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::Integer)
                    .minimum(Some(0))
                    .description(Some(help));
                all.properties.insert(name.to_owned(), number.build().into());
                all.required.push(name.to_owned());
            }
            for (name, help) in UpstreamCounts::shown_rows() {
                let row = utoipa::openapi::schema::RefBuilder::new()
                    .ref_location_from_schema_name(Counts::name())
                    .description(Some(help));
                all.properties.insert(name.to_owned(), row.build().into());
                all.required.push(name.to_owned());
            }
        }
        now
    }
}

impl ToSchema for Upstream {
    fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
        Now::schemas(all);
        all.push((Counts::name().into_owned(), <Counts as utoipa::PartialSchema>::schema()));
    }
}

pub(super) async fn upstreams(state: &State) -> Upstreams {
    let figures = state.registry.per_upstream();
    // The counters are shown whatever the store does.
    let instances = state.eraser.instances().await.unwrap_or_default();
    Upstreams { upstreams: figures.iter().map(|figures| Upstream::of(figures, &instances)).collect() }
}

impl Upstream {
    fn of(figures: &UpstreamFigures, instances: &[InstanceView]) -> Self {
        let last_error = figures.last_error.map(|last| LastError {
            at: rfc3339(last.at),
            kind: last.kind.as_str(),
            reason: figures.last_reason.as_deref().map(ToOwned::to_owned),
        });
        let instances = instances.iter().filter(|instance| instance.upstream == *figures.name).cloned().collect();
        let (in_flight, addresses_resting) = (figures.in_flight, figures.addresses_resting);
        Self {
            now: Now { name: figures.name.to_string(), instances, in_flight, addresses_resting, last_error },
            numbers: figures.counts.numbers().collect(),
            rows: figures.counts.rows().map(|(name, row)| (name, Counts::of(row))).collect(),
        }
    }
}

impl Counts {
    /// Only what happened: most codes never do.
    fn of(row: Vec<(&'static str, u64)>) -> Self {
        Self(row.into_iter().filter(|(_, count)| *count > 0).collect())
    }
}
