//! Finding the customer of an unlabelled request where the operator says it is: first hit wins, the body last resort.

mod peek;

use self::peek::Peek;
use super::caller::{Caller, Inbound};
use crate::domain::derive::{self, Derived};
use crate::domain::http1::Head;
use crate::domain::policy::DeriveFrom;

/// Looks in every place in turn. What is read of the body is kept, and sent on first.
///
/// # Errors
/// `BodyTooLarge` when the answer lies in a body that is larger than what may be inspected; and for a place that holds two
/// values, or one that is no ID.
pub(super) async fn derive(
    places: &[DeriveFrom],
    head: &Head,
    caller: &mut Caller<'_>,
    inbound: &mut Inbound,
    bytes_max: usize,
) -> Derived {
    let mut peek = Peek { lines: &head.lines, caller, inbound, bytes_max };
    for place in places {
        let id = match place {
            DeriveFrom::Json(pointer) => peek.json(pointer).await?,
            DeriveFrom::Multipart { part, json } => peek.multipart(part, json.as_deref()).await?,
            DeriveFrom::Header(_)
            | DeriveFrom::Query(_)
            | DeriveFrom::Cookie(_)
            | DeriveFrom::BasicUsername
            | DeriveFrom::Jwt(_) => from_head(place, head)?,
        };
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}

fn from_head(place: &DeriveFrom, head: &Head) -> Derived {
    match place {
        DeriveFrom::Header(name) => derive::from_header(head.lines.all(name)),
        DeriveFrom::Query(name) => derive::from_query(head.uri.query().unwrap_or_default(), name),
        DeriveFrom::Cookie(name) => derive::from_cookies(head.lines.all("cookie"), name),
        DeriveFrom::BasicUsername => derive::from_basic(head.lines.all("authorization")),
        DeriveFrom::Jwt(claim) => derive::from_jwt(head.lines.all("authorization"), claim),
        DeriveFrom::Json(_) | DeriveFrom::Multipart { .. } => Ok(None),
    }
}
