//! One delete to one upstream: the request, the exchange, and what was seen.
//!
//! The request is the profile's, with the upstream's own credentials; or, where an upstream has none and a caller has
//! proved authority there, that caller's own call with the label exchanged. Callers' credentials are held in memory only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{ACCEPT, AUTHORIZATION, DATE, RETRY_AFTER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::holds::Tags;
use super::intake::DeleteCall;
use super::{Eraser, report};
use crate::domain::erasure::{Evidence, Fault, Moment, Outcome, Target, TargetKey, judge};
use crate::domain::{UnixSeconds, UpstreamNumber, query};
use crate::upstream::{Answer, Bounds, CallError, CredentialsError, Fault as Broken, Site};

/// Bytes of an answer that are kept and digested.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Erasures for which a caller's call is kept; beyond these the gate's own has to do.
const CARRIED_MAX: usize = 1000;

const USER: HeaderValue = HeaderValue::from_static(concat!("forgetgate/", env!("CARGO_PKG_VERSION")));

/// A caller's own delete, to be sent again under another form of the label.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    upstream: UpstreamNumber,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Carried {
    pub(super) fn new(call: &DeleteCall) -> Self {
        Self {
            upstream: call.site.number,
            path: call.path.clone(),
            query: call.query.clone().unwrap_or_default(),
            headers: call.headers.clone(),
        }
    }

    /// The call with this text as its customer ID. `None` if that makes no request target.
    pub(super) fn request(&self, site: &Site, text: &str) -> Option<Request<Full<Bytes>>> {
        let field = &site.upstream.profile.label.field;
        let with_text = |pair: query::Pair<'_>| {
            let names_it = query::decoded(pair.name).eq_ignore_ascii_case(field.as_bytes());
            names_it.then(|| format!("{field}={}", query::encoded(text)))
        };
        let query = query::rewritten(&self.query, with_text);
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = target(site, &self.path, &query)?;
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }
}

/// The gate's own call. `None` if the profile has none.
pub(super) fn own_request(site: &Site, target_: &Target, text: &str) -> Option<Request<Full<Bytes>>> {
    let rule = site.upstream.profile.erase.as_ref()?;
    let version = site.upstream.version.as_deref().or(target_.version.as_deref());
    let mut request = Request::new(Full::default());
    *request.method_mut() = rule.method.parse().ok()?;
    *request.uri_mut() = target(site, &rule.path(target_.api), &rule.query(text, version))?;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(USER_AGENT, USER);
    Some(request)
}

fn target(site: &Site, path: &str, query: &str) -> Option<Uri> {
    let mut whole = format!("{}{path}", site.upstream.url.path);
    if !query.is_empty() {
        whole.push('?');
        whole.push_str(query);
    }
    PathAndQuery::try_from(whole).ok().map(Uri::from)
}

/// The bounds of a delete that may take `within`, connecting included.
pub(super) const fn bounds(within: Duration) -> Bounds {
    Bounds { within, body_bytes_max: ANSWER_BYTES_MAX }
}

/// What was seen of an answer. Nothing in it is the upstream's own text: a `Date` that is none is left out.
pub(super) fn evidence(
    site: &Site,
    answer: &Answer,
    sent: UnixSeconds,
    answered: UnixSeconds,
    drained: bool,
) -> Evidence {
    let date = answer.response.headers().get(DATE).and_then(|date| date.to_str().ok());
    Evidence {
        sent,
        answered,
        date: date.and_then(|date| httpdate::parse_http_date(date).ok()).map(httpdate::fmt_http_date),
        status: answer.response.status().as_u16(),
        digest: HEXLOWER.encode(&Sha256::digest(answer.response.body())),
        drained,
        address: format!("{}{}", site.upstream.url.authority, site.upstream.url.path),
    }
}

/// The upstream's `Retry-After`, in seconds from `now`.
fn retry_after(headers: &HeaderMap, now: UnixSeconds) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(seconds);
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(at.as_secs().saturating_sub(now.0))
}

impl Eraser {
    /// Remembers a caller's call for as long as the erasure may need it.
    pub(super) fn carry(&self, id: Uuid, call: Carried) {
        let mut all = self.shared.carried.lock();
        if all.len() >= CARRIED_MAX && !all.contains_key(&id) {
            return;
        }
        let calls = all.entry(id).or_default();
        calls.retain(|earlier| earlier.upstream != call.upstream);
        calls.push(call);
    }

    /// Forgets callers' calls of an erasure that needs them no more.
    pub(super) fn forget_calls(&self, id: Uuid) {
        self.shared.carried.lock().remove(&id);
    }

    fn carried_to(&self, id: Uuid, upstream: UpstreamNumber) -> Option<Carried> {
        let all = self.shared.carried.lock();
        all.get(&id)?.iter().find(|call| call.upstream == upstream).cloned()
    }

    /// Sends a request and reads its answer; all of it, connecting included, takes at most `within`. With tags it names that
    /// customer, and a hold that is set before its first byte goes out keeps it back.
    pub(super) async fn exchange(
        &self,
        site: &Site,
        request: Request<Full<Bytes>>,
        within: Duration,
        tags: Option<&Tags>,
    ) -> Result<Answer, CallError> {
        let (shared, tags, at) = (Arc::clone(&self.shared), tags.cloned().unwrap_or_default(), site.number);
        let leave = Arc::new(move || !shared.holds.of(&tags).is_at(at));
        self.shared.transport.exchange(site, request, bounds(within), leave).await
    }

