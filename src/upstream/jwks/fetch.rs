//! One fetch of a set of keys: the gate's own GET, bounded in time and size, and how long its answer may be kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;

use crate::config::{BaseUrl, HttpProxy, Limits, Renew, UpstreamTls};
use crate::domain::token::{BYTES_MAX, KeySet, KeySetFault, KeysAt};
use crate::upstream::call::{Answer, BodyEnd, Bounds, CallError, call};
use crate::upstream::connect::Connector;
use crate::upstream::tls::RootsError;

/// A fetch takes at most so long, once it is connected.
const WITHIN_MAX: Duration = Duration::from_secs(10);

/// What is fetched is used for so long without looking again, where its `Cache-Control` says nothing of it.
const LIFE: Duration = Duration::from_secs(60 * 60);
const LIFE_MIN: Duration = Duration::from_secs(5 * 60);
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// No keys were fetched.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FetchError {
    /// No answer.
    #[error("no answer")]
    Unreachable(#[source] CallError),
    /// Any other status than 200; redirects are not followed.
    #[error("status {0}, expected 200")]
    Status(StatusCode),
    /// The answer's body did not come to its end.
    #[error("the answer was cut short")]
    Cut,
    /// It is no set of keys.
    #[error("the answer cannot be used")]
    NoKeys(#[from] KeySetFault),
}

/// How the keys are reached.
#[derive(Debug)]
pub(super) struct Way {
    connector: Connector,
    target: Uri,
    bounds: Bounds,
    made_of: MadeOf,
}

/// A way that is made of the same is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MadeOf {
    pub(super) at: KeysAt,
    pub(super) proxy: HttpProxy,
    connect_timeout: Duration,
    within: Duration,
}

impl MadeOf {
    pub(super) fn of(at: &KeysAt, proxy: &HttpProxy, limits: &Limits) -> Self {
        let within = limits.response_timeout.min(WITHIN_MAX);
        Self { at: at.clone(), proxy: proxy.clone(), connect_timeout: limits.connect_timeout, within }
    }
}

impl Way {
    /// The way to an address that the configuration has judged.
    pub(super) fn to(text: &str, ca: Option<&std::path::Path>, made_of: MadeOf) -> Result<Self, RootsError> {
        let bad = || RootsError::BadName { host: text.to_owned() };
        let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
        let url = BaseUrl::parse(base).map_err(|_| bad())?;
        let path = if url.path.is_empty() { "/" } else { url.path.as_str() };
        let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let tls = UpstreamTls { ca: ca.map(Into::into), ..UpstreamTls::default() };
        let connector = Connector::behind(&made_of.proxy, &url, &tls, made_of.connect_timeout)?;
        let bounds = Bounds { within: made_of.within, body_bytes_max: BYTES_MAX };
        Ok(Self { connector, target: Uri::try_from(target).map_err(|_| bad())?, bounds, made_of })
    }

    pub(super) const fn made_of(&self) -> &MadeOf {
        &self.made_of
    }

    pub(super) fn renewed(&self) -> Option<&dyn Renew> {
        self.connector.renewed()
    }

    /// The keys, and how long they may be used without looking again.
    pub(super) async fn fetch(&self) -> Result<(KeySet, Duration), FetchError> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = self.target.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        let answer = call(&self.connector, request, self.bounds, Arc::new(|| true)).await;
        keys_of(&answer.map_err(FetchError::Unreachable)?)
    }
}

fn keys_of(answer: &Answer) -> Result<(KeySet, Duration), FetchError> {
    let status = answer.response.status();
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    match answer.end {
        BodyEnd::Whole => {}
        BodyEnd::TooLong => return Err(KeySetFault::TooLarge.into()),
        BodyEnd::Cut | BodyEnd::Late => return Err(FetchError::Cut),
    }
    Ok((KeySet::read(answer.response.body())?, life(answer.response.headers())))
}

/// What `Cache-Control` says, within bounds: neither is an issuer hammered, nor is a key that was withdrawn kept for days.
fn life(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(',')).map(|one| one.trim().to_ascii_lowercase());
    let told = directives.find_map(|directive| match directive.as_str() {
        "no-cache" | "no-store" => Some(Duration::ZERO),
        other => {
            let seconds = other.strip_prefix("max-age=")?.trim_matches('"');
            Some(Duration::from_secs(seconds.parse().ok()?))
        }
    });
    told.map_or(LIFE, |told| told.clamp(LIFE_MIN, LIFE_MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CACHE_CONTROL, HeaderMap};

    use super::life;

    #[test]
    fn p12_keys_are_kept_as_long_as_their_issuer_says_and_from_five_minutes_to_a_day() {
        let of = |value: &'static str| {
            life(&HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static(value))])).as_secs()
        };
        assert_eq!(life(&HeaderMap::new()).as_secs(), 3600);
        assert_eq!((of("public, max-age=19845, must-revalidate"), of("MAX-AGE=600")), (19_845, 600));
        assert_eq!(
            (of("max-age=1"), of("no-store"), of("max-age=0"), of("no-cache, max-age=900")),
            (300, 300, 300, 300)
        );
        assert_eq!((of("max-age=999999999"), of("max-age=\"600\""), of("public")), (86_400, 600, 3600));
        assert_eq!((of("max-age=-1"), of("max-age=soon"), of("s-maxage=1")), (3600, 3600, 3600));
    }
}
