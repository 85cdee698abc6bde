//! A delete by label, made ready for the erasure: which this module does not know, and which does not know this one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{HeaderMap, HeaderValue};

use super::entry::Entry;
use super::respond::{self, OwnAnswer, Refusing};
use super::route::Destination;
use super::trace::RequestId;
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::Refusal;
use crate::domain::{ErasureCall, Instance};
use crate::http1::Head;
use crate::telemetry::EndReason;

/// A delete by label whose head was read: where it goes, and what it is.
pub(super) struct Addressed {
    destination: Arc<Destination>,
    call: ErasureCall,
}

/// A delete by label on its way to the erasure, and the way back of the answer.
#[derive(Debug)]
pub struct ErasureExchange {
    /// The addressed upstream.
    pub destination: Arc<Destination>,
    /// What was sent.
    pub call: ErasureCall,
    /// For the answer.
    pub way_back: WayBack,
}

/// What the answer to a delete needs.
#[derive(Debug)]
pub struct WayBack {
    /// The request's name.
    pub(super) request_id: RequestId,
    pub(super) entry: Entry,
    /// The page that asks, if it is one.
    pub(super) page: Option<Vec<u8>>,
    /// Whether the connection ends behind the answer, because a body was left behind.
    pub(super) close: bool,
    /// How its service writes errors.
    pub(super) shape: ErrorShape,
}

impl Addressed {
    pub(super) fn exchange(self, way_back: WayBack) -> ErasureExchange {
        ErasureExchange { destination: self.destination, call: self.call, way_back }
    }
}

/// What a delete's path says.
pub(super) struct Asked {
    pub(super) api: Option<u8>,
    pub(super) instance: Instance,
    /// The path below the route.
    pub(super) path: String,
}

/// Makes a delete ready. `headers` are those of the head that would go to the upstream.
pub(super) fn prepare(
    destination: &Arc<Destination>,
    Asked { api, instance, path }: Asked,
    head: &Head,
    mut headers: HeaderMap,
    peer: Option<IpAddr>,
) -> Addressed {
    let forgetgate_authorization =
        head.lines.first("forgetgate-authorization").and_then(|value| HeaderValue::from_bytes(value).ok());
    // The query says whose data it is. SDKs send their default label along, which may be another customer's.
    headers.remove(&destination.site.upstream.profile.label.header);
    let call = ErasureCall {
        api,
        instance,
        path,
        query: head.uri.query().map(str::to_owned),
        headers,
        forgetgate_authorization,
        prefer_wait: head.lines.all("prefer").find_map(wait_of),
        peer,
    };
    Addressed { destination: Arc::clone(destination), call }
}

/// `Prefer: wait=N` (RFC 7240 §4.3), at most a minute.
fn wait_of(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let seconds = text.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(ErasureCall::WAIT_MAX))
}

impl WayBack {
    /// The erasure's answer on its way to the caller.
    #[must_use]
    pub fn answer(mut self, response: Response<Bytes>) -> OwnAnswer {
        self.entry.answered(response.status().as_u16());
        self.entry.carried_out(response.body().len() as u64);
        self.entry.ended(EndReason::Done);
        OwnAnswer::of(response, &self.request_id, self.close).for_page(self.page.as_deref())
    }

    /// The erasure refuses: with which status and when to try again it says itself.
    #[must_use]
    pub fn refuse(mut self, refusal: Refusal, status: u16, retry_after_s: Option<u32>) -> OwnAnswer {
        self.entry.refused(refusal.code, status);
        let (shape, request_id, close) = (self.shape, &self.request_id, self.close);
        let answer = respond::refuse(Refusing { refusal, status, retry_after_s, shape, request_id, close });
        answer.for_page(self.page.as_deref())
    }
}
