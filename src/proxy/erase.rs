//! A delete by label, made ready for the erasure: which this module does not know, and which does not know this one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response};

use super::apply::{Forwarded, NewHead, Orders};
use super::body::AnswerBody;
use super::entry::Entry;
use super::framing::BodyLength;
use super::gather::Gathered;
use super::respond::{self, Refusing};
use super::route::Destination;
use super::target::Target;
use crate::domain::decide::Permit;
use crate::domain::refusal::Refusal;
use crate::telemetry::EndReason;

const FORGETGATE_AUTHORIZATION: HeaderName = HeaderName::from_static("forgetgate-authorization");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Longest wait that `Prefer: wait` may ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Everything about a delete that its head says.
#[derive(Debug)]
pub(super) struct Prepared {
    destination: Arc<Destination>,
    api: Option<u8>,
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    forgetgate_authorization: Option<HeaderValue>,
    prefer_wait: Option<Duration>,
    peer: IpAddr,
}

/// A delete by label on the data path.
#[derive(Debug)]
pub struct EraseCall {
    /// The addressed upstream.
    pub destination: Arc<Destination>,
    /// Version of the API in the path.
    pub api: Option<u8>,
    /// The method.
    pub method: Method,
    /// The path below the upstream's base, as it was sent.
    pub path: String,
    /// The caller's query, as it was sent.
    pub query: Option<String>,
    /// The head for the upstream: hop-by-hop lines gone, `Host` set, no body.
    pub headers: HeaderMap,
    /// The caller's authority towards the gate.
    pub forgetgate_authorization: Option<HeaderValue>,
    /// How long the caller wants to wait for all targets.
    pub prefer_wait: Option<Duration>,
    /// Who calls.
    pub peer: IpAddr,
    /// The request's name.
    pub request_id: HeaderValue,
    entry: Entry,
}

impl Prepared {
    pub(super) fn into_call(self, entry: Entry, request_id: HeaderValue) -> EraseCall {
        let Self { destination, api, method, path, query, headers, forgetgate_authorization, prefer_wait, peer } = self;
        EraseCall {
            destination,
            api,
            method,
            path,
            query,
            headers,
            forgetgate_authorization,
            prefer_wait,
            peer,
            request_id,
            entry,
        }
    }
}

/// Makes a delete ready.
pub(super) fn prepare(
    destination: &Arc<Destination>,
    target: &Target<'_>,
    gathered: Gathered,
    permit: &Permit,
    parts: Parts,
    request_id: &HeaderValue,
    peer: IpAddr,
) -> Result<Prepared, Refusal> {
    let site = &destination.site;
    let (te_trailers, nominated) = (gathered.te_trailers, gathered.nominated);
    let host = parts.headers.get(http::header::HOST).cloned();
    let forgetgate_authorization = parts.headers.get(&FORGETGATE_AUTHORIZATION).cloned();
    let prefer_wait = parts.headers.get_all(PREFER).iter().find_map(wait_of);
    let (path, query) = (target.path(&parts), parts.uri.query().map(str::to_owned));
    let headers = NewHead {
        headers: parts.headers,
        nominated: &nominated,
        te_trailers,
        governed: &destination.governed,
        orders: Orders { label: permit.label_line(), opt_out: permit.opt_out() },
        length: BodyLength::None,
        host: site.connector.authority(),
        forwarded: site.upstream.forwarded.then_some(Forwarded { peer, host: host.as_ref() }),
        authorization: None,
        request_id: request_id.clone(),
    }
    .build();
    let (api, method, destination) = (target.found.api, parts.method, Arc::clone(destination));
    Ok(Prepared { destination, api, method, path, query, headers, forgetgate_authorization, prefer_wait, peer })
}

/// `Prefer: wait=N` (RFC 7240 §4.3), at most a minute.
fn wait_of(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let seconds = text.split([',', ';']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    })?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

impl EraseCall {
    /// The erasure's answer on its way to the caller.
    #[must_use]
    pub fn answer(mut self, response: Response<Bytes>) -> Response<AnswerBody> {
        let (mut parts, body) = response.into_parts();
        self.entry.answered(parts.status.as_u16());
        self.entry.carried_out(body.len() as u64);
        self.entry.ended(EndReason::Done);
        super::apply::answer_head(&mut parts.headers, &self.request_id);
        Response::from_parts(parts, AnswerBody::Own((!body.is_empty()).then_some(body)))
    }

    /// The erasure refuses: with which status and when to try again it says itself.
    #[must_use]
    pub fn refuse(mut self, refusal: Refusal, status: u16, retry_after_s: Option<u32>) -> Response<AnswerBody> {
        self.entry.refused(refusal.code, status);
        let shape = self.destination.site.upstream.profile.error;
        respond::refuse(Refusing { refusal, status, retry_after_s, shape, request_id: &self.request_id, close: false })
    }
}
