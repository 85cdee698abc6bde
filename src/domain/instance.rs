//! Which instance of a service a request is for: by what stands before the profile's own path, or by whose key it shows.
//!
//! "A customer ID belongs to the instance whose credentials are used": an upstream may lead to several, and a delete has to
//! be sent to each that holds something. In the store a key is known by a keyed fingerprint only.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use data_encoding::{BASE64_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::base64::without_padding;
use super::keyed_hash::MacKey;

/// What an API key is sent as in `Authorization: Basic`.
pub const API_KEY_USER: &str = "apikey";

/// As services read it: with or without padding, which is cut off before, and whatever its last bits are.
static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut lenient = BASE64_NOPAD.specification();
    lenient.check_trailing_bits = false;
    lenient.encoding().unwrap_or(BASE64_NOPAD)
});

/// What is kept of a key: enough to know it again, and nothing to use it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// As people are shown it: its beginning.
    #[must_use]
    pub fn short(&self) -> String {
        HEXLOWER.encode(self.0.first_chunk::<4>().map_or(&[][..], |beginning| beginning))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({}…)", self.short())
    }
}

/// Makes fingerprints; derived from the store's key.
#[derive(Clone, Debug)]
pub struct FingerprintKey(MacKey);

impl FingerprintKey {
    /// Takes its key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(MacKey::new(key))
    }

    /// The fingerprint of a user name and its password.
    #[must_use]
    pub fn of(&self, user: &str, password: &str) -> Fingerprint {
        self.of_pair(Zeroizing::new(format!("{user}:{password}")).as_bytes())
    }

    /// The fingerprint of what `Authorization` says; `None` where that is no key that lasts: a bearer's token.
    #[must_use]
    pub fn of_authorization(&self, value: &[u8]) -> Option<Fingerprint> {
        let value = value.trim_ascii();
        let end = value.iter().position(u8::is_ascii_whitespace)?;
        let (scheme, rest) = value.split_at_checked(end)?;
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let rest = rest.trim_ascii();
        // What does not read is a key of its own: it is not known to be any other.
        let text = without_padding(rest);
        let Ok(length) = LENIENT.decode_len(text.len()) else { return Some(self.of_pair(rest)) };
        let mut pair = Zeroizing::new(vec![0; length]);
        let read = LENIENT.decode_mut(text, &mut pair);
        Some(self.of_pair(if read.is_ok() { &pair } else { rest }))
    }

    fn of_pair(&self, pair: &[u8]) -> Fingerprint {
        Fingerprint(self.0.of(&[pair]))
    }
}

/// An instance as traffic shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The caller's path below the upstream's URL and before the profile's own: `/instances/GUID`. The caller's bytes.
    pub prefix: Box<str>,
    /// Whose key it was sent with, where the path does not say which instance it is.
    pub caller: Option<Fingerprint>,
}

impl Instance {
    /// The upstream's URL as it is, and no key.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.prefix.is_empty() && self.caller.is_none()
    }

    /// For comparing: two spellings that every service reads alike (RFC 3986 §6.2.2) are one text, however it is divided.
    #[must_use]
    pub fn canonical(&self) -> (Cow<'_, str>, &[u8]) {
        (normal(&self.prefix), self.caller.as_ref().map_or(&[], |caller| &caller.0))
    }

    /// Whether it is under this prefix.
    #[must_use]
    pub fn is_under(&self, prefix: &str) -> bool {
        normal(&self.prefix) == normal(prefix)
    }

    /// As stores keep it, sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let caller = self.caller.as_ref().map_or(&[][..], |caller| &caller.0);
        let length = if caller.is_empty() { 0 } else { 16 };
        [&[length], caller, self.prefix.as_bytes()].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let (caller, prefix) = match length {
            0 => (None, rest),
            16 => rest.split_first_chunk::<16>().map(|(caller, prefix)| (Some(Fingerprint(*caller)), prefix))?,
            _ => return None,
        };
        Some(Self { prefix: std::str::from_utf8(prefix).ok()?.into(), caller })
    }
}

