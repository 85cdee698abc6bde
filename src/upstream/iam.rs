//! IBM Cloud's IAM: an API key exchanged for a token that lives for an hour.
//!
//! However many ask, one exchange is under way: they all wait for its one outcome, and it goes on when they leave. A
//! token is renewed behind their backs at 80 % of its life. A failure is everybody's answer until its pause is over, so
//! that neither a wrong key nor an IAM that is down is hammered; IAM may ask for a longer one. Time comes in as an argument.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::call::{Answer, BodyEnd, Bounds, CallError, call};
use super::connect::Connector;
use super::credentials::sensitive;
use crate::config::secret::SecretError;
use crate::config::{Renew, Secret};
use crate::domain::UnixSeconds;
use crate::telemetry::{chain, clock, events};

/// Where the token call is if the configured URL has no path; the SDKs take it with and without.
const DEFAULT_PATH: &str = "/identity/token";
const FORM: &str = "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&response_type=cloud_iam&apikey=";

/// An answer is some 3 KiB; anything beyond this is none.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Erasures bound their steps in seconds; an IAM that takes longer than this counts as unreachable.
const WITHIN_MAX: Duration = Duration::from_secs(30);
/// IAM says an hour; what claims more than a day is looked at again after a day.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that is honoured, as for services.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A token that replaced a refused one is kept at least this long, even if it is refused too: the fault is then not
/// the token's, and a service that answers 401 to everything must not cause an exchange a request.
const REPLACEMENT_KEPT: Duration = Duration::from_secs(60);

/// IAM gave no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IamError {
    /// The API key cannot be read.
    #[error("the API key cannot be read")]
    Secret(#[source] Arc<SecretError>),
    /// IAM does not know the key, or it may not be used.
    #[error("IAM refused the API key with status {status}")]
    WrongKey {
        /// 400, 401 or 403.
        status: StatusCode,
    },
    /// IAM answered, but not to the point: overloaded, out of order, or not IAM at all.
    #[error("IAM answered with status {status}")]
    Unwilling {
        /// Its status.
        status: StatusCode,
        /// How long it wants to be left alone, from now on.
        retry_after: Option<Duration>,
    },
    /// No answer.
    #[error("IAM cannot be reached")]
    Unreachable(#[source] CallError),
    /// The answer's body did not come to its end.
    #[error("IAM's answer was cut short")]
    Cut,
    /// A good status and no token that could be used.
    #[error("IAM's answer holds no usable token")]
    Garbage,
    /// The exchange was ended from outside: the process is on its way out.
    #[error("the exchange was given up")]
    GivenUp,
}

impl IamError {
    /// Whether a person must mend the credentials.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::WrongKey { .. })
    }

    /// How long IAM wants to be left alone, if it said so. It is not asked before.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        if let Self::Unwilling { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The same error later, when `left` of its pause is left.
    fn with_left(mut self, left: Duration) -> Self {
        if let Self::Unwilling { retry_after: Some(retry_after), .. } = &mut self {
            *retry_after = left;
        }
        self
    }
}

/// One API key's token. Clones share it.
#[derive(Clone)]
pub struct Iam {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    target: Uri,
    apikey: Secret,
    bounds: Bounds,
    state: Mutex<State>,
}

type Outcome = Result<HeaderValue, IamError>;
/// Closed without an outcome if the exchange was dropped with its runtime.
type Exchange = watch::Receiver<Option<Outcome>>;

#[derive(Default)]
struct State {
    token: Option<Token>,
    exchange: Option<Exchange>,
    failure: Option<Failure>,
    /// The last token was refused by the service.
    refused: bool,
}

struct Token {
    header: HeaderValue,
    renew: Instant,
    expires: Instant,
    /// Not given up before this.
    kept_until: Option<Instant>,
}

struct Failure {
    error: IamError,
    in_a_row: u32,
    until: Instant,
}

enum Look {
    Now(Outcome),
    Wait(Exchange),
}

impl fmt::Debug for Iam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iam").field("at", self.shared.connector.authority()).finish_non_exhaustive()
    }
}

impl Iam {
    /// What has to follow its files, if IAM is reached over TLS.
    pub(super) fn renewed(&self) -> Option<&dyn Renew> {
        self.shared.connector.renewed()
    }

    /// `path` is the token call's (`""`: `/identity/token`); `within` bounds an exchange after its connection, and is
    /// itself bounded at 30 s.
    #[must_use]
    pub fn new(connector: Connector, path: &str, apikey: Secret, within: Duration) -> Self {
        let target = Uri::try_from(path).ok().filter(|uri| uri.path_and_query().is_some());
        Self {
            shared: Arc::new(Shared {
                connector,
                target: target.unwrap_or_else(|| Uri::from_static(DEFAULT_PATH)),
                apikey,
                bounds: Bounds { within: within.min(WITHIN_MAX), body_bytes_max: ANSWER_BYTES_MAX },
                state: Mutex::default(),
            }),
        }
    }

    /// `Bearer` and the token, marked sensitive. Waits only if there is no valid token.
    pub async fn authorization(&self, now: Instant) -> Result<HeaderValue, IamError> {
        let mut exchange = match self.shared.look(now) {
            Look::Now(outcome) => return outcome,
            Look::Wait(exchange) => exchange,
        };
        match exchange.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(IamError::GivenUp)),
            Err(_) => Err(IamError::GivenUp),
        }
    }

    /// The service answered 401 to `refused`. True if another request is worth it: the token is given up, or was
    /// replaced already. False if it came in place of a refused one less than a minute ago.
    #[must_use]
    pub fn invalidate(&self, refused: &HeaderValue, now: Instant) -> bool {
        let mut state = self.shared.state.lock();
        let Some(token) = state.token.as_ref().filter(|token| token.header == *refused) else {
            return true;
        };
        if token.kept_until.is_some_and(|kept| now < kept) {
            return false;
        }
        state.token = None;
        state.refused = true;
        true
    }
}

