//! Finding the customer of an unlabelled request where the operator says it is: first hit wins, the body last resort.

mod peek;

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap};
use http::request::Parts;
use http_body::Frame;
use hyper::body::Incoming;

use self::peek::Peek;
use crate::domain::derive;
use crate::domain::policy::DeriveFrom;
use crate::domain::refusal::Refusal;

/// What was found, and what was read of the body to find it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) id: Option<String>,
    /// Frames that were read ahead: they are sent on first.
    pub(super) ahead: VecDeque<Frame<Bytes>>,
}

/// Looks in every place in turn.
///
/// # Errors
/// `BodyTooLarge` when the answer lies in a body that is larger than what may be inspected.
pub(super) async fn derive(
    places: &[DeriveFrom],
    parts: &Parts,
    body: &mut Incoming,
    bytes_max: usize,
) -> Result<Found, Refusal> {
    let mut peek = Peek::new(bytes_max);
    for place in places {
        let id = match place {
            DeriveFrom::Json(pointer) => peek.json(&parts.headers, body, pointer).await?,
            DeriveFrom::Multipart { part, json } => peek.multipart(&parts.headers, body, part, json.as_deref()).await?,
            DeriveFrom::Header(_)
            | DeriveFrom::Query(_)
            | DeriveFrom::Cookie(_)
            | DeriveFrom::BasicUsername
            | DeriveFrom::Jwt(_) => from_head(place, parts),
        };
        if id.is_some() {
            return Ok(Found { id, ahead: peek.into_frames() });
        }
    }
    Ok(Found { id: None, ahead: peek.into_frames() })
}

fn from_head(place: &DeriveFrom, parts: &Parts) -> Option<String> {
    let headers = &parts.headers;
    match place {
        DeriveFrom::Header(name) => derive::text(headers.get(name)?.as_bytes()),
        DeriveFrom::Query(name) => derive::from_query(parts.uri.query()?, name),
        DeriveFrom::Cookie(name) => lines(headers, &COOKIE).find_map(|line| derive::from_cookie(line, name)),
        DeriveFrom::BasicUsername => lines(headers, &AUTHORIZATION).find_map(derive::from_basic),
        DeriveFrom::Jwt(claim) => lines(headers, &AUTHORIZATION).find_map(|line| derive::from_jwt(line, claim)),
        DeriveFrom::Json(_) | DeriveFrom::Multipart { .. } => None,
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}
