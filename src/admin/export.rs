//! `GET /api/v1/index/export`: the store as one file, as it comes; traffic goes on meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::parse;
use super::problem::{Answer, Problem, json_answer, with_body};
use crate::store::{Export, ExportStep, StoreError};

/// `POST /api/v1/index/export`, and its answer
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Exported)]
pub(super) struct ExportedBody {
    /// Of the latest write in the export, which its last record says.
    number: u64,
}

const FORM: &str = "{\"number\": that of the latest write in the export}";

/// An export is whole and safe where it was taken to: its body having been sent says nothing of that.
pub(super) async fn exported(state: &State, body: &Bytes) -> Result<Answer, Problem> {
    let exported @ ExportedBody { number } = parse(body, FORM)?;
    match state.index.export(ExportStep::Done { number }).await {
        Ok(_) => Ok(json_answer(StatusCode::OK, &exported)),
        Err(StoreError::Corrupt { .. }) => {
            let detail = "no export that this gate has given since its start ended with that number";
            Err(Problem::new(StatusCode::CONFLICT, "export_unknown", detail))
        }
        Err(_) => Err(Problem::unavailable("store_unavailable", "the store cannot note it at the moment")),
    }
}

/// An error on the way breaks the body off, and what came lacks its end.
pub(super) async fn export(state: &State) -> Result<Answer, Problem> {
    let mut export = Export::of(Arc::clone(&state.index));
    let unavailable = |_| Problem::unavailable("store_unavailable", "the store gives no export at the moment");
    let first = export.next().await.map_err(unavailable)?;
    let rest = stream::unfold((export, first), |(mut export, first)| async move {
        let next = match first {
            Some(first) => Ok(Some(first)),
            None => export.next().await,
        };
        let frame = next.map(|bytes| bytes.map(|bytes| Frame::data(Bytes::from(bytes)))).transpose()?;
        Some((frame, (export, None)))
    });
    Ok(with_body(StatusCode::OK, "application/octet-stream", StreamBody::new(rest).boxed_unsync()))
}