impl Shared {
    /// What can be said at once, and the exchange to wait for if that is nothing.
    fn look(self: &Arc<Self>, now: Instant) -> Look {
        let mut state = self.state.lock();
        let running = state.exchange.as_ref().filter(|running| running.has_changed().is_ok()).cloned();
        let failed = state.failure.as_ref().filter(|failure| now < failure.until);
        let failed = failed.map(|failure| failure.error.clone().with_left(failure.until - now));
        if let Some(token) = state.token.as_ref().filter(|token| now < token.expires) {
            let header = token.header.clone();
            if now >= token.renew && running.is_none() && failed.is_none() {
                self.begin(&mut state, now);
            }
            return Look::Now(Ok(header));
        }
        match (running, failed) {
            (Some(running), _) => Look::Wait(running),
            (None, Some(error)) => Look::Now(Err(error)),
            (None, None) => Look::Wait(self.begin(&mut state, now)),
        }
    }

    /// A task of its own: whoever asked first may leave without ending it for the others.
    fn begin(self: &Arc<Self>, state: &mut State, now: Instant) -> Exchange {
        let (sender, receiver) = watch::channel(None);
        state.exchange = Some(receiver.clone());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let began = Instant::now();
            let granted = shared.exchange(now).await;
            let outcome = shared.end(granted, now + began.elapsed());
            sender.send_replace(Some(outcome));
        });
        receiver
    }

    fn end(&self, granted: Result<Token, IamError>, now: Instant) -> Outcome {
        let mut state = self.state.lock();
        state.exchange = None;
        match granted {
            Ok(mut token) => {
                token.kept_until = std::mem::take(&mut state.refused).then(|| now + REPLACEMENT_KEPT);
                let header = token.header.clone();
                state.token = Some(token);
                state.failure = None;
                Ok(header)
            }
            Err(error) => {
                events::Warned { what: &format!("no token from IAM: {}", chain(&error)) }.emit();
                let in_a_row = state.failure.as_ref().map_or(0, |failure| failure.in_a_row);
                let pause = PAUSE_FIRST.saturating_mul(1 << in_a_row.min(6)).min(PAUSE_MAX);
                let pause = error.retry_after().map_or(pause, |told| told.max(pause));
                state.failure =
                    Some(Failure { error: error.clone(), in_a_row: in_a_row.saturating_add(1), until: now + pause });
                Err(error)
            }
        }
    }

    /// `now` is when the exchange began: a token's life is counted from before IAM gave it.
    async fn exchange(&self, now: Instant) -> Result<Token, IamError> {
        let request = self.request()?;
        let answer = call(&self.connector, request, self.bounds, Arc::new(|| true)).await;
        let answer = answer.map_err(IamError::Unreachable)?;
        let (header, life) = token_of(&answer)?;
        Ok(Token { header, renew: now + life * 4 / 5, expires: now + life, kept_until: None })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, IamError> {
        let key = self.apikey.read().map_err(|error| IamError::Secret(Arc::new(error)))?;
        let mut form = Zeroizing::new(String::with_capacity(FORM.len() + 3 * key.expose().len()));
        form.push_str(FORM);
        form.extend(utf8_percent_encode(key.expose(), NON_ALPHANUMERIC));
        let mut request = Request::new(Full::new(Bytes::from_owner(form)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(request)
    }
}

/// The two fields that matter. What the JSON library says of others' mistakes quotes them, so it is not passed on.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

fn token_of(answer: &Answer) -> Result<(HeaderValue, Duration), IamError> {
    match answer.response.status() {
        status @ (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Err(IamError::WrongKey { status });
        }
        status if !status.is_success() => {
            let may_say = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let retry_after = may_say.then(|| retry_after(answer.response.headers(), clock::unix_now())).flatten();
            return Err(IamError::Unwilling { status, retry_after });
        }
        _ => {}
    }
    match answer.end {
        BodyEnd::Whole => {}
        BodyEnd::TooLong => return Err(IamError::Garbage),
        BodyEnd::Cut | BodyEnd::Late => return Err(IamError::Cut),
    }
    let granted: Granted = serde_json::from_slice(answer.response.body()).map_err(|_| IamError::Garbage)?;
    let header = sensitive("Bearer", &granted.access_token).ok_or(IamError::Garbage)?;
    let life = Duration::from_secs(granted.expires_in).min(LIFE_MAX);
    if life.is_zero() {
        return Err(IamError::Garbage);
    }
    Ok((header, life))
}

/// `Retry-After`, as seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixSeconds) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().ok().or_else(|| {
        let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(at.as_secs().saturating_sub(now.0))
    });
    seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::{Duration, HeaderMap, HeaderValue, RETRY_AFTER, UnixSeconds, retry_after};

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_a_day_at_most() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, UnixSeconds(784_111_777 - 60)).map(|told| told.as_secs())
        };
        assert_eq!((read("60"), read(" 0 "), read("86401")), (Some(60), Some(0), Some(86_400)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(
            (read("18446744073709551615"), read("soon"), read("-1"), read("1.5")),
            (Some(86_400), None, None, None)
        );
        assert_eq!(retry_after(&HeaderMap::new(), UnixSeconds(0)), None::<Duration>);
    }
}