    /// What authorises the gate's own call there; none where a caller's call will be used. Got before anybody is kept out.
    pub(super) async fn credentials(
        &self,
        id: Uuid,
        site: &Site,
        within: Duration,
    ) -> Result<Option<HeaderValue>, Outcome> {
        let carried = site.upstream.credentials.is_none() && self.carried_to(id, site.number).is_some();
        if carried || site.upstream.profile.erase.is_none() { Ok(None) } else { authorization(site, within).await }
    }

    /// Makes the request of a delete.
    pub(super) fn request(
        &self,
        id: Uuid,
        site: &Site,
        target: &Target,
        text: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Outcome> {
        const NONE: Outcome = Outcome::NotSupported(Fault::NotSupported);
        site.upstream.profile.erase.as_ref().ok_or(NONE)?;
        if site.upstream.credentials.is_none()
            && let Some(call) = self.carried_to(id, target.key.upstream)
        {
            return call.request(site, text).ok_or(NONE);
        }
        let mut request = own_request(site, target, text).ok_or(NONE)?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Sends a delete. When its own credentials are refused and there may be better ones, it is sent once more with those.
    /// `None`: a hold that was set before its first byte went out has kept it back.
    pub(super) async fn send(
        &self,
        site: &Site,
        request: Request<Full<Bytes>>,
        straggling: Option<Moment>,
        tags: &Tags,
    ) -> Option<Outcome> {
        let settings = self.settings();
        let within = settings.erasure.barrier_timeout;
        let deadline = Instant::now() + within;
        let mut again = request.clone();
        let mut sent = self.now();
        let mut answer = self.exchange(site, request, within, Some(tags)).await;
        let refused = answer.as_ref().is_ok_and(|seen| matches!(seen.response.status().as_u16(), 401 | 403));
        if refused && let Some(new) = better(site, again.headers(), deadline).await {
            again.headers_mut().insert(AUTHORIZATION, new);
            let now = self.now();
            let left = deadline.saturating_duration_since(Instant::now());
            let second = self.exchange(site, again, left, Some(tags)).await;
            if !matches!(second, Err(CallError::Withheld)) {
                (sent, answer) = (now, second);
            }
        }
        match answer {
            Ok(answer) => Some(self.judge(site, &answer, sent.wall, straggling)),
            Err(CallError::Withheld) => None,
            Err(error) => {
                let late = matches!(error, CallError::MaybeSent(Broken::Timeout));
                let fault = if late { Fault::Timeout } else { Fault::Unreachable };
                let unanswered = error.maybe_sent().then(|| self.may_run_until());
                Some(Outcome::Retry { fault, after: None, unanswered })
            }
        }
    }

    /// A delete was sent whose end could not be recorded: it may be carried out until then, which the next record says.
    pub(super) fn unrecorded(&self, id: Uuid, key: TargetKey, until: Moment) {
        self.shared.unrecorded.lock().insert((id, key), until);
    }

    pub(super) fn take_unrecorded(&self, id: Uuid, key: TargetKey) -> Option<Moment> {
        self.shared.unrecorded.lock().remove(&(id, key))
    }

    /// What has been sent may be carried out for as long as any request may be, with a second for rounding.
    pub(super) fn may_run_until(&self) -> Moment {
        self.now().moment.after(self.settings().response_timeout.as_secs() + 1)
    }

    fn judge(&self, site: &Site, answer: &Answer, sent: UnixSeconds, straggling: Option<Moment>) -> Outcome {
        let now = self.now().wall;
        let status = answer.response.status().as_u16();
        if is_success(site, answer) {
            let evidence = evidence(site, answer, sent, now, straggling.is_none());
            return Outcome::Accepted { evidence, straggling };
        }
        judge(status, retry_after(answer.response.headers(), now))
    }
}

/// Does the profile take this answer for an accepted delete?
pub(super) fn is_success(site: &Site, answer: &Answer) -> bool {
    let rule = site.upstream.profile.erase.as_ref();
    rule.is_some_and(|rule| rule.success.accepts_answer(answer.response.status().as_u16(), answer.response.body()))
}

/// Credentials in place of those that were refused, if there may be better ones: an IAM's next token, a changed secret.
async fn better(site: &Site, refused: &HeaderMap, deadline: Instant) -> Option<HeaderValue> {
    let now = Instant::now();
    let worth_it = site.authenticator.invalidate(refused.get(AUTHORIZATION)?, now) && now < deadline;
    if worth_it { authorization(site, deadline - now).await.ok().flatten() } else { None }
}

/// The upstream's own credentials; none is no fault.
async fn authorization(site: &Site, within: Duration) -> Result<Option<HeaderValue>, Outcome> {
    let made = timeout(within, site.authenticator.authorization(Instant::now())).await;
    let fault = Fault::Credentials;
    match made {
        Ok(Ok(authorization)) => Ok(authorization),
        Ok(Err(error)) => {
            report::warn("a delete has no credentials", &error);
            let blocked = CredentialsError::is_blocked(&error);
            let after = error.retry_after().map(|after| after.as_secs().saturating_add(1));
            Err(if blocked {
                Outcome::Blocked { fault, after }
            } else {
                Outcome::Retry { fault, after, unanswered: None }
            })
        }
        Err(_late) => Err(Outcome::Retry { fault, after: None, unanswered: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, UnixSeconds(784_111_777 - 60))
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), UnixSeconds(0)), None);
    }
}
