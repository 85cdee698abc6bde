//! A set of public keys as issuers publish it (RFC 7517, JWKS).
//!
//! A key that cannot verify a signature is left out, as the RFC asks: a set may hold keys of kinds and uses that only others
//! know. A set of which nothing is left is a fault, and so is one that is too large.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm::{Algorithm, Curve, Verifier};
use crate::domain::base64::without_padding;

/// Keys in a set.
pub const KEYS_MAX: usize = 64;
/// Bytes of a set.
pub const BYTES_MAX: usize = 256 * 1024;

/// Bits of an RSA modulus: less can be broken, more costs too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetFault {
    /// Not JSON, or another document.
    #[error("it is not a JSON Web Key Set: expected {{\"keys\": [ … ]}}")]
    NotASet,
    /// More than [`BYTES_MAX`].
    #[error("it is larger than 256 KiB")]
    TooLarge,
    /// More than [`KEYS_MAX`].
    #[error("it has more than 64 keys")]
    TooMany,
    /// No public RSA (2048 to 8192 bits), P-256, P-384 or Ed25519 key for signatures.
    #[error(
        "it holds no public key that a token can be verified with: expected RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, \
         for signatures"
    )]
    NoUsableKey,
}

/// The keys of an issuer; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<Box<str>>,
    /// The one algorithm that it may be used with, if it says so.
    only: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    Point(Curve, Box<[u8]>),
}

// Numbers of a thousand digits tell a reader nothing.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct WrittenSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Of a private key: whoever publishes it lets everybody sign.
    d: Option<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set.
    ///
    /// # Errors
    /// [`KeySetFault`].
    pub fn read(text: &[u8]) -> Result<Self, KeySetFault> {
        if text.len() > BYTES_MAX {
            return Err(KeySetFault::TooLarge);
        }
        let set: WrittenSet<'_> = serde_json::from_slice(text).map_err(|_| KeySetFault::NotASet)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeySetFault::TooMany);
        }
        let keys: Vec<Key> = set.keys.iter().filter_map(|raw| key(&serde_json::from_str(raw.get()).ok()?)).collect();
        if keys.is_empty() { Err(KeySetFault::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The keys of this name; all keys where no name is given.
    pub(super) fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }
}

impl Key {
    /// Whether a token of this algorithm may be verified with it: by its kind, and by what it says of itself.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match (&self.material, algorithm.verifier()) {
            (Material::Rsa { .. }, Verifier::Rsa(_)) => true,
            (Material::Point(curve, _), Verifier::Curve(wanted, _)) => *curve == wanted,
            (Material::Rsa { .. }, Verifier::Curve(..)) | (Material::Point(..), Verifier::Rsa(_)) => false,
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm.verifier()) {
            (Material::Rsa { n, e }, Verifier::Rsa(with)) => {
                RsaPublicKeyComponents { n, e }.verify(with, signed, signature).is_ok()
            }
            (Material::Point(_, point), Verifier::Curve(_, with)) => {
                UnparsedPublicKey::new(with, point).verify(signed, signature).is_ok()
            }
            (Material::Rsa { .. }, Verifier::Curve(..)) | (Material::Point(..), Verifier::Rsa(_)) => false,
        }
    }
}

/// `None` for a key that verifies no signature of ours.
fn key(written: &Written) -> Option<Key> {
    let signs = written.usage.as_deref().is_none_or(|usage| usage == "sig")
        && written.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !signs || written.d.is_some() {
        return None;
    }
    let only = match written.alg.as_deref() {
        Some(name) => Some(Algorithm::named(name)?),
        None => None,
    };
    let material = match (written.kty.as_str(), written.crv.as_deref()) {
        ("RSA", _) => rsa(written)?,
        ("EC", Some("P-256")) => point(written, Curve::P256, 32)?,
        ("EC", Some("P-384")) => point(written, Curve::P384, 48)?,
        ("OKP", Some("Ed25519")) => Material::Point(Curve::Ed25519, sized(written.x.as_deref()?, 32)?.into()),
        _ => return None,
    };
    Some(Key { id: written.kid.as_deref().map(Box::from), only, material })
}

fn rsa(written: &Written) -> Option<Material> {
    let number = |text: Option<&str>| {
        let bytes = decoded(text?)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(Box::<[u8]>::from(bytes.get(zeros..)?))
    };
    let (n, e) = (number(written.n.as_deref())?, number(written.e.as_deref())?);
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    (RSA_BITS.contains(&bits) && !e.is_empty()).then_some(Material::Rsa { n, e })
}

/// Uncompressed, as X9.62 writes it.
fn point(written: &Written, curve: Curve, bytes: usize) -> Option<Material> {
    let (x, y) = (sized(written.x.as_deref()?, bytes)?, sized(written.y.as_deref()?, bytes)?);
    Some(Material::Point(curve, [&[4], x.as_slice(), y.as_slice()].concat().into()))
}

fn sized(text: &str, bytes: usize) -> Option<Vec<u8>> {
    decoded(text).filter(|decoded| decoded.len() == bytes)
}

/// Base64url, with or without padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(without_padding(text.as_bytes())).ok()
}
