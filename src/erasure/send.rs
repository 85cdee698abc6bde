//! One delete to one upstream: the request, the exchange, and what was seen.
//!
//! The request is the profile's, with the upstream's own credentials; or, where an upstream has none and a caller has
//! proved authority there, that caller's own call with the label exchanged. Callers' credentials are held in memory only.

use std::borrow::Cow;
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
use super::{Eraser, report};
use crate::domain::erasure::{Evidence, Fault, Moment, Outcome, Reach, Target, TargetKey, Where, Which, judge};
use crate::domain::{ErasureCall, UnixSeconds, UpstreamNumber, query};
use crate::upstream::{Answer, Authenticator, Bounds, CallError, CredentialsError, Fault as Broken, Site};

/// Bytes of an answer that are kept and digested.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Erasures for which a caller's call is kept; beyond these the gate's own has to do.
const CARRIED_MAX: usize = 1000;

/// Of one erasure: one for each instance that a caller has proved authority at.
const CARRIED_FOR_ONE: usize = 16;

const USER: HeaderValue = HeaderValue::from_static(concat!("forgetgate/", env!("CARGO_PKG_VERSION")));

/// A caller's own delete, to be sent again under another form of the label.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// The upstream that it was addressed to.
    pub(super) upstream: UpstreamNumber,
    pub(super) call: Arc<ErasureCall>,
}

impl Carried {
    /// Whether it was sent with the credentials that open this instance.
    fn is_for(&self, place: &Where, reach: &Reach) -> bool {
        let here = std::slice::from_ref(place);
        let instance = &self.call.instance;
        let unsigned = instance.caller.is_none() && reach.instances.addressed(&instance.prefix) == here;
        unsigned || reach.instances.resolve(instance) == here
    }

    /// The call with this text as its customer ID, under this version of the API if it is another. `None` if that makes no
    /// request target.
    pub(super) fn request(&self, site: &Site, text: &str, api: Option<u8>) -> Option<Request<Full<Bytes>>> {
        let field = &site.upstream.profile.label.field;
        let with_text = |pair: query::Pair<'_>| {
            let names_it = query::decoded(pair.name).eq_ignore_ascii_case(field.as_bytes());
            names_it.then(|| format!("{field}={}", query::encoded(text)))
        };
        let query = query::rewritten(self.call.query.as_deref().unwrap_or_default(), with_text);
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::DELETE;
        let call = &*self.call;
        let path = match api.filter(|_| api != call.api) {
            Some(_) => Cow::Owned(call.instance.prefix.to_string() + &site.upstream.profile.erase.as_ref()?.path(api)),
            None => Cow::Borrowed(&call.path),
        };
        *request.uri_mut() = target(site, &path, &query)?;
        *request.headers_mut() = call.headers.clone();
        Some(request)
    }
}

/// With what a delete goes to its instance.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// The caller's own call.
    Carried(Box<Carried>),
    /// The gate's own, with this `Authorization` if there is one.
    Own(Authenticator, Option<HeaderValue>),
}

