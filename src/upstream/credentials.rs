//! From configured credentials to the `Authorization` of one request.
//!
//! Secrets are asked for at every request, so that a rotated file counts at once; what is made of them is marked
//! sensitive and printed nowhere. Whether a failure is the operator's to mend or will pass by itself is said here,
//! because an erasure does different things about them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use http::HeaderValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::connect::Connector;
use super::iam::{Iam, IamError};
use super::tls::RootsError;
use crate::config::secret::{SecretError, SecretText};
use crate::config::{Credentials, HttpProxy, Limits, Renew, Secret};

/// No `Authorization` can be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The secret cannot be read.
    #[error("the secret of the credentials cannot be read")]
    Secret(#[source] Arc<SecretError>),
    /// The secret holds bytes that no header can carry.
    #[error("the secret of the credentials holds bytes that a header cannot carry")]
    Unfit,
    /// IAM gave no token.
    #[error("IAM gave no token")]
    Iam(#[source] IamError),
}

impl CredentialsError {
    /// Whether the credentials themselves are at fault (a target is then *blocked* until a person mends them), or it
    /// will pass.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        match self {
            Self::Secret(_) | Self::Unfit => true,
            Self::Iam(error) => error.is_blocked(),
        }
    }

    /// For how long asking again is of no use, if somebody said so: IAM's `Retry-After`, a day at most.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Secret(_) | Self::Unfit => None,
            Self::Iam(error) => error.retry_after(),
        }
    }
}

/// Makes the `Authorization` of the gate's own requests to one upstream. Clones share a token.
#[derive(Clone)]
pub struct Authenticator {
    by: By,
}

#[derive(Clone)]
enum By {
    Nothing,
    Basic { username: String, password: Secret },
    Bearer(Secret),
    Iam(Iam),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.by {
            By::Nothing => "Authenticator(none)",
            By::Basic { .. } => "Authenticator(basic)",
            By::Bearer(_) => "Authenticator(bearer)",
            By::Iam(_) => "Authenticator(iam)",
        })
    }
}

impl Authenticator {
    /// From an upstream's `credentials`. IAM has a `tls` of its own: the service's is about the service alone.
    /// It is reached directly.
    pub fn new(credentials: Option<&Credentials>, limits: &Limits) -> Result<Self, RootsError> {
        Self::behind(&HttpProxy::None, credentials, limits)
    }

    /// The same, and IAM is reached through the proxy that is on the way to it.
    pub fn behind(proxy: &HttpProxy, credentials: Option<&Credentials>, limits: &Limits) -> Result<Self, RootsError> {
        let by = match credentials {
            None => By::Nothing,
            Some(Credentials::ApiKey(key)) => By::Basic { username: "apikey".to_owned(), password: key.clone() },
            Some(Credentials::Basic { username, password }) => {
                By::Basic { username: username.clone(), password: password.clone() }
            }
            Some(Credentials::Bearer(token)) => By::Bearer(token.clone()),
            Some(Credentials::Iam { apikey, url, tls }) => {
                let connector = Connector::behind(proxy, url, tls, limits.connect_timeout)?;
                By::Iam(Iam::new(connector, &url.path, apikey.clone(), limits.response_timeout))
            }
        };
        Ok(Self { by })
    }

    /// What has to follow its files, where IAM is reached over TLS.
    #[must_use]
    pub fn renewed(&self) -> Option<&dyn Renew> {
        if let By::Iam(iam) = &self.by { iam.renewed() } else { None }
    }

    /// The header's value, marked sensitive; `None` without credentials. Waits only for IAM, and only when there is no
    /// valid token.
    pub async fn authorization(&self, now: Instant) -> Result<Option<HeaderValue>, CredentialsError> {
        match &self.by {
            By::Iam(iam) => iam.authorization(now).await.map(Some).map_err(CredentialsError::Iam),
            fixed => fixed.header(),
        }
    }

    /// The service answered 401 to `refused`, which [`Self::authorization`] had made. True if asking again with a new
    /// one is worth it: IAM's token is given up (once), or the secret has been changed in the meantime.
    #[must_use]
    pub fn invalidate(&self, refused: &HeaderValue, now: Instant) -> bool {
        match &self.by {
            By::Iam(iam) => iam.invalidate(refused, now),
            fixed => matches!(fixed.header(), Ok(Some(header)) if header != *refused),
        }
    }
}

impl By {
    /// What needs nobody's answer.
    fn header(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        let (scheme, value) = match self {
            Self::Nothing | Self::Iam(_) => return Ok(None),
            Self::Basic { username, password } => {
                let password = read(password)?;
                let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
                ("Basic", Zeroizing::new(BASE64.encode(pair.as_bytes())))
            }
            Self::Bearer(token) => ("Bearer", Zeroizing::new(read(token)?.expose().to_owned())),
        };
        sensitive(scheme, &value).map(Some).ok_or(CredentialsError::Unfit)
    }
}

fn read(secret: &Secret) -> Result<SecretText, CredentialsError> {
    secret.read().map_err(|error| CredentialsError::Secret(Arc::new(error)))
}

/// `None` if the value is not one word of visible ASCII.
pub(super) fn sensitive(scheme: &str, value: &str) -> Option<HeaderValue> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut header = HeaderValue::from_str(&Zeroizing::new(format!("{scheme} {value}"))).ok()?;
    header.set_sensitive(true);
    Some(header)
}
