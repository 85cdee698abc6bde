//! Finding the customer of an unlabelled request where the operator says it is: first hit wins, the body last resort.

mod peek;

use self::peek::Peek;
use super::caller::{Caller, Inbound};
use crate::domain::derive;
use crate::domain::http1::Head;
use crate::domain::policy::DeriveFrom;
use crate::domain::refusal::Refusal;

/// Looks in every place in turn. What is read of the body is kept, and sent on first.
///
/// # Errors
/// `BodyTooLarge` when the answer lies in a body that is larger than what may be inspected.
pub(super) async fn derive(
    places: &[DeriveFrom],
    head: &Head,
    caller: &mut Caller<'_>,
    inbound: &mut Inbound,
    bytes_max: usize,
) -> Result<Option<String>, Refusal> {
    let mut peek = Peek::new(&head.lines, caller, inbound, bytes_max);
    for place in places {
        let id = match place {
            DeriveFrom::Json(pointer) => peek.json(pointer).await?,
            DeriveFrom::Multipart { part, json } => peek.multipart(part, json.as_deref()).await?,
            DeriveFrom::Header(_)
            | DeriveFrom::Query(_)
            | DeriveFrom::Cookie(_)
            | DeriveFrom::BasicUsername
            | DeriveFrom::Jwt(_) => from_head(place, head),
        };
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}

fn from_head(place: &DeriveFrom, head: &Head) -> Option<String> {
    match place {
        DeriveFrom::Header(name) => derive::text(head.lines.first(name.as_str())?),
        DeriveFrom::Query(name) => derive::from_query(head.uri.query()?, name),
        DeriveFrom::Cookie(name) => texts(head, "cookie").find_map(|line| derive::from_cookie(line, name)),
        DeriveFrom::BasicUsername => texts(head, "authorization").find_map(derive::from_basic),
        DeriveFrom::Jwt(claim) => texts(head, "authorization").find_map(|line| derive::from_jwt(line, claim)),
        DeriveFrom::Json(_) | DeriveFrom::Multipart { .. } => None,
    }
}

/// The values of all lines of this name that are text: visible ASCII, spaces and tabs.
fn texts<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = &'a str> {
    let is_text = |value: &&[u8]| value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    head.lines.all(name).filter(is_text).filter_map(|value| std::str::from_utf8(value).ok())
}
