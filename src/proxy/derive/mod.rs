//! Finding the customer of a request where the operator says it is: first hit wins, the body last resort.

mod peek;

use tokio::time::Instant;

use self::peek::Peek;
use super::caller::{Caller, Inbound};
use crate::domain::derive::{self, Derived};
use crate::domain::policy::DeriveFrom;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::token::{Claims, Token, Trust, Unverified};
use crate::domain::{CustomerId, UnixSeconds, decide};
use crate::http1::Head;
use crate::upstream::{Fresher, KeySources};

/// Where to look, and what that takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    /// In their order.
    pub(super) places: &'a [DeriveFrom],
    /// What tokens are verified with.
    pub(super) keys: &'a KeySources,
    /// Against which their times are held.
    pub(super) now: UnixSeconds,
    /// Of a body.
    pub(super) bytes_max: usize,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    Id(CustomerId),
    Nothing,
    /// Nothing, and this is wrong with the token.
    Unverified(Unverified),
}

impl Found {
    pub(super) const fn derived(&self) -> decide::Derived<'_> {
        match self {
            Self::Id(id) => decide::Derived::Found(id),
            Self::Nothing => decide::Derived::Nothing,
            Self::Unverified(reason) => decide::Derived::Unverified(*reason),
        }
    }
}

/// Looks in every place in turn. What is read of the body is kept, and sent on first.
///
/// # Errors
/// `BodyTooLarge` when the answer lies in a body that is larger than what may be inspected; `KeysUnavailable` when it cannot
/// be told now whether a token is good; and for a place that holds two values, or one that is no ID.
pub(super) async fn derive(
    search: Search<'_>,
    head: &Head,
    caller: &mut Caller<'_>,
    inbound: &mut Inbound,
) -> Result<Found, Refusal> {
    let mut peek = Peek::new(&head.lines, caller, inbound, search.bytes_max);
    let mut unverified = None;
    for place in search.places {
        let id = match place {
            DeriveFrom::Json(pointer) => peek.json(pointer).await?,
            DeriveFrom::Multipart { part, json } => peek.multipart(part, json.as_deref()).await?,
            DeriveFrom::VerifiedJwt { claim, by } => match from_verified(claim, by, search, head).await? {
                Ok(id) => Some(id),
                Err(reason) => {
                    // What is wrong with a token says more than that there is none for another place.
                    unverified = unverified.or(Some(reason));
                    None
                }
            },
            DeriveFrom::Header(_)
            | DeriveFrom::Query(_)
            | DeriveFrom::Cookie(_)
            | DeriveFrom::BasicUsername
            | DeriveFrom::Jwt(_) => from_head(place, head)?,
        };
        if let Some(id) = id {
            return Ok(Found::Id(id));
        }
    }
    Ok(unverified.filter(|reason| *reason != Unverified::NoToken).map_or(Found::Nothing, Found::Unverified))
}

fn from_head(place: &DeriveFrom, head: &Head) -> Derived {
    match place {
        DeriveFrom::Header(name) => derive::from_header(head.lines.all(name)),
        DeriveFrom::Query(name) => derive::from_query(head.uri.query().unwrap_or_default(), name),
        DeriveFrom::Cookie(name) => derive::from_cookies(head.lines.all("cookie"), name),
        DeriveFrom::BasicUsername => derive::from_basic(head.lines.all("authorization")),
        DeriveFrom::Jwt(claim) => derive::from_jwt(head.lines.all("authorization"), claim),
        DeriveFrom::VerifiedJwt { .. } | DeriveFrom::Json(_) | DeriveFrom::Multipart { .. } => Ok(None),
    }
}

/// The claim of the bearer token, or why the token is no source of one.
async fn from_verified(
    claim: &str,
    trust: &Trust,
    search: Search<'_>,
    head: &Head,
) -> Result<Result<CustomerId, Unverified>, Refusal> {
    let Some(text) = derive::bearer(head.lines.all("authorization"))? else { return Ok(Err(Unverified::NoToken)) };
    let claims = match Token::read(text) {
        Ok(token) => verified(&token, trust, search).await?,
        Err(reason) => Err(reason),
    };
    match claims {
        Ok(claims) => Ok(derive::from_claims(&claims, claim)?.ok_or(Unverified::NoClaim)),
        Err(reason) => Ok(Err(reason)),
    }
}

/// Waits only for a key that is not known, and only as long as [`Fresher`] says.
async fn verified(token: &Token<'_>, trust: &Trust, search: Search<'_>) -> Result<Result<Claims, Unverified>, Refusal> {
    if let Err(reason) = token.may_count(trust, search.now) {
        return Ok(Err(reason));
    }
    let unavailable = || Refusal::from(Code::KeysUnavailable);
    let now = Instant::now();
    let source = search.keys.at(&trust.keys).ok_or_else(unavailable)?;
    let keys = source.keys(now).ok_or_else(unavailable)?;
    match token.verified(&keys, trust, search.now) {
        Err(Unverified::UnknownKey) => match source.fresher(&keys, now).await {
            Fresher::Keys(keys) => Ok(token.verified(&keys, trust, search.now)),
            Fresher::Same => Ok(Err(Unverified::UnknownKey)),
            Fresher::Unknown => Err(unavailable()),
        },
        verified => Ok(verified),
    }
}