#[allow(clippy::module_name_repetitions, reason = "its module is private: elsewhere it stands alone")]
/// Whether this path names an instance, as IBM's cloud does (`/instances/{guid}`): then no key says more.
#[must_use]
pub fn names_an_instance(path: &str) -> bool {
    // Nothing is shorter when it is decoded than what is looked for.
    if path.len() <= "/instances/".len() {
        return false;
    }
    let path = normal(path);
    path.split_once("/instances/").is_some_and(|(_, after)| !after.is_empty() && !after.starts_with('/'))
}

/// What an upstream's configuration says of keys that no `[[upstream.instance]]` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::module_name_repetitions, reason = "it is used far from its module, where Rule alone says too little")]
pub enum InstanceRule {
    /// Nothing. One key is the upstream's own; from the second on the gate cannot know.
    #[default]
    Unsaid,
    /// Their data is recorded, and erasures of it wait for credentials.
    Open,
    /// Their data is refused.
    Closed,
    /// All keys open one instance.
    One,
}

impl InstanceRule {
    /// As the file writes it.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unsaid => None,
            Self::Open => Some("open"),
            Self::Closed => Some("closed"),
            Self::One => Some("one"),
        }
    }
}

impl Serialize for InstanceRule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_str().serialize(to)
    }
}

/// Escapes of characters that need none are undone, the others in upper case.
fn normal(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let escaped = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        match escaped {
            Some(byte) if plain(&byte) => text.push(char::from(byte)),
            Some(byte) => text.push_str(&["%", &HEXUPPER.encode(&[byte])].concat()),
            None => text.push('%'),
        }
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> FingerprintKey {
        FingerprintKey::new(&[7; 32])
    }

    #[test]
    fn a_key_has_one_fingerprint_however_it_is_written_and_a_token_has_none() {
        let key = key();
        let anna = key.of("apikey", "abc");
        // apikey:abc, with padding, without, in another case of the scheme.
        for value in ["Basic YXBpa2V5OmFiYw==", "basic YXBpa2V5OmFiYw", "BASIC  YXBpa2V5OmFiYw=="] {
            assert_eq!(key.of_authorization(value.as_bytes()), Some(anna), "{value}");
        }
        assert_ne!(key.of_authorization(b"Basic YXBpa2V5OmFiZA=="), Some(anna));
        assert!(key.of_authorization(b"Basic ???").is_some());
        for value in ["Bearer abc", "", "Basic", "Digest YXBpa2V5OmFiYw=="] {
            assert_eq!(key.of_authorization(value.as_bytes()), None, "{value}");
        }
        assert_ne!(FingerprintKey::new(&[8; 32]).of("apikey", "abc"), anna);
    }

    #[test]
    fn two_spellings_of_one_path_are_one_instance_and_other_paths_are_others() {
        let at = |prefix: &str| Instance { prefix: prefix.into(), caller: None };
        assert_eq!(at("/instances/a%2Db%3a").canonical(), at("/instances/a-b%3A").canonical());
        assert!(at("/instances/%41").is_under("/instances/A"));
        for other in ["/instances/a", "/instances/A/", "/instances", "", "/instances/%2541"] {
            assert!(!at("/instances/A").is_under(other), "{other}");
        }
        assert!(names_an_instance("/x/instances/g1") && names_an_instance("/instances/g1/api"));
        assert!(!names_an_instance("/instances/") && !names_an_instance("/instances") && !names_an_instance("/a/b"));
    }

    proptest! {
        #[test]
        fn an_instance_reads_back(prefix in ".{0,60}", caller: Option<[u8; 16]>) {
            let instance = Instance { prefix: prefix.into(), caller: caller.map(Fingerprint) };
            prop_assert_eq!(Instance::from_bytes(&instance.to_bytes()), Some(instance));
        }
    }
}
