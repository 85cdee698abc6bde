//! `GET /api/v1/index/export`: the store as one file, as it comes; traffic goes on meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::State;
use super::problem::{Answer, Problem, with_body};
use crate::store::Export;

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