/// The gate's own call. `None` if the profile has none.
pub(super) fn own_request(site: &Site, target_: &Target, text: &str) -> Option<Request<Full<Bytes>>> {
    let rule = site.upstream.profile.erase.as_ref()?;
    let path = target_.place.prefix.to_string() + &rule.path(target_.key.api);
    let version = site.upstream.version.as_deref().or(target_.version.as_deref());
    let mut request = Request::new(Full::default());
    *request.method_mut() = rule.method.parse().ok()?;
    *request.uri_mut() = target(site, &path, &rule.query(text, version))?;
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
    prefix: &str,
    answer: &Answer,
    (sent, answered): (UnixSeconds, UnixSeconds),
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
        address: format!("{}{}{prefix}", site.upstream.url.authority, site.upstream.url.path),
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
        calls.retain(|earlier| (earlier.upstream, &earlier.call.instance) != (call.upstream, &call.call.instance));
        if calls.len() < CARRIED_FOR_ONE {
            calls.push(call);
        }
    }

    /// Forgets callers' calls of an erasure that needs them no more.
    pub(super) fn forget_calls(&self, id: Uuid) {
        self.shared.carried.lock().remove(&id);
    }

    fn carried_to(&self, id: Uuid, place: &Where, reach: &Reach) -> Option<Carried> {
        let all = self.shared.carried.lock();
        let is_one = |call: &&Carried| call.upstream == reach.number && call.is_for(place, reach);
        all.get(&id)?.iter().find(is_one).cloned()
    }

    /// Sends a request and reads its answer; all of it, connecting included, takes at most `within`. With tags it names that
    /// customer, and what comes to be before its first byte goes out keeps it back: a hold, or that the other gates have given
    /// this one up and do its work.
    pub(super) async fn exchange(
        &self,
        site: &Site,
        request: Request<Full<Bytes>>,
        within: Duration,
        tags: Option<&Tags>,
    ) -> Result<Answer, CallError> {
        let (shared, tags, at) = (Arc::clone(&self.shared), tags.cloned(), site.number);
        let leave = Arc::new(move || {
            let may = |tags: &Tags| shared.replicas.may_send() && !shared.holds.of(tags).is_at(at);
            tags.as_ref().is_none_or(may)
        });
        self.shared.transport.exchange(site, request, bounds(within), leave).await
    }

    /// With what a delete goes there: the instance's own credentials, the upstream's, or the caller's own call. Got before
    /// anybody is kept out.
    pub(super) async fn pass(
        &self,
        id: Uuid,
        site: &Site,
        place: &Where,
        reach: &Reach,
        within: Duration,
    ) -> Result<Pass, Outcome> {
        let authenticator = match opener(site, place) {
            Ok(authenticator) => authenticator,
            Err(fault) => match self.carried_to(id, place, reach) {
                Some(call) => return Ok(Pass::Carried(Box::new(call))),
                None => fault.map_or(Ok(&site.authenticator), |fault| Err(Outcome::Blocked { fault, after: None }))?,
            },
        };
        let none = site.upstream.profile.erase.is_none();
        let made = if none { None } else { authorization(authenticator, within).await? };
        Ok(Pass::Own(authenticator.clone(), made))
    }

    /// Makes the request of a delete.
    pub(super) fn request(
        site: &Site,
        target: &Target,
        text: &str,
        pass: &Pass,
    ) -> Result<Request<Full<Bytes>>, Outcome> {
        const NONE: Outcome = Outcome::NotSupported(Fault::NotSupported);
        site.upstream.profile.erase.as_ref().ok_or(NONE)?;
        match pass {
            Pass::Carried(call) => call.request(site, text, target.key.api).ok_or(NONE),
            Pass::Own(_, authorization) => {
                let mut request = own_request(site, target, text).ok_or(NONE)?;
                if let Some(authorization) = authorization {
                    request.headers_mut().insert(AUTHORIZATION, authorization.clone());
                }
                Ok(request)
            }
        }
    }

    /// Sends a delete. When its own credentials are refused and there may be better ones, it is sent once more with those.
    /// `None`: a hold that was set before its first byte went out has kept it back.
    pub(super) async fn send(
        &self,
        (site, place, pass): (&Site, &Where, &Pass),
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
        if refused && let Some(new) = better(pass, again.headers(), deadline).await {
            again.headers_mut().insert(AUTHORIZATION, new);
            let now = self.now();
            let left = deadline.saturating_duration_since(Instant::now());
            let second = self.exchange(site, again, left, Some(tags)).await;
            if !matches!(second, Err(CallError::Withheld)) {
                (sent, answer) = (now, second);
            }
        }
        match answer {
            Ok(answer) => Some(self.judge((site, place), &answer, sent.wall, straggling)),
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

    /// The same, to be written down before the next one is sent: after a crash nobody else would know.
    pub(super) fn is_unrecorded(&self, id: Uuid, key: TargetKey) -> Option<Moment> {
        self.shared.unrecorded.lock().get(&(id, key)).copied()
    }

    pub(super) fn take_unrecorded(&self, id: Uuid, key: TargetKey) -> Option<Moment> {
        self.shared.unrecorded.lock().remove(&(id, key))
    }

    /// What has been sent may be carried out for as long as any request may be, with a second for rounding.
    pub(super) fn may_run_until(&self) -> Moment {
        self.now().moment.after(self.settings().response_timeout.as_secs() + 1)
    }

    /// What is under way may still be given up, and be carried out for as long after that.
    pub(super) fn ends_unseen_until(&self) -> Moment {
        self.may_run_until().after(self.settings().erasure.barrier_timeout.as_secs() + 1)
    }

    fn judge(
        &self,
        (site, place): (&Site, &Where),
        answer: &Answer,
        sent: UnixSeconds,
        straggling: Option<Moment>,
    ) -> Outcome {
        let now = self.now().wall;
        let status = answer.response.status().as_u16();
        if is_success(site, answer) {
            let evidence = evidence(site, &place.prefix, answer, (sent, now), straggling.is_none());
            return Outcome::Accepted { evidence, straggling };
        }
        judge(status, retry_after(answer.response.headers(), now))
    }
}

/// Whether the profile takes this answer for an accepted delete.
pub(super) fn is_success(site: &Site, answer: &Answer) -> bool {
    let rule = site.upstream.profile.erase.as_ref();
    rule.is_some_and(|rule| rule.success.accepts_answer(answer.response.status().as_u16(), answer.response.body()))
}

/// Credentials in place of those that were refused, if there may be better ones: an IAM's next token, a changed secret.
async fn better(pass: &Pass, refused: &HeaderMap, deadline: Instant) -> Option<HeaderValue> {
    let Pass::Own(authenticator, _) = pass else { return None };
    let now = Instant::now();
    let worth_it = authenticator.invalidate(refused.get(AUTHORIZATION)?, now) && now < deadline;
    if worth_it { authorization(authenticator, deadline - now).await.ok().flatten() } else { None }
}

/// What opens an instance. `Err`: nothing of the gate's; without a fault it is asked without credentials all the same.
fn opener<'s>(site: &'s Site, place: &Where) -> Result<&'s Authenticator, Option<Fault>> {
    let own = site.upstream.credentials.is_some().then_some(&site.authenticator);
    match &place.which {
        Which::Own => own.ok_or(None),
        Which::Named(name) => match site.instances.authenticator(name) {
            Some(authenticator) => Ok(authenticator),
            // It is told by its path alone, and the upstream's credentials open it.
            None if site.instances.is_by_path(name) => own.ok_or(None),
            None => Err(Some(Fault::InstanceUnnamed)),
        },
        Which::Unnamed(_) => Err(Some(Fault::InstanceUnnamed)),
        Which::Unknown(_) => Err(Some(Fault::InstanceUnknown)),
    }
}

/// The gate's credentials; none is no fault.
async fn authorization(authenticator: &Authenticator, within: Duration) -> Result<Option<HeaderValue>, Outcome> {
    let made = timeout(within, authenticator.authorization(Instant::now())).await;
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
