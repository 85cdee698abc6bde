//! Bearer tokens that are verified: signed JSON Web Tokens (RFC 7519) in the compact form (RFC 7515).
//!
//! A token counts only as a whole: its signature by a key of the issuer's set, its times, its issuer and its audience. Which
//! algorithms there are is said here, never by the token (RFC 8725): a key is used with the algorithms of its own kind alone.
//! See docs/decisions/021-token-verification.md.

mod algorithm;
mod keys;
#[cfg(test)]
mod tests;
mod unverified;

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::algorithm::Algorithm;
pub use self::keys::{BYTES_MAX, KEYS_MAX, KeySet, KeySetFault};
pub use self::unverified::Unverified;
use super::UnixSeconds;

/// Seconds by which the issuer's clock may differ from the gate's.
const LEEWAY_S: f64 = 60.0;

/// Keys that one token is tried with. More fit only a token that names no key, at an issuer that shows very many.
const TRIED_MAX: usize = 8;

/// Whose tokens count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// Where the issuer's keys are.
    #[serde(rename = "jwks")]
    pub keys: KeysAt,
    /// What `iss` has to be, exactly.
    pub issuer: String,
    /// What has to be in `aud`; `None`: whatever is there.
    pub audience: Option<String>,
}

/// Where a set of keys is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeysAt {
    /// In a file, which is read with the configuration.
    File(#[serde(serialize_with = "as_text")] PathBuf),
    /// At an address, where it is fetched again and again.
    #[serde(untagged)]
    Url {
        /// As the file writes it.
        url: String,
        /// Roots in a PEM file in place of the system's.
        #[serde(rename = "tls", serialize_with = "as_tls", skip_serializing_if = "Option::is_none")]
        ca: Option<PathBuf>,
    },
}

fn as_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(to)
}

fn as_tls<S: Serializer>(ca: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("ca", ca.as_deref().map(Path::to_string_lossy))])
}

impl fmt::Display for KeysAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, .. } => f.write_str(url),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A token that was taken apart; nothing of it is believed yet. It is never shown.
pub struct Token<'a> {
    algorithm: Algorithm,
    key: Option<String>,
    signed: &'a [u8],
    signature: Vec<u8>,
    payload: Vec<u8>,
    registered: Registered,
}

/// The claims of a token that was verified. They are never shown.
pub struct Claims(Vec<u8>);

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

impl Claims {
    /// The claims as they were signed: a JSON text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// For what is said of claims whoever signed them.
    #[cfg(test)]
    pub(crate) fn unverified(text: &[u8]) -> Self {
        Self(text.to_vec())
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

/// What is checked of the claims. A member that is there twice makes the token unreadable.
#[derive(Deserialize)]
struct Registered {
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(several) => several.iter().any(|one| one == wanted),
        }
    }
}

fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(from).map(|_| true)
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// `Unreadable`, `Algorithm` or `Critical`.
    pub fn read(text: &'a [u8]) -> Result<Self, Unverified> {
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Unverified::Unreadable);
        };
        let decoded = |part: &[u8]| BASE64URL_NOPAD.decode(part).map_err(|_| Unverified::Unreadable);
        let Header { alg, kid, crit } =
            serde_json::from_slice(&decoded(header)?).map_err(|_| Unverified::Unreadable)?;
        if crit {
            return Err(Unverified::Critical);
        }
        let algorithm = Algorithm::named(&alg).ok_or(Unverified::Algorithm)?;
        let signed = text.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let (signature, payload) = (decoded(signature)?, decoded(payload)?);
        let registered = serde_json::from_slice(&payload).map_err(|_| Unverified::Unreadable)?;
        Ok(Self { algorithm, key: kid, signed, signature, payload, registered })
    }

    /// Its claims, if it is signed with one of these keys and counts now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verified(&self, keys: &KeySet, trust: &Trust, now: UnixSeconds) -> Result<Claims, Unverified> {
        self.may_count(trust, now)?;
        self.is_signed_by(keys)?;
        Ok(Claims(self.payload.clone()))
    }

    /// Whether it would count now, if its signature is good. That is told without any key: where several issuers are
    /// trusted, the keys of one are neither needed nor looked for because of another's token.
    ///
    /// # Errors
    /// Why it would not.
    pub fn may_count(&self, trust: &Trust, now: UnixSeconds) -> Result<(), Unverified> {
        let claims = &self.registered;
        // Seconds of this era are exact in a float.
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 53 bits for a long time")]
        let now = now.0 as f64;
        match (claims.exp, claims.nbf) {
            (None, _) => return Err(Unverified::NoEnd),
            (Some(end), _) if end + LEEWAY_S <= now => return Err(Unverified::Expired),
            (Some(_), Some(begin)) if begin - LEEWAY_S > now => return Err(Unverified::NotYet),
            (Some(_), _) => {}
        }
        if claims.iss.as_deref() != Some(&*trust.issuer) {
            return Err(Unverified::Issuer);
        }
        let is_meant = |wanted: &str| claims.aud.as_ref().is_some_and(|audience| audience.has(wanted));
        if trust.audience.as_deref().is_none_or(is_meant) { Ok(()) } else { Err(Unverified::Audience) }
    }

    fn is_signed_by(&self, keys: &KeySet) -> Result<(), Unverified> {
        let id = self.key.as_deref();
        if id.is_some() && keys.named(id).next().is_none() {
            return Err(Unverified::UnknownKey);
        }
        let mut fitting = keys.named(id).filter(|key| key.fits(self.algorithm));
        let tried: Vec<_> = fitting.by_ref().take(TRIED_MAX).collect();
        match (tried.is_empty(), id) {
            (true, Some(_)) => return Err(Unverified::Algorithm),
            (true, None) => return Err(Unverified::UnknownKey),
            (false, _) if fitting.next().is_some() => return Err(Unverified::ManyKeys),
            (false, _) => {}
        }
        match (tried.iter().any(|key| key.verifies(self.algorithm, self.signed, &self.signature)), id) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(Unverified::Signature),
            // It may be signed with a key that the issuer has shown since.
            (false, None) => Err(Unverified::UnknownKey),
        }
    }
}
