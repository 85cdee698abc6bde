//! A delete by label, made ready for the erasure: which this module does not know, and which does not know this one.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};

use super::entry::Entry;
use super::respond::{self, OwnAnswer, Refusing};
use super::route::Destination;
use super::trace::RequestId;
use crate::domain::Instance;
use crate::domain::refusal::Refusal;
use crate::http1::{Head, Lines};
use crate::telemetry::EndReason;

/// Longest wait that `Prefer: wait` may ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Everything about a delete that its head says.
pub(super) struct Prepared {
    destination: Arc<Destination>,
    api: Option<u8>,
    instance: Instance,
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    forgetgate_authorization: Option<HeaderValue>,
    prefer_wait: Option<Duration>,
    peer: Option<IpAddr>,
}

/// A delete by label on the data path.
pub struct EraseCall {
    /// The addressed upstream.
    pub destination: Arc<Destination>,
    /// Version of the API in the path.
    pub api: Option<u8>,
    /// Which of the upstream's instances it is for.
    pub instance: Instance,
    /// The method.
    pub method: Method,
    /// The path below the upstream's base, as it was sent.
    pub path: String,
    /// The caller's query, as it was sent.
    pub query: Option<String>,
    /// The head for the upstream: hop-by-hop lines and the label gone, `Host` set, no body.
    pub headers: HeaderMap,
    /// The caller's authority towards the gate.
    pub forgetgate_authorization: Option<HeaderValue>,
    /// How long the caller wants to wait for all targets.
    pub prefer_wait: Option<Duration>,
    /// Who calls.
    pub peer: Option<IpAddr>,
    /// The request's name.
    pub(super) request_id: RequestId,
    entry: Entry,
    /// The page that asks, if it is one.
    page: Option<Vec<u8>>,
    /// Whether the connection ends behind the answer, because a body was left behind.
    close: bool,
}

// Path, query and headers name the customer: they are never shown.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("api", &self.api).finish_non_exhaustive()
    }
}

impl fmt::Debug for EraseCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EraseCall").field("api", &self.api).finish_non_exhaustive()
    }
}

impl Prepared {
    pub(super) fn into_call(
        self,
        entry: Entry,
        request_id: RequestId,
        page: Option<Vec<u8>>,
        close: bool,
    ) -> EraseCall {
        let Self { destination, api, instance, method, path, query, headers, .. } = self;
        let Self { forgetgate_authorization, prefer_wait, peer, .. } = self;
        EraseCall {
            destination,
            api,
            instance,
            method,
            path,
            query,
            headers,
            forgetgate_authorization,
            prefer_wait,
            peer,
            request_id,
            entry,
            page,
            close,
        }
    }
}

/// What a delete's path says.
pub(super) struct Asked {
    pub(super) api: Option<u8>,
    pub(super) instance: Instance,
    /// The path below the route.
    pub(super) path: String,
}

/// Makes a delete ready. `lines` are those of the head that would go to the upstream.
pub(super) fn prepare(
    destination: &Arc<Destination>,
    Asked { api, instance, path }: Asked,
    head: &Head,
    lines: &[u8],
    peer: Option<IpAddr>,
) -> Prepared {
    let forgetgate_authorization =
        head.lines.first("forgetgate-authorization").and_then(|value| HeaderValue::from_bytes(value).ok());
    let mut headers = map_of(lines);
    // The query says whose data it is. SDKs send their default label along, which may be another customer's.
    headers.remove(&destination.site.upstream.profile.label.header);
    Prepared {
        destination: Arc::clone(destination),
        api,
        instance,
        method: head.method.clone(),
        path,
        query: head.uri.query().map(str::to_owned),
        headers,
        forgetgate_authorization,
        prefer_wait: head.lines.all("prefer").find_map(wait_of),
        peer,
    }
}

/// Lines as the library's map, for calls that are not the request's own.
fn map_of(lines: &[u8]) -> HeaderMap {
    let lines = Lines::read(lines).unwrap_or_default();
    let entry = |line: crate::http1::Line<'_>| {
        Some((HeaderName::from_bytes(line.name).ok()?, HeaderValue::from_bytes(line.value).ok()?))
    };
    let mut map = HeaderMap::with_capacity(lines.len());
    for (name, value) in lines.iter().filter_map(entry) {
        map.append(name, value);
    }
    map
}

/// `Prefer: wait=N` (RFC 7240 §4.3), at most a minute.
fn wait_of(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let seconds = text.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

impl EraseCall {
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
        let shape = self.destination.site.upstream.profile.error;
        let (request_id, close) = (&self.request_id, self.close);
        let answer = respond::refuse(Refusing { refusal, status, retry_after_s, shape, request_id, close });
        answer.for_page(self.page.as_deref())
    }
}
