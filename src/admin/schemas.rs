//! The schemas of what the calls take and give. They are those of the types that are read and sent.
//!
//! By hand are what no type of the gate's own stands for, and what decisions take: one type reads them all, so that each is
//! refused in words of its own, and here stands what each call needs of it.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::body::{CustomerBody, SubmissionBody};
use super::config_state::{Applied, ConfigView};
use super::export::ExportedBody;
use super::health::{Health, ReadinessView};
use super::holds::{HoldBody, Lifted};
use super::problem::ProblemBody;
use super::replicas::Replicas;
use super::upstreams::Upstreams;
use crate::erasure::{DryRun, HoldList, List, Recipients};

/// All schemas by their names.
pub(super) fn schemas() -> Map<String, Value> {
    let mut all = Vec::new();
    for add in [
        with::<Health>,
        with::<ReadinessView<'_>>,
        with::<ConfigView>,
        with::<Applied>,
        with::<SubmissionBody>,
        with::<HoldBody>,
        with::<HoldList>,
        with::<Lifted>,
        with::<CustomerBody>,
        with::<List>,
        with::<DryRun>,
        with::<Recipients>,
        with::<Upstreams>,
        with::<Replicas>,
        with::<ExportedBody>,
        with::<ProblemBody<'_>>,
    ] {
        add(&mut all);
    }
    let mut schemas: Map<String, Value> = all.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    if let Value::Object(by_hand) = by_hand() {
        schemas.extend(by_hand);
    }
    schemas
}

/// A type's schema, and those of all types in it.
fn with<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

fn by_hand() -> Value {
    let by = || json!({ "type": "string", "maxLength": 200 });
    let note = || json!({ "type": "string", "maxLength": 2000 });
    let text = |description: &str| json!({ "type": "string", "description": description });
    let shown = "As the target shows it; empty: those that show none.";
    json!({
        "Metrics": { "type": "string" },
        "OpenApi": { "type": "object" },
        "Export": {
            "type": "string",
            "format": "binary",
            "description": "For `forgetgate index restore`; rows and erasures are sealed as in the store. It ends with a \
                digest: what lacks its end is refused.",
        },
        "Decision": {
            "type": "object",
            "required": ["by"],
            "additionalProperties": false,
            "properties": {
                "by": by(),
                "reason": { "type": "string", "maxLength": 2000, "description": "Required for a hold." },
                "upstream": text("For hold and unhold: only at this upstream."),
            },
        },
        "Note": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "by": { "type": "string", "maxLength": 200, "description": "Required, but for a retry." },
                "note": note(),
            },
        },
        "Closing": {
            "type": "object",
            "required": ["by", "note"],
            "additionalProperties": false,
            "description": "Closes every target at the upstream that waits for a person; or, of these, those of which an \
                erasure shows all of what is said here.",
            "properties": {
                "by": by(),
                "note": note(),
                "instance": text(shown),
                "path": text(shown),
                "form": text("As the target shows it."),
                "api": { "type": "integer", "description": "As the target shows it." },
            },
        },
        "Confirmation": {
            "type": "object",
            "required": ["by"],
            "additionalProperties": false,
            "properties": { "by": by(), "note": note() },
        },
    })
}
